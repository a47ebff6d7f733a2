"""A-GAME sessions: objects that come, go, hide, are corrected; heads in one batch; every ablation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.experiments.ablate import find_ablation, find_recipe_of
from rotoscope.layers.precision import apply_precision
from rotoscope.methods.agame import AGAME, AGAMEConfig, session
from rotoscope.methods.agame.ablations import ABLATIONS
from rotoscope.methods.agame.appearance import Appearance, moments, residuals
from rotoscope.methods.agame.network import Memory, aggregate_pairs
from rotoscope.methods.agame.session import AGAMESession
from rotoscope.methods.agame.training import RECIPES, SMALL, clip_loss
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.schedule import Schedule
from rotoscope.runs.segment import segment, segment_to_folder
from rotoscope.training.run import new_method
from rotoscope.video import open_video

TINY = {"trunk": "resnet18", "appearance_dim": 16, "propagation_dim": 16, "decoder_dim": 16, "mean_scores": True}
ROWS = [pytest.param(row, id=row.name) for row in ABLATIONS["agame"].rows]


def make(**config: object) -> AGAME:
    torch.manual_seed(3)
    model = AGAME(AGAMEConfig(**{**TINY, **config}))  # type: ignore[arg-type]
    model.requires_grad_(False).eval()
    model.network.upsampling.predict.weight.mul_(3)
    return model


@pytest.fixture
def clip() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (6, 64, 96, 3), dtype=np.uint8)


@pytest.fixture
def masks() -> dict[int, np.ndarray]:
    first, second = np.zeros((64, 96), bool), np.zeros((64, 96), bool)
    first[4:30, 4:40], second[34:60, 40:90] = True, True
    return {7: first, 300: second}


def memory_of(opened: AGAMESession) -> Memory:
    assert opened._memory is not None
    return opened._memory


def test_heads_in_one_batch_equal_heads_one_by_one(
    clip: np.ndarray, masks: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    many = {i: np.roll(masks[7], (3 * i, 5 * i), (0, 1)) for i in range(1, 12)}
    together = list(segment(clip, {0: many}, model))
    for at_once in (1, 4):
        monkeypatch.setattr(session, "OBJECTS_AT_ONCE", at_once)
        for ours, theirs in zip(segment(clip, {0: many}, model), together, strict=True):
            torch.testing.assert_close(ours.probabilities, theirs.probabilities, atol=1e-4, rtol=0)
    assert together[-1].object_ids == tuple(range(1, 12))


def test_the_backbone_runs_once_a_frame_whatever_the_objects(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    model = make()
    calls: list[int] = []
    model.network.backbone.register_forward_hook(lambda *_: calls.append(1))
    for count in (1, 2, 13):
        calls.clear()
        list(segment(clip, {0: dict.fromkeys(range(1, count + 1), masks[7]), 3: {99: masks[300]}}, model))
        assert len(calls) == len(clip)


def hiding(probability: float) -> AGAME:
    """A network whose predictions are everywhere this sure of the target."""
    model = make()
    model.network.upsampling.predict.weight.zero_()
    model.network.upsampling.predict.bias.copy_(torch.tensor([1 - probability, probability]).log())  # type: ignore[union-attr]
    return model


def test_a_frozen_model_does_not_forget_who_hides(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    for frozen, probability, unchanged in ((True, 0.01, True), (False, 0.01, False), (True, 0.9, False)):
        opened = hiding(probability).session(freeze_hidden=frozen)
        opened.add({7: masks[7]})
        opened.push(clip[0])
        before = memory_of(opened)
        for frame in clip[1:4]:
            opened.push(frame)
        after = memory_of(opened)
        assert torch.equal(before.mean, after.mean) == unchanged
        assert torch.equal(before.variance, after.variance) == unchanged
        assert not torch.equal(before.previous, after.previous)  # where it was is remembered all the same


def test_without_freezing_who_hides_is_forgotten(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    """The released code's drift: the mean goes to 0 and the variance to its floor, by a tenth a frame."""
    model = hiding(1e-6)
    opened = model.session()
    opened.add({7: masks[7]})
    opened.push(clip[0])
    before = memory_of(opened)
    for _ in range(5):
        opened.push(clip[1])
    after = memory_of(opened)
    torch.testing.assert_close(after.mean[:, 1], before.mean[:, 1] * 0.9**5, atol=1e-4, rtol=1e-3)


def test_only_hidden_objects_are_frozen(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    model = make()
    opened = model.session(freeze_hidden=True)
    opened.add({1: masks[7], 2: np.zeros((64, 96), bool)})
    opened.push(clip[0])
    before = memory_of(opened)
    found = opened.push(clip[1])[0]
    after = memory_of(opened)
    for row in range(2):
        seen = bool((found.probabilities[1 + row] > 0.5).any())
        assert torch.equal(before.mean[row], after.mean[row]) != seen


def same(ours: list[Prediction], theirs: list[Prediction]) -> bool:
    return all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("config", [{}, {"appearance": "none"}, {"propagation": False}, {"appearance": "softmax"}])
def test_a_resumed_session_goes_on_with_the_same_bits(
    clip: np.ndarray, masks: dict[int, np.ndarray], config: dict[str, object]
) -> None:
    model = make(**config)
    whole = list(segment(clip, {0: {7: masks[7]}, 3: {300: masks[300]}}, model))
    opened = model.session()
    opened.add({7: masks[7]})
    found = [opened.push(frame)[0] for frame in clip[:3]]
    opened.add({300: masks[300]})
    again = model.session()
    again.restore(opened.state())
    assert same([*found, *(again.push(frame)[0] for frame in clip[3:])], whole)


@pytest.mark.parametrize("config", [{"appearance": "none"}, {"propagation": False}])
def test_variants_without_a_branch_resume_from_disk(
    tmp_path: Path, clip: np.ndarray, masks: dict[int, np.ndarray], config: dict[str, object]
) -> None:
    """What they do not remember is a tensor without entries, which the file must hold too."""

    class StopError(Exception):
        pass

    def stop(prediction: Prediction) -> None:
        if prediction.index == 2:
            raise StopError

    model = make(**config)
    with open_video(clip) as video, pytest.raises(StopError):
        segment_to_folder(video, {0: masks}, model, tmp_path / "a", state_every=1, on_frame=stop)
    with open_video(clip) as video:
        report = segment_to_folder(video, {0: masks}, model, tmp_path / "a", state_every=1, resume=True)
    assert 0 < report.resumed_at <= 2
    with open_video(clip) as video:
        segment_to_folder(video, {0: masks}, model, tmp_path / "b")
    for path in (tmp_path / "b").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


def test_an_object_given_later(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    model = make()
    found = list(segment(clip, {0: {7: masks[7]}, 3: {300: masks[300]}}, model))
    assert [p.object_ids for p in found] == [(7,)] * 3 + [(7, 300)] * 3
    assert found[3].prompted
    assert np.array_equal(found[3].labels == 300, masks[300])
    alone = list(segment(clip, {0: {7: masks[7]}}, model))
    assert torch.equal(alone[2].probabilities, found[2].probabilities)
    predicted = list(segment(clip, {0: {7: masks[7]}, 3: {300: masks[300]}}, model, predict_given=True))
    assert not np.array_equal(predicted[3].labels == 300, masks[300])
    assert np.array_equal(predicted[0].labels == 7, masks[7])  # on the first frame there is nothing to predict


def test_a_corrected_object_begins_anew(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    model = make()
    opened = model.session()
    opened.add(masks)
    for frame in clip[:3]:
        opened.push(frame)
    opened.add({300: masks[7]})
    found = opened.push(clip[3])[0]
    assert found.object_ids == (7, 300)
    assert np.array_equal(found.labels == 300, masks[7])
    fresh = model.session()
    fresh.add({300: masks[7]})
    fresh.push(clip[3])
    for ours, theirs in zip(memory_of(opened), memory_of(fresh), strict=True):
        torch.testing.assert_close(ours[1], theirs[0], atol=1e-5, rtol=0)


def test_a_removed_object_leaves_the_others_as_they_are(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    opened = make().session()
    opened.add(masks)
    opened.push(clip[0])
    kept = memory_of(opened).mean[1].clone()
    opened.remove(7)
    assert torch.equal(memory_of(opened).mean[0], kept)
    assert opened.push(clip[1])[0].object_ids == (300,)
    opened.remove(300)
    assert opened.push(clip[2])[0].object_ids == ()
    opened.add({7: masks[7]})
    assert np.array_equal(opened.push(clip[3])[0].labels == 7, masks[7])


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 40), (16, 16), (101, 149), (149, 101)])
@pytest.mark.parametrize("mask", ["half", "pixel", "empty", "full"])
def test_any_size_and_mask(size: tuple[int, int], mask: str) -> None:
    width, height = size
    frames = np.random.default_rng(1).integers(0, 255, (3, height, width, 3), dtype=np.uint8)
    shown = np.zeros((height, width), bool)
    shown[{"half": np.s_[: height // 2], "pixel": np.s_[:1, :1], "empty": np.s_[:0], "full": np.s_[:]}[mask]] = True
    found = list(segment(frames, {0: {5: shown}}, make()))
    assert np.array_equal(found[0].labels == 5, shown)
    for prediction in found:
        assert prediction.probabilities.shape == (2, height, width)
        assert torch.isfinite(prediction.probabilities).all()
        torch.testing.assert_close(prediction.probabilities.sum(0), torch.ones(height, width), atol=1e-4, rtol=0)


def test_large_frames_are_shrunk() -> None:
    frame = np.zeros((400, 600, 3), np.uint8)
    mask = np.zeros((400, 600), bool)
    mask[100:300, 100:300] = True
    opened = make().session(max_short_side=64)
    opened.add({1: mask})
    assert opened.push(frame)[0].probabilities.shape == (2, 400, 600)
    assert memory_of(opened).previous.shape == (1, 2, 4, 6)


def test_recurrences_differ_only_in_the_mask_that_is_carried_on(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    model = make()
    found = {name: list(segment(clip, {0: masks}, model, recurrence=name)) for name in ("aggregated", "own", "coarse")}
    for name in ("own", "coarse"):
        assert torch.equal(found[name][1].probabilities, found["aggregated"][1].probabilities)
        assert not torch.equal(found[name][2].probabilities, found["aggregated"][2].probabilities)


def test_aggregation_by_hand() -> None:
    pairs = torch.tensor([[0.2, 0.8], [0.6, 0.4]])[..., None, None]
    odds = torch.tensor([0.2 / 0.8, 0.8 / 0.2, 0.4 / 0.6])
    torch.testing.assert_close(aggregate_pairs(pairs)[:, 0, 0], odds / odds.sum())


def test_moments_by_hand() -> None:
    """Also far from 0, where the difference of squares would lose all digits."""
    for far in (0.0, 1000.0):
        x = torch.tensor([[[1.0, 2.0, 4.0]]]) + far
        weights = torch.tensor([[[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]])
        found = moments(x, weights, torch.full((2, 1), 0.1))
        mean = (1 + far + 0.5 * (2 + far)) / 2.5
        variance = 0.1 + ((1 + far - mean) ** 2 + 0.5 * (2 + far - mean) ** 2) / 2.5
        assert found.mean[0, 0, 0].item() == pytest.approx(mean, rel=1e-5)
        assert found.variance[0, 0, 0].item() == pytest.approx(variance, rel=1e-3)
        assert found.mean[0, 1, 0].item() == pytest.approx(0.0, abs=1e-6)
        assert found.variance[0, 1, 0].item() == pytest.approx(0.1, abs=1e-6)


def test_residuals_live_where_the_base_pair_is_wrong() -> None:
    posterior, mask = torch.tensor([[[0.9, 0.1], [0.1, 0.9]]]), torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    torch.testing.assert_close(residuals(posterior, mask), torch.tensor([[[0.9, 0.1], [0.0, 0.0]]]))


def test_the_softmax_classifier_is_linear_in_the_features() -> None:
    torch.manual_seed(0)
    module = Appearance(AGAMEConfig(appearance="softmax", appearance_dim=6), 3)
    weights = torch.rand(1, 1, 4, 4)
    model = module.fit(torch.randn(1, 6, 16), torch.cat([1 - weights, weights], dim=1))

    def log_odds(x: Tensor) -> Tensor:
        scores = module.score(x, model)
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(1, scores.shape[2]))
        return (scores[:, 1] / scores[:, 0]).log()

    a, b = torch.randn(2, 1, 6, 5).unbind()
    middle = (log_odds(a) + log_odds(b)) / 2
    torch.testing.assert_close(log_odds((a + b) / 2), middle, atol=1e-3, rtol=1e-3)


def scene() -> tuple[Tensor, Tensor]:
    """Two objects that move: images ``[1, 4, 3, 64, 64]`` and labels."""
    labels = torch.zeros(1, 4, 64, 64, dtype=torch.long)
    for t in range(4):
        labels[:, t, 6 + 2 * t : 30 + 2 * t, 4 + 4 * t : 28 + 4 * t] = 1
        labels[:, t, 40:60, 36 - 3 * t : 60 - 3 * t] = 2
    colours = torch.tensor([[-0.5, 0.2, 0.1], [1.0, -0.6, 0.3], [0.2, 0.9, -1.0]])
    torch.manual_seed(1)
    return colours[labels].permute(0, 1, 4, 2, 3) + 0.2 * torch.randn(1, 4, 3, 64, 64), labels


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_trains_and_segments(
    row: object, clip: np.ndarray, masks: dict[int, np.ndarray]
) -> None:
    recipe = find_recipe_of(find_ablation("agame")).changed(row.settings)  # type: ignore[attr-defined]
    tiny = {"appearance_dim": 16, "propagation_dim": 16, "decoder_dim": 16}
    model = new_method(dataclasses.replace(recipe, config={**recipe.config, **tiny}))
    assert isinstance(model, AGAME)
    images, labels = scene()
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=1e-3)
    for _ in range(3):
        lesson = clip_loss(model.network, ClipBatch(images, labels, 2))
        optimiser.zero_grad()
        lesson.loss.backward()
        for name, parameter in model.network.named_parameters():  # several processes wait for each of them
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        optimiser.step()
        assert torch.isfinite(lesson.loss)
    assert lesson.probabilities.shape == (1, 3, 3, 64, 64)
    model.requires_grad_(False).eval()
    found = list(segment(clip[:3], {0: masks}, model))
    assert found[-1].object_ids == (7, 300)
    assert torch.isfinite(found[-1].probabilities).all()


def test_rows_change_what_they_say() -> None:
    base = find_recipe_of(find_ablation("agame"))
    changed = {row.name: base.changed(row.settings).config for row in ABLATIONS["agame"].rows}
    networks = {name: AGAME(AGAMEConfig(**config)).network for name, config in changed.items()}  # type: ignore[arg-type]
    assert networks["A-GAME"].fusion.scores == 4
    assert networks["no appearance module"].appearance is None
    assert networks["no mask propagation"].propagation is None
    assert networks["unimodal appearance"].fusion.scores == 2
    assert networks["no update"].update_rate == 0
    with pytest.raises(InputError, match="neither appearance nor propagation"):
        make(appearance="none", propagation=False)


@pytest.mark.parametrize("end_to_end", [True, False])
def test_without_end_to_end_the_fit_is_a_constant(end_to_end: bool) -> None:
    network = AGAME(AGAMEConfig(**TINY, end_to_end=end_to_end)).network  # type: ignore[arg-type]
    appearance = network.appearance
    assert appearance is not None
    x = torch.randn(1, 16, 12, requires_grad=True)
    masks = torch.rand(1, 2, 3, 4, requires_grad=True)
    model = appearance.fit(x, masks / masks.sum(dim=1, keepdim=True))
    (model.mean.square().sum() + model.variance.sum()).backward()
    assert (x.grad is not None) == (masks.grad is not None) == end_to_end
    assert appearance.regulariser.grad is not None


def test_the_loss_by_hand() -> None:
    """Frames after the first, averaged over all frames; coarse log-probabilities are enlarged, not logits."""
    model = make()
    images, labels = scene()
    one = labels * (labels == 1)
    network = model.network
    lesson = clip_loss(network, ClipBatch(images, one, 1), auxiliary=0.5)
    network.upsampling.predict.weight.zero_()
    network.upsampling.predict.bias.zero_()  # type: ignore[union-attr]
    even = clip_loss(network, ClipBatch(images, one, 1), auxiliary=0.0)
    assert even.loss.item() == pytest.approx(np.log(2) * 3 / 4, rel=1e-5)
    assert lesson.loss.item() == pytest.approx(lesson.parts["main"] + 0.5 * lesson.parts["auxiliary"], rel=1e-5)


def test_an_object_that_is_not_there_changes_nothing() -> None:
    model = make()
    images, labels = scene()
    two = clip_loss(model.network, ClipBatch(images.repeat(2, 1, 1, 1, 1), torch.cat([labels, labels * 0]), 2))
    alone = clip_loss(model.network, ClipBatch(images, labels, 2))
    torch.testing.assert_close(two.loss, alone.loss)
    assert two.probabilities[1, :, 1:].max() < 1e-6
    nothing = clip_loss(model.network, ClipBatch(images, labels * 0, 2))
    assert torch.isfinite(nothing.loss)
    mixed = clip_loss(
        model.network, ClipBatch(images.repeat(2, 1, 1, 1, 1), torch.cat([labels * (labels == 1), labels * 0]), 1)
    )
    torch.testing.assert_close(
        mixed.loss, clip_loss(model.network, ClipBatch(images, labels * (labels == 1), 1)).loss, atol=1e-5, rtol=0
    )


def test_two_objects_of_one_clip_are_not_taken_for_two_clips() -> None:
    model = make()
    images, labels = scene()
    pair, both = torch.cat([images, images.flip(-1)]), torch.cat([labels, labels * 0])
    ours = clip_loss(model.network, ClipBatch(pair, both, 2))
    torch.testing.assert_close(ours.loss, clip_loss(model.network, ClipBatch(images, labels, 2)).loss)


def test_the_network_learns_a_clip_by_heart() -> None:
    torch.manual_seed(0)
    small = {**SMALL, "appearance_dim": 32, "propagation_dim": 32, "decoder_dim": 32}
    network = AGAME(AGAMEConfig(**small)).network  # type: ignore[arg-type]
    images, labels = scene()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    worst = 0.0
    for _ in range(60):
        lesson = clip_loss(network, ClipBatch(images, labels, 2))
        optimiser.zero_grad()
        lesson.loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimiser.step()
        found = lesson.probabilities.argmax(dim=2)
        pairs = [(found == slot, labels[:, 1:] == slot) for slot in (1, 2)]
        worst = min(((ours & truth).sum() / (ours | truth).sum()).item() for ours, truth in pairs)
        if worst > 0.9:
            break
    assert worst > 0.9


def test_losses_under_bfloat16_autocast() -> None:
    network = AGAME(AGAMEConfig(**TINY)).network  # type: ignore[arg-type]
    images, labels = scene()
    with torch.autocast("cpu", torch.bfloat16):
        features = network.encode(images[:, 0])
        assert features.described.dtype == torch.float32
        lesson = clip_loss(network, ClipBatch(images, labels, 2))
    lesson.loss.backward()
    assert lesson.loss.dtype == torch.float32
    assert torch.isfinite(lesson.loss)


def test_the_fast_form_finds_the_same(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    """In bfloat16 too, with scores of hundreds as the released network has them."""
    config = {"appearance_dim": 128, "mean_scores": False}
    exact, fast = make(**config), make(**config)
    apply_precision(fast, "fast", bfloat16=True)
    for ours, theirs in zip(segment(clip, {0: masks}, fast), segment(clip, {0: masks}, exact), strict=True):
        assert ours.probabilities.dtype == torch.float32
        assert (ours.labels == theirs.labels).mean() > 0.97


def test_recipes_build() -> None:
    for name in ("agame-small", "agame"):
        recipe = RECIPES[name]
        assert Schedule(recipe).describe()
        AGAMEConfig(**{**recipe.config, **recipe.inference})  # type: ignore[arg-type]
    small = AGAME(AGAMEConfig(**SMALL))  # type: ignore[arg-type]
    assert 2 * sum(p.numel() for p in small.parameters()) < 25e6  # bytes of a file in half precision
