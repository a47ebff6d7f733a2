"""CapsuleVOS sessions: clips, objects, and what is given when; losses and variants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rotoscope.errors import InputError
from rotoscope.experiments.ablate import find_ablation, find_recipe_of
from rotoscope.methods.base import Session
from rotoscope.methods.capsulevos import CapsuleVOS, CapsuleVOSConfig
from rotoscope.methods.capsulevos.network import run_clip
from rotoscope.methods.capsulevos.sampling import crop_and_resize, paste, resize
from rotoscope.methods.capsulevos.tracks import shrunk, winners
from rotoscope.methods.capsulevos.training import clip_loss, true_region
from rotoscope.methods.capsulevos.zoom import bounds, centre_of
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.schedule import Schedule
from rotoscope.runs.segment import segment

TINY = {"width": 2, "video_types": 3, "frame_types": 2, "types": 4, "size": (64, 96), "crop": (32, 64)}
ROWS = find_ablation("capsulevos").rows


def make(**config: Any) -> CapsuleVOS:
    torch.manual_seed(3)
    model = CapsuleVOS(CapsuleVOSConfig(**{**TINY, **config}))
    model.requires_grad_(False).eval()
    model.network.decoder.segment.weight.mul_(20)
    return model


@pytest.fixture
def clip() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (19, 64, 96, 3), dtype=np.uint8)


@pytest.fixture
def masks() -> dict[int, np.ndarray]:
    first, second = np.zeros((64, 96), bool), np.zeros((64, 96), bool)
    first[8:32, 8:40], second[36:60, 48:88] = True, True
    return {7: first, 300: second}


def push(session: Session, frames: np.ndarray) -> list[list[int]]:
    """Indices that each push answers, then those that finishing does."""
    found = [[p.index for p in session.push(frame)] for frame in frames]
    return [*found, [p.index for p in session.finish()]]


def test_when_frames_are_answered(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    """The given frame at once, seven when the first clip is full, then five whenever five have come."""
    session = make().session()
    assert session.latency == 7
    session.add(masks)
    found = push(session, clip)
    assert found[0] == [0]
    assert found[7] == [1, 2, 3, 4, 5, 6, 7]
    assert found[12] == [8, 9, 10, 11, 12]
    assert found[17] == [13, 14, 15, 16, 17]
    assert found[19] == [18]
    assert sum(map(len, found)) == 19
    wide = make().session(overlap=1)
    wide.add(masks)
    assert [n for n, answered in enumerate(push(wide, clip)) if answered] == [0, 7, 14, 19]


@torch.inference_mode()
def test_clips_follow_one_another_as_released(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    """Two objects by hand: frames 0 to 7, then 5 to 12 from what each says of frame 5 where the other does not win."""
    model = make()
    found = list(segment(clip[:13], {0: masks}, model))
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2)[None].float() / 255
    seeds = [torch.from_numpy(mask).float() for mask in masks.values()]
    states: list[Any] = [None, None]
    centres = [torch.zeros(1, 2), torch.zeros(1, 2)]
    answers: dict[int, torch.Tensor] = {}
    for start in (0, 5):
        each = []
        for n in (0, 1):
            edges, there = bounds(seeds[n][None] > 0.5)
            centres[n] = centre_of(edges) if there else centres[n]
            mask = seeds[n][None, None]
            answer = run_clip(model.network, frames[:, start : start + 8], mask, centre=centres[n], state=states[n])
            states[n] = answer.state
            each.append(torch.sigmoid(paste(answer.logits, answer.boxes, (64, 96)))[0])
        both = torch.stack(each, dim=1)
        for t in range(8):
            answers.setdefault(start + t, both[t])
        labels = winners(both[5])
        seeds = [both[5][n].masked_fill((labels != n + 1) & (labels != 0), 0) for n in (0, 1)]
    for t in range(1, 13):
        background = (1 - answers[t]).prod(dim=0, keepdim=True)
        odds = torch.cat([background, answers[t]]).clamp(1e-7, 1 - 1e-7)
        odds = odds / (1 - odds)
        torch.testing.assert_close(found[t].probabilities, odds / odds.sum(dim=0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("given", [3, 7, 9])
def test_a_late_object_begins_a_clip_and_changes_nothing_before_it(
    clip: np.ndarray, masks: dict[int, np.ndarray], given: int
) -> None:
    model = make()
    alone = list(segment(clip, {0: {7: masks[7]}}, model))
    found = list(segment(clip, {0: {7: masks[7]}, given: {300: masks[300]}}, model))
    assert [p.object_ids for p in found] == [(7,)] * given + [(7, 300)] * (19 - given)
    assert all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(alone[:given], found, strict=False))
    assert np.array_equal(found[given].labels == 300, masks[300])
    assert found[given].prompted
    assert not torch.equal(found[given + 1].probabilities[:1], alone[given + 1].probabilities[:1])


def test_corrections_and_removals_of_held_frames(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    session = make().session()
    session.add(masks)
    found: list[Prediction] = []
    for t, frame in enumerate(clip):
        if t == 4:
            session.add({7: masks[300]})
        if t == 6:
            session.remove(300)
        if t == 10:
            session.remove(7)
        if t == 12:
            session.add({7: masks[7]})
        found += session.push(frame)
    found += session.finish()
    expected = [(7, 300)] * 6 + [(7,)] * 4 + [()] * 2 + [(7,)] * 7
    assert [p.object_ids for p in found] == expected
    assert [p.index for p in found] == list(range(19))
    assert np.array_equal(found[4].labels == 7, masks[300])
    assert np.array_equal(found[12].labels == 7, masks[7])
    plain = list(segment(clip, {0: masks}, make()))
    assert all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(found[:4], plain, strict=False))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 13, 14])
def test_the_last_clip_is_filled_and_cut(clip: np.ndarray, masks: dict[int, np.ndarray], count: int) -> None:
    found = list(segment(clip[:count], {0: masks}, make()))
    assert [p.index for p in found] == list(range(count))
    repeated = np.concatenate([clip[:count], np.repeat(clip[count - 1 : count], 8, axis=0)])
    longer = list(segment(repeated, {0: masks}, make()))
    assert all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(found, longer, strict=False))


@pytest.mark.parametrize("cut", range(1, 19, 2))
@pytest.mark.parametrize("options", [{}, {"carry_states": False, "merging": "published", "overlap": 5}])
def test_resuming_gives_the_same_bits(
    clip: np.ndarray, masks: dict[int, np.ndarray], cut: int, options: dict[str, Any]
) -> None:
    model = make()
    whole: list[Prediction] = []
    parts: list[Prediction] = []
    sessions = [model.session(**options), model.session(**options)]
    for found, session in ((whole, sessions[0]), (parts, sessions[1])):
        session.add({7: masks[7]})
        for t, frame in enumerate(clip):
            if t == 6:
                session.add({300: masks[300]})
            if t == 11:
                session.remove(7)
            if found is parts and t == cut:
                again = model.session(**options)
                again.restore(session.state())
                session = again
            found += session.push(frame)
        found += session.finish()
    assert [p.index for p in parts] == list(range(19))
    assert all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(whole, parts, strict=True))


def test_an_empty_mask_keeps_the_last_centre(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    session = make().session()
    session.add({7: masks[7]})
    session.push(clip[0])
    before = session._tracks[0].centre
    assert before == pytest.approx(((8 + 31) / 2 / 64, (8 + 39) / 2 / 96))
    session.add({7: np.zeros((64, 96), bool)})
    for frame in clip[1:8]:  # the clip that begins with the empty mask
        session.push(frame)
    assert session._held[0].position == 1
    assert not session._tracks[0].seed.any()
    assert session._tracks[0].centre == before


def test_video_features_are_shared_where_they_can_be(
    clip: np.ndarray, masks: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    for zoom, expected in (("learnt", 4), ("crafted", 4), ("none", 2)):
        model = make(zoom=zoom)
        calls: list[int] = []
        see = model.network.see
        monkeypatch.setattr(model.network, "see", lambda x, see=see, calls=calls: calls.append(len(x)) or see(x))
        assert len(list(segment(clip[:13], {0: masks}, model))) == 13
        assert len(calls) == expected


@pytest.mark.parametrize("merging", ["soft", "published"])
def test_answers_are_probabilities(clip: np.ndarray, masks: dict[int, np.ndarray], merging: str) -> None:
    for prediction in segment(clip[:10], {0: masks}, make(), merging=merging):
        torch.testing.assert_close(prediction.probabilities.sum(0), torch.ones(64, 96), atol=1e-4, rtol=0)
        assert set(np.unique(prediction.labels)) <= {0, 7, 300}


def test_memory_carries_over_clips(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    with_memory, without = (list(segment(clip, {0: masks}, make(), carry_states=memory)) for memory in (True, False))
    assert torch.equal(with_memory[7].probabilities, without[7].probabilities)
    assert not torch.equal(with_memory[8].probabilities, without[8].probabilities)


def test_winners_and_shrunk_masks() -> None:
    objects = torch.tensor([[[0.4, 0.6, 0.6]], [[0.3, 0.7, 0.2]]])
    assert winners(objects).tolist() == [[0, 2, 1]]
    dot = torch.zeros(400, 400)
    dot[3, 3] = 1
    assert shrunk(dot, (64, 96)).sum() >= 1
    assert shrunk(torch.ones(64, 96), (64, 96)).all()
    assert not shrunk(torch.zeros(400, 400), (64, 96)).any()


def test_sampling_by_hand() -> None:
    ramp = torch.arange(5.0)[None, None, None].expand(1, 1, 3, 5)
    crop = crop_and_resize(ramp, torch.tensor([[0.0, 0.25, 1.0, 0.75]]), (2, 3))
    assert crop[0, 0].tolist() == [[1.0, 2.0, 3.0]] * 2
    outside = crop_and_resize(ramp + 1, torch.tensor([[0.0, -0.25, 1.0, 1.25]]), (2, 7))
    assert outside[0, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0]
    assert resize(ramp, (3, 10))[0, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4]
    pasted = paste(torch.ones(1, 1, 2, 2), torch.tensor([[0.5, 0.25, 1.0, 1.0]]), (4, 4))
    assert (pasted[0, 0] == 1).tolist() == [[False] * 4] * 2 + [[False, True, True, True]] * 2
    assert pasted.amin() == -1000


def test_true_regions_by_hand() -> None:
    masks = torch.zeros(3, 3, 100, 100, dtype=torch.bool)
    masks[0, :, 40:61, 40:61] = True  # stays: a square of the mask and the leeway
    masks[1, 0, 0:21, 0:21] = masks[1, 2, 0:21, 60:81] = True  # goes to the right, where the box must hold it
    region, centre, shown = true_region(masks, torch.full((3,), 0.2))
    assert shown.tolist() == [True, True, False]
    torch.testing.assert_close(region[0], torch.tensor([0.3, 0.3, 0.41]))
    torch.testing.assert_close(centre[1], torch.tensor([0.1, 0.1]))
    torch.testing.assert_close(region[1], torch.tensor([0.0, 0.0, 1.0]))  # 2 * 0.7 + 0.2 is more than the frame
    torch.testing.assert_close(region[2], torch.tensor([0.0, 0.0, 1.0]))


def test_true_regions_may_hold_the_object_in_every_frame() -> None:
    masks = torch.zeros(1, 8, 100, 100, dtype=torch.bool)
    masks[0, :, 45:56, 45:56] = True
    masks[0, 2] = False
    masks[0, 2, 45:56, 25:36] = True  # away on a frame that is neither the first, the middle nor the last
    leeway = torch.full((1,), 0.1)
    (near,), (whole,) = (true_region(masks, leeway, every)[0] for every in (False, True))
    assert float(near[0]) > 0.25
    assert float(whole[2]) == pytest.approx(2 * 0.25 + 0.1 + 0.01, abs=0.02)


def drawn(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    labels = torch.zeros(2, frames, 48, 48, dtype=torch.long)
    labels[:, :, 4:20, 6:22], labels[:, :, 28:44, 24:40] = 1, 2
    return torch.randn(2, frames, 3, 48, 48) * 0.3 + labels[:, :, None], labels


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_ablation_trains_and_segments(row: Any, clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    recipe = find_recipe_of(find_ablation("capsulevos")).changed(row.settings)
    torch.manual_seed(0)
    model = CapsuleVOS(CapsuleVOSConfig(**{**recipe.config, **TINY}))
    images, labels = drawn(10)
    optimiser = torch.optim.Adam(model.network.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        torch.manual_seed(0)  # of the true boxes' leeway
        lesson = clip_loss(
            model.network, ClipBatch(images, labels, 2), true_seeds=1.0, **Schedule(recipe).loss_options(0)
        )
        optimiser.zero_grad()
        lesson.loss.backward()
        optimiser.step()
        losses.append(lesson.loss.item())
    assert lesson.probabilities.shape == (2, 9, 3, 48, 48)
    assert all(parameter.grad is not None for parameter in model.network.parameters())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    model.requires_grad_(False).eval()
    found = list(segment(clip[:10], {0: masks}, model))
    assert len(found) == 10
    assert all(torch.isfinite(p.probabilities).all() for p in found)


def test_a_fully_convolutional_network_is_of_like_size() -> None:
    counts = [
        sum(p.numel() for p in CapsuleVOS(CapsuleVOSConfig(capsules=capsules)).parameters())
        for capsules in (True, False)
    ]
    assert counts[1] / counts[0] == pytest.approx(1, abs=0.03)


def test_losses_under_bfloat16_autocast_and_without_an_object() -> None:
    model = make().requires_grad_(True)
    images, labels = drawn(3)
    with torch.autocast("cpu", torch.bfloat16):
        lesson = clip_loss(model.network, ClipBatch(images, labels * 0, 2))
    lesson.loss.backward()
    assert lesson.loss.dtype == torch.float32
    assert torch.isfinite(lesson.loss)
    assert lesson.probabilities.shape == (2, 2, 3, 48, 48)


def test_fast_agrees_with_exact(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    from rotoscope.layers.precision import apply_precision

    exact = list(segment(clip[:8], {0: masks}, make()))
    model = make()
    apply_precision(model, "fast", bfloat16=False)
    for ours, theirs in zip(segment(clip[:8], {0: masks}, model), exact, strict=True):
        torch.testing.assert_close(ours.probabilities, theirs.probabilities, atol=1e-3, rtol=0)
    apply_precision(model, "fast", bfloat16=True)
    half = list(segment(clip[:8], {0: masks}, model))
    assert all(p.probabilities.dtype == torch.float32 and torch.isfinite(p.probabilities).all() for p in half)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 0}, "overlap is 0; give a whole number of at least 1"),
        ({"overlap": 8}, "an overlap of 8 is not possible"),
        ({"merging": "hard"}, "merging 'hard' is not known; use soft or published"),
        ({"carry_states": 1}, "carry_states 1 is not known; use true or false"),
        ({"zoom": "none"}, "no option 'zoom'"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make().session(**options)


@pytest.mark.parametrize(
    "config", [{"crop": (40, 64)}, {"size": 64}, {"zoom": "near"}, {"clip": 6}, {"width": 0}, {"routing": "em"}]
)
def test_sizes_out_of_range(config: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        CapsuleVOSConfig(**config)


def test_frames_are_held_at_the_working_size(masks: dict[int, np.ndarray]) -> None:
    """What waits is bounded by the clip, whatever the size of the frames."""
    session = make().session()
    session.add({1: np.ones((300, 400), bool)})
    for _ in range(30):
        session.push(np.zeros((300, 400, 3), np.uint8))
        assert len(session._held) < 8
        assert all(held.image.shape == (3, 64, 96) for held in session._held)


def test_a_trunk_sees_frames_one_by_one(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    """What it makes of a frame does not depend on the frames about it; the network behind it does."""
    model = make(trunk="resnet18")
    frames = torch.from_numpy(clip[:8]).permute(0, 3, 1, 2)[None, :, :, :32, :64].float() / 255
    seen, first = model.network.see(frames), model.network.see(frames[:, :1].expand(-1, 8, -1, -1, -1))
    assert seen.features is not None
    assert first.features is not None
    torch.testing.assert_close(seen.features[:, 0], first.features[:, 0])
    assert seen.capsules.pose.shape == make().network.see(frames).capsules.pose.shape
    assert not torch.allclose(seen.capsules.pose, first.capsules.pose)
    assert len(list(segment(clip[:10], {0: masks}, model))) == 10


def test_fine_skips_see_each_frame_beside_the_first(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    """Computed in parts they equal a convolution of everything side by side."""
    model = make(trunk="resnet18", skips="fine")
    skip = model.network.skip
    assert skip is not None
    features, given = torch.randn(1, 8, 16, 8, 16), torch.randn(2, 24, 8, 16)
    whole = torch.nn.functional.conv2d(
        torch.cat([features[0, 5].expand(2, -1, -1, -1), given], dim=1),
        torch.cat([skip.frames.weight, skip.given.weight], dim=1),
        skip.frames.bias + skip.given.bias + 5 / 7 * skip.late,  # type: ignore[operator]
        padding=1,
    )
    expected = torch.relu(skip.merge(torch.relu(whole)))
    torch.testing.assert_close(skip(features, given)[:, 5], expected, atol=1e-5, rtol=1e-4)
    assert len(list(segment(clip[:10], {0: masks}, model))) == 10
    with pytest.raises(InputError, match="give trunk=resnet18 as well"):
        make(skips="fine")


def test_an_unknown_trunk() -> None:
    with pytest.raises(InputError, match="trunk 'resnet34' is not known"):
        make(trunk="resnet34")


def test_the_network_learns_a_clip_by_heart() -> None:
    """As it is trained, boxes true, from weights drawn at random."""
    torch.manual_seed(0)
    size = (32, 64)
    config = {**find_recipe_of(find_ablation("capsulevos")).config, "width": 4, "size": size, "crop": size}
    network = CapsuleVOS(CapsuleVOSConfig(**config)).network
    labels = torch.zeros(1, 8, *size, dtype=torch.long)
    for t in range(8):
        labels[:, t, 4 + t : 20 + t, 6 + 3 * t : 30 + 3 * t] = 1
    images = torch.randn(1, 8, 3, *size) * 0.3 + labels[:, :, None]
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    best = 0.0
    for _ in range(120):
        lesson = clip_loss(network, ClipBatch(images, labels, 1))
        optimiser.zero_grad()
        lesson.loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimiser.step()
        ours, truth = lesson.probabilities[:, :, 1] > 0.5, labels[:, 1:] == 1
        best = max(best, float((ours & truth).sum() / (ours | truth).sum()))
        if best > 0.9:
            break
    assert best > 0.9
