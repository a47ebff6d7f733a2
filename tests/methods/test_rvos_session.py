"""RVOS sessions: masks given or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.layers.normalise import normalise
from rotoscope.masks.assignment import FirstFrameAssignment
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.rvos import RVOS, RVOSConfig
from rotoscope.methods.rvos.network import resize, run_frame
from rotoscope.methods.rvos.training import clip_loss
from rotoscope.runs.segment import segment
from rotoscope.weights import save_method

TINY = {"trunk": "resnet18", "hidden": 16, "size": (32, 48)}


def make(**config: object) -> RVOS:
    torch.manual_seed(3)
    model = RVOS(RVOSConfig(**{**TINY, **config}))  # type: ignore[arg-type]
    model.requires_grad_(False).eval()
    model.network.conv_out.weight.mul_(30)
    return model


@pytest.fixture
def clip() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (6, 32, 48, 3), dtype=np.uint8)


@pytest.fixture
def masks() -> dict[int, np.ndarray]:
    first, second = np.zeros((32, 48), bool), np.zeros((32, 48), bool)
    first[4:16, 4:20], second[18:30, 24:44] = True, True
    return {7: first, 300: second}


@torch.inference_mode()
def test_the_published_mask_schedule(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    """First masks on the first frame and once more on the second; then the network's own, from frame to frame."""
    model = make()
    session = model.session()
    session.add(masks)
    answers = [session.push(frame)[0] for frame in clip]
    given = torch.stack([torch.from_numpy(m).float() for m in masks.values()])[None]
    previous, before = given, None
    for t, frame in enumerate(clip):
        image = normalise(torch.from_numpy(frame).permute(2, 0, 1)[None])
        logits, states = run_frame(model.network, model.network.encode(image), 2, previous, before, "spatial-temporal")
        before = [state.hidden for state in states]
        found = torch.sigmoid(resize(logits, torch.Size((32, 48))))
        if t >= 1:
            previous = found
            odds = answers[t].probabilities[1:].log() - answers[t].probabilities[:1].log()
            logit = torch.logit(found[0].clamp(1e-7, 1 - 1e-7))
            background = torch.logit((1 - found[0]).prod(dim=0).clamp(1e-7, 1 - 1e-7))
            torch.testing.assert_close(odds, logit - background, atol=2e-3, rtol=1e-3)
    assert answers[0].prompted
    assert np.array_equal(answers[0].labels == 300, masks[300])


def test_the_encoder_runs_once_a_frame_whatever_the_objects(
    clip: np.ndarray, masks: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    calls = []
    encode = model.network.encode
    monkeypatch.setattr(model.network, "encode", lambda image: calls.append(1) or encode(image))
    many = dict.fromkeys(range(1, 14), masks[7])
    found = list(segment(clip, {0: many}, model))
    assert len(calls) == len(clip)
    assert found[-1].object_ids == tuple(range(1, 14))


def test_an_object_that_starts_late_takes_a_slot_of_its_own(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    model = make()
    found = list(segment(clip, {0: {7: masks[7]}, 3: {300: masks[300]}}, model))
    assert [p.object_ids for p in found] == [(7,)] * 3 + [(7, 300)] * 3
    assert np.array_equal(found[3].labels == 300, masks[300])
    alone = list(segment(clip, {0: {7: masks[7]}}, model))
    assert torch.equal(alone[2].probabilities, found[2].probabilities)


def test_a_removed_object_leaves_the_others_where_they_are(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    session = make().session()
    session.add(masks)
    session.push(clip[0])
    session.remove(7)
    assert session.push(clip[1])[0].object_ids == (300,)


@pytest.mark.parametrize("merging", ["soft", "published"])
@pytest.mark.parametrize("gone", [1, 2, 5])
def test_those_that_stay_keep_their_slots(clip: np.ndarray, merging: str, gone: int) -> None:
    """With the published merging as well, which has slots of its own: each is painted from its own proposal."""
    given = {i: np.zeros((32, 48), bool) for i in (1, 2, 5)}
    for mask, left in zip(given.values(), (0, 16, 32), strict=True):
        mask[:, left : left + 16] = True
    session = make(merging=merging).session()
    session.add(given)
    for frame in clip[:2]:
        session.push(frame)
    owners = {i: session._painter.slot_of[i] for i in given} if merging == "published" else {}
    session.remove(gone)
    answer = session.push(clip[2])[0]
    assert answer.object_ids == tuple(i for i in given if i != gone)
    if owners:
        closed = 1 + [*given].index(gone)
        for i in answer.object_ids:
            before = owners[gone] if owners[i] == closed else owners[i]
            assert session._painter.slot_of[i] == before - (before > closed)


def test_a_slot_that_is_closed_moves_those_behind_it_up() -> None:
    """Also where objects have each other's proposals."""
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    proposals = {1: np.roll(mask, 1, axis=0), 2: mask, 3: np.roll(mask, 2, axis=0)}
    owners = FirstFrameAssignment(3)
    owners.appear({7: proposals[2], 8: proposals[3], 9: proposals[1]}, proposals)
    assert owners.slot_of == {7: 2, 8: 3, 9: 1}
    owners.leave(8, 2)  # the second proposal goes, which is that of 7; that of 8 is free, and is the second now
    assert owners.slot_of == {7: 2, 9: 1}
    labels = owners.paint({1: proposals[1], 2: proposals[3]}, {}, (4, 4))
    assert labels[1].tolist() == [9] * 4
    assert labels[2].tolist() == [7] * 4


@pytest.mark.parametrize("merging", ["soft", "published"])
def test_answers_are_probabilities(clip: np.ndarray, masks: dict[int, np.ndarray], merging: str) -> None:
    for prediction in segment(clip, {0: masks}, make(merging=merging)):
        torch.testing.assert_close(prediction.probabilities.sum(0), torch.ones(32, 48), atol=1e-4, rtol=0)
        assert set(np.unique(prediction.labels)) <= {0, 7, 300}


@pytest.mark.parametrize("recurrence", ["spatial-temporal", "spatial", "temporal"])
def test_zero_shot_finds_objects_with_stable_ids(clip: np.ndarray, recurrence: str) -> None:
    model = make(one_shot=False, objectness=0.5, recurrence=recurrence, slots=4)
    model.network.conv_out.bias.add_(1.0)
    found = list(segment(clip, None, model))
    assert len(found) == len(clip)
    seen: tuple[int, ...] = ()
    for prediction in found:
        assert set(seen) <= set(prediction.object_ids) <= {1, 2, 3, 4}
        seen = prediction.object_ids
    assert seen
    assert list(segment(clip, None, make(one_shot=False, objectness=1.0)))[-1].object_ids == ()


@pytest.mark.parametrize(("apart", "found"), [(1.0, [1, 2, 3]), (0.7, [1, 3]), (0.2, [1])])
def test_a_slot_that_finds_a_known_object_once_more_is_no_object_of_its_own(apart: float, found: list[int]) -> None:
    """Slot 2 is slot 1 but for a row; slot 3 shares three tenths of what both fill with slot 1."""
    masks = torch.zeros(3, 32, 48)
    masks[0, 0:16], masks[1, 0:15], masks[2, 9:23] = 0.9, 0.9, 0.9
    session = make(one_shot=False, slots=3, apart=apart).session()
    session._discover(masks)
    assert session._found == found
    session._discover(masks)  # nor later
    assert session._found == found


@pytest.mark.parametrize(("least", "found"), [(1e-3, [2, 3]), (0.1, [3]), (0.5, [])])
def test_a_zero_shot_slot_must_fill_the_share_that_is_asked(least: float, found: list[int]) -> None:
    masks = torch.full((3, 40, 50), 0.2)
    masks[1, :4, :5] = 0.9  # a hundredth
    masks[2, :20, :20] = 0.6  # a fifth
    session = make(one_shot=False, slots=3, least=least).session()
    session._discover(masks)
    assert session._found == found


def test_zero_shot_resumes_with_the_same_bits(clip: np.ndarray) -> None:
    model = make(one_shot=False, slots=3)
    whole = list(segment(clip, None, model))
    session = model.session()
    for frame in clip[:3]:
        session.push(frame)
    again = model.session()
    again.restore(session.state())
    for t in (3, 4, 5):
        assert torch.equal(again.push(clip[t])[0].probabilities, whole[t].probabilities)


def test_masks_and_tasks_must_fit(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    with pytest.raises(InputError, match="finds objects by itself"):
        next(segment(clip, {0: masks}, make(one_shot=False)))
    with pytest.raises(InputError, match="needs the masks of at least one frame"):
        next(segment(clip, None, make()))
    with pytest.raises(InputError, match="no frame to go back from"):
        next(segment(clip, None, make(one_shot=False), direction="both"))
    session = make(one_shot=False).session()
    session.add(masks)
    with pytest.raises(InputError, match="Leave the masks out"):
        session.push(clip[0])


def test_the_command_line_without_a_mask(tmp_path: Path, clip: np.ndarray) -> None:
    from PIL import Image

    (tmp_path / "frames").mkdir()
    for t, frame in enumerate(clip):
        Image.fromarray(frame).save(tmp_path / f"frames/{t:05d}.png")
    model = make(one_shot=False, slots=3)
    save_method(tmp_path / "zero.safetensors", "rvos", model.config, model.state_dict())
    arguments = [
        "segment",
        str(tmp_path / "frames"),
        "--weights",
        str(tmp_path / "zero.safetensors"),
        "--device",
        "cpu",
    ]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == len(clip)
    assert main(["segment", str(tmp_path / "frames"), "-o", str(tmp_path / "out2")]) == 2


LOSSES: tuple[dict[str, float], ...] = (
    {"inferred": 0.0},
    {"inferred": 1.0, "entropy": 0.5},
    {"any_slot": 1.0, "empty": 0.1, "slots": 4.0},
)
RECURRENCES = ("spatial-temporal", "spatial", "temporal")


@pytest.mark.parametrize(
    ("one_shot", "recurrence", "options"),
    [((i + j) % 2 == 0, RECURRENCES[i], LOSSES[j]) for i in range(3) for j in range(3)],  # any two meet
)
def test_variants_train_five_steps(one_shot: bool, recurrence: str, options: dict[str, float]) -> None:
    torch.manual_seed(0)
    model = RVOS(RVOSConfig(**TINY, one_shot=one_shot, recurrence=recurrence))  # type: ignore[arg-type]
    labels = torch.zeros(2, 3, 32, 48, dtype=torch.long)
    labels[:, :, 4:20, 6:22], labels[:, :, 20:30, 28:44] = 1, 2
    images = torch.randn(2, 3, 3, 32, 48) * 0.3 + labels[:, :, None]
    optimiser = torch.optim.Adam(model.network.parameters(), lr=2e-3)
    losses = []
    for _ in range(5):
        lesson = clip_loss(model.network, ClipBatch(images, labels, 2), **options)
        optimiser.zero_grad()
        lesson.loss.backward()
        optimiser.step()
        losses.append(lesson.loss.item())
    assert lesson.probabilities.shape == (2, 2, 3, 32, 48)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("task", ["zero-shot", "unsupervised"])
def test_zero_shot_is_benchmarked_without_masks(tmp_path: Path, clip: np.ndarray, task: str) -> None:
    import json

    from PIL import Image

    for t, frame in enumerate(clip):
        for folder, array in (("JPEGImages", frame), ("Annotations", (frame[..., 0] > 0).astype(np.uint8))):
            path = tmp_path / "data" / folder / "a" / f"{t:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    model = make(one_shot=False, slots=3)
    save_method(tmp_path / "zero.safetensors", "rvos", model.config, model.state_dict())
    arguments = ["benchmark", "rvos-zeroshot", "--dataset", f"pairs:{tmp_path}/data", "--task", task, "--jobs", "1"]
    weights = ["--weights", str(tmp_path / "zero.safetensors"), "--device", "cpu"]
    assert main([*arguments, *weights, "-o", str(tmp_path / "run")]) == 0
    record = json.loads((tmp_path / "run/scores.json").read_text())
    assert record["protocol"]["matching"] == ("first-frame" if task == "zero-shot" else "hungarian")
    wrong = [*arguments[:4], "--task", "semi", "--jobs", "1"]
    assert main([*wrong, *weights, "-o", str(tmp_path / "semi")]) == 2
    unsaid = [*arguments[:4], "--jobs", "1", "--option", "merging=published"]
    assert main([*unsaid, *weights, "-o", str(tmp_path / "unsaid")]) == 0
    assert json.loads((tmp_path / "unsaid/scores.json").read_text())["method"]["config"]["merging"] == "published"


@pytest.mark.parametrize("one_shot", [True, False])
def test_losses_under_bfloat16_autocast(one_shot: bool) -> None:
    torch.manual_seed(0)
    model = RVOS(RVOSConfig(**TINY, one_shot=one_shot))  # type: ignore[arg-type]
    labels = torch.zeros(1, 2, 32, 48, dtype=torch.long)
    labels[:, :, 4:20, 6:22] = 1
    with torch.autocast("cpu", torch.bfloat16):
        lesson = clip_loss(model.network, ClipBatch(torch.randn(1, 2, 3, 32, 48), labels, 1))
    lesson.loss.backward()
    assert lesson.loss.dtype == torch.float32
    assert torch.isfinite(lesson.loss)


def test_the_shape_of_frames_is_kept_on_request() -> None:
    config = RVOSConfig(size=(192, 336), keep_aspect=True)
    assert config.working_size((854, 480)) == (192, 336)
    assert config.working_size((480, 854)) == (336, 192)
    assert config.working_size((256, 256)) == (256, 256)
    assert config.working_size((4000, 10)) == (32, 5072)
    assert RVOSConfig().working_size((480, 854)) == (256, 448)
    model = make(keep_aspect=True)
    session = model.session()
    session.add({1: np.ones((60, 30), bool)})
    assert session.push(np.zeros((60, 30, 3), np.uint8))[0].labels.shape == (60, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"merging": "hard"}, "merging 'hard' is not known; use soft or published"),
        ({"recurrence": "none"}, "recurrence 'none' is not known"),
        ({"size": 256}, "size 256 is not known; use 2 values with commas, each a whole number of at least 32"),
        ({"slots": 0}, "slots is 0; give a whole number of at least 1"),
        ({"keep_aspect": 3}, "keep_aspect 3 is not known; use true or false"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make().session(**options)
