"""GIEL's loss, its recipes' beginnings, and the rows of its tables."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import tiny
from rotoscope.errors import InputError
from rotoscope.experiments.ablate import find_ablation, find_recipe_of
from rotoscope.layers.normalise import denormalise
from rotoscope.methods.ablation import Row
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.giel import GIEL, GIELConfig
from rotoscope.methods.giel.ablations import ABLATIONS
from rotoscope.methods.giel.training import RECIPES, TRUST, _memorise, _spoilt, clip_loss, worth_loss
from rotoscope.runs.segment import segment
from rotoscope.training.run import new_method
from rotoscope.training.trunk import begin, begin_trunk, transferred

TINY = {
    "trunk": "resnet18",
    "support_width": 8,
    "shared": False,
    "key_dim": 16,
    "value_dim": 16,
    "decoder_dims": (16, 16, 8),
    "label_dim": 8,
    "coarse_dim": 8,
}
ROWS = [pytest.param(row, id=row.name) for row in ABLATIONS["giel"].rows]
VARIANTS: dict[str, dict[str, object]] = {
    "paper": {},
    "small": {"keys": "query", "similarity": "l2", "kernel": 3},
    "fast": {"refine": False, "output": "fast"},
    "no global": {"global_embedding": False},
    "values judged": {"judged": "values", "keys": "query", "similarity": "l2"},
    "values judged, no global": {"judged": "values", "global_embedding": False},
    "product, similarity": {"product": True, "temporal_attention": "similarity", "binary_support": True},
    "each object, common keys": {"instance_embedding": False, "keys": "query"},
    "stm": {"instance_embedding": False, "others": True, "temporal_attention": "none"},
}


def make(**config: object) -> GIEL:
    torch.manual_seed(3)
    return GIEL(GIELConfig(**{**TINY, **config}))  # type: ignore[arg-type]


def scene(frames: int = 4) -> tuple[Tensor, Tensor]:
    """Two objects that move: images ``[1, T, 3, 64, 64]`` and labels."""
    labels = torch.zeros(1, frames, 64, 64, dtype=torch.long)
    for t in range(frames):
        labels[:, t, 6 + 2 * t : 30 + 2 * t, 4 + 4 * t : 28 + 4 * t] = 1
        labels[:, t, 40:60, 36 - 3 * t : 60 - 3 * t] = 2
    colours = torch.tensor([[-0.5, 0.2, 0.1], [1.0, -0.6, 0.3], [0.2, 0.9, -1.0]])
    torch.manual_seed(1)
    return colours[labels].permute(0, 1, 4, 2, 3) + 0.2 * torch.randn(1, frames, 3, 64, 64), labels


@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_training_and_sessions_find_the_same(variant: str) -> None:
    """Two ways through the same network: batches of clips with dense reads, and a bank with frames one by one."""
    model = make(**VARIANTS[variant]).eval()
    for decoder in (model.network.decoder, model.network.refine):
        if decoder is not None:
            decoder.pred.weight.mul_(5)
    images, labels = scene()
    both = clip_loss(
        model.network, ClipBatch(torch.cat([images, images.flip(-1)]), torch.cat([labels, labels.flip(-1)]), 2)
    )
    opened = model.session(memory="every:1", include_last=False)
    frames = denormalise(images[0]).clamp(0, 1).permute(0, 2, 3, 1).contiguous().numpy()
    both_again = clip_loss(model.network, ClipBatch(_normalised(frames), labels, 2))
    opened.add({i: (labels[0, 0] == i).numpy() for i in (1, 2)})
    found = torch.stack([opened.push(frame)[0].probabilities for frame in frames])[1:]
    torch.testing.assert_close(found, both_again.probabilities[0], atol=1e-3, rtol=0)
    assert both.probabilities.shape == (2, 3, 3, 64, 64)
    assert torch.isfinite(both.loss)


def _normalised(frames: np.ndarray) -> Tensor:
    from rotoscope.layers.normalise import normalise

    return normalise(torch.from_numpy(frames).permute(0, 3, 1, 2))[None]


def test_the_loss_by_hand() -> None:
    """All logits 0: the full output is even, the fast one a quarter, the global map even."""
    model = make()
    images, labels = scene(3)
    one = labels * (labels == 1)
    net = model.network
    for layer in (net.decoder.pred, net.refine.pred, net.coarse.leave):  # type: ignore[union-attr]
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    share = (one[:, 1:] == 1).float().mean().item()
    full = math.log(2)  # background and object have the same odds
    quarter = -(share * math.log(0.1) + (1 - share) * math.log(0.9))  # odds of 1/3 and 3
    lesson = clip_loss(net, ClipBatch(images, one, 1))
    assert lesson.parts["cross_entropy"] == pytest.approx(full, rel=1e-4)
    assert lesson.parts["auxiliary"] == pytest.approx(quarter, rel=1e-4)
    assert lesson.parts["global"] == pytest.approx(math.log(2), rel=1e-4)
    assert lesson.loss.item() == pytest.approx(2 * (full + quarter + math.log(2)), rel=1e-4)  # two predicted frames
    weighed = clip_loss(net, ClipBatch(images, one, 1), fast=0.5, union=0.25, dice=2.0)
    total = full + 0.5 * quarter + 0.25 * math.log(2) + 2 * weighed.parts["dice"]
    assert weighed.loss.item() == pytest.approx(2 * total, rel=1e-4)
    places = torch.zeros(1, 3, 4, 4, 3)
    looking = clip_loss(net, ClipBatch(images, one, 1, places=places), correspondence=0.5)
    assert looking.loss.item() == pytest.approx(
        lesson.loss.item() + looking.parts["correspondence"], rel=1e-4
    )  # half of it, twice
    assert "global" not in clip_loss(make(global_embedding=False).network, ClipBatch(images, one, 1)).parts


def test_an_object_that_is_not_there_changes_nothing() -> None:
    model = make().eval()
    images, labels = scene(3)
    two = clip_loss(model.network, ClipBatch(images, labels, 3))
    alone = clip_loss(model.network, ClipBatch(images, labels, 2))
    torch.testing.assert_close(two.parts["global"], alone.parts["global"], atol=1e-5, rtol=0)
    assert two.parts["cross_entropy"] == pytest.approx(alone.parts["cross_entropy"], abs=1e-4)
    assert two.probabilities[:, :, 3].max() < 1e-5
    late = labels.clone()
    late[:, 0] *= late[:, 0] == 1  # the second object appears only later: it does not exist
    torch.testing.assert_close(
        clip_loss(model.network, ClipBatch(images, late, 2)).loss,
        clip_loss(model.network, ClipBatch(images, labels * (labels == 1), 2)).loss,
    )
    assert torch.isfinite(clip_loss(model.network, ClipBatch(images, labels * 0, 2)).loss)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_trains_and_segments(row: Row) -> None:
    recipe = find_recipe_of(find_ablation("giel")).changed(row.settings)
    smaller = {"support_width": 8, "value_dim": 16, "decoder_dims": (16, 16, 8), "key_dim": 16}
    model = new_method(dataclasses.replace(recipe, config={**recipe.config, **smaller}))
    assert isinstance(model, GIEL)
    images, labels = scene()
    places = torch.zeros(1, 4, 4, 4, 3)
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=1e-3)
    losses = []
    for _ in range(5):
        lesson = clip_loss(model.network, ClipBatch(images, labels, 2, places=places), correspondence=0.3, dice=1.0)
        optimiser.zero_grad()
        lesson.loss.backward()
        for name, parameter in model.network.named_parameters():  # several processes wait for each of them
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        optimiser.step()
        losses.append(lesson.loss.item())
    assert losses[-1] < losses[0]
    model.requires_grad_(False).eval()
    frames = np.random.default_rng(0).integers(0, 255, (3, 32, 48, 3), dtype=np.uint8)
    mask = np.zeros((32, 48), bool)
    mask[4:20, 4:20] = True
    found = list(segment(frames, {0: {7: mask, 300: ~mask}}, model))
    assert found[-1].object_ids == (7, 300)
    assert torch.isfinite(found[-1].probabilities).all()


def test_rows_change_what_they_say() -> None:
    base = find_recipe_of(find_ablation("giel"))
    made = {row.name: GIELConfig(**base.changed(row.settings).config) for row in ABLATIONS["giel"].rows}  # type: ignore[arg-type]
    nets = {name: GIEL(config).network for name, config in made.items()}
    assert nets["without instance embedding"].labels is None
    assert nets["without global embedding"].decoder is None
    assert nets["without temporal attention"].temporal is None
    assert nets["without refine decoder"].refine is None
    whole = nets["GIEL"]
    assert None not in (whole.labels, whole.decoder, whole.temporal, whole.refine, whole.coarse)
    rows = {row.name: row.options for row in ABLATIONS["giel-support"].rows}
    model = tiny("giel")
    assert len({model.session(**options).config.memory for options in rows.values()}) == len(rows) == 8  # type: ignore[attr-defined]


def test_the_network_learns_a_clip_by_heart() -> None:
    torch.manual_seed(0)
    recipe = RECIPES["giel-small"]
    model = new_method(recipe)
    begin(model, recipe)
    images, labels = scene(3)
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=1e-3)  # type: ignore[union-attr,arg-type]
    least = 0.0
    for _ in range(120):  # 30 are enough on some processors
        lesson = clip_loss(model.network, ClipBatch(images, labels, 2), dice=1.0)  # type: ignore[arg-type]
        found = lesson.probabilities.argmax(dim=2)
        pairs = [(found == slot, labels[:, 1:] == slot) for slot in (1, 2)]
        least = min(float((ours & truth).sum() / (ours | truth).sum()) for ours, truth in pairs)
        if least > 0.9:
            break
        optimiser.zero_grad()
        lesson.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 3.0)
        optimiser.step()
    assert least > 0.9


def test_losses_under_bfloat16_autocast() -> None:
    network = make().network
    images, labels = scene(3)
    with torch.autocast("cpu", torch.bfloat16):
        lesson = clip_loss(network, ClipBatch(images, labels, 2), dice=1.0)
    lesson.loss.backward()
    assert lesson.loss.dtype == torch.float32
    assert torch.isfinite(lesson.loss)


def test_the_small_network_begins_as_the_first_stcn_small_where_they_are_alike() -> None:
    """With its keys and, moved from before the batch norms into them, its value encoder's biases."""
    import rotoscope

    stcn = rotoscope.load("stcn-small-resnet18", device="cpu", precision="exact")
    model = new_method(RECIPES["giel-small"].changed(["config.trunk=resnet18"])).eval()
    begin_trunk(model, "giel", "stcn-small-resnet18")
    theirs, ours = stcn.network, model.network
    image, mask = torch.randn(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        features = theirs.encode_key(image)  # type: ignore[union-attr,operator]
        torch.testing.assert_close(ours.encode_query(image).key, features.key, atol=1e-4, rtol=1e-4)  # type: ignore[union-attr,operator]
        seen = torch.cat([image, mask], dim=1)
        without = torch.cat([seen, torch.zeros_like(mask)], dim=1)
        for a, b in zip(ours.support_encoder(seen), theirs.value_encoder(without), strict=True):  # type: ignore[union-attr,operator]
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_stm_begins_all_that_fits() -> None:
    stm, giel = make(**VARIANTS["stm"], kernel=3), make(kernel=3)
    state = {name.removeprefix("network."): tensor for name, tensor in stm.state_dict().items()}
    ours = {name.removeprefix("network."): tensor for name, tensor in giel.state_dict().items()}
    taken = transferred("giel", ours, "giel", state)
    fitting = {name for name, tensor in taken.items() if name in ours and ours[name].shape == tensor.shape}
    assert {name.split(".")[0] for name in set(ours) - fitting} == {"temporal", "labels", "coarse"}
    assert torch.equal(taken["refine.enter.weight"], state["decoder.enter.weight"])
    assert torch.equal(taken["support_encoder.conv1.weight"], state["support_encoder.conv1.weight"][:, :4])
    bare = {"conv1.weight": torch.ones(8, 3, 7, 7), "layer1.0.conv1.weight": torch.ones(8, 8, 3, 3)}
    taken = transferred("giel", ours, "", bare)
    assert torch.equal(taken["support_encoder.conv1.weight"][:, :3], bare["conv1.weight"])
    assert torch.equal(taken["support_encoder.conv1.weight"][:, 3:], ours["support_encoder.conv1.weight"][:, 3:])
    assert transferred("giel", ours, "rvos", bare) == {}


def test_worth_is_nothing_where_weights_follow_the_quality_of_masks() -> None:
    quality = torch.tensor([[1.0, 0.75, 0.5]])
    right = 3 * torch.softmax(quality / TRUST, dim=1)
    assert worth_loss(right, quality).item() == pytest.approx(0.0, abs=1e-6)
    assert worth_loss(torch.ones(1, 1), torch.tensor([[0.3]])).item() == pytest.approx(0.0, abs=1e-6)
    target = torch.softmax(quality / TRUST, dim=1)
    by_hand = (target * (3 * target).log()).sum().item()
    assert worth_loss(torch.ones(1, 3), quality).item() == pytest.approx(by_hand, abs=1e-6)
    scores = torch.zeros(1, 3, requires_grad=True)
    worth_loss(3 * torch.softmax(scores, dim=1), quality).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0] < 0 < scores.grad[0, 2]  # more for the first, less for the last


def test_training_tells_spoilt_support_frames_from_others() -> None:
    """What the attention sees of a frame depends on its masks only where it sees values."""
    images, labels = scene(2)
    probabilities = F.one_hot(labels, 3).permute(0, 1, 4, 2, 3)[:, 0].float()
    wrong = probabilities.roll(20, dims=-1)
    for judged, differs in (("keys", False), ("values", True)):
        network = make(judged=judged, keys="query", similarity="l2").eval().network
        features = network.encode_query(images[:, 0])
        seen = [_memorise(network, images[:, 0], features, p, 1 - p[:, :1])[0].own for p in (probabilities, wrong)]
        assert bool((seen[0] - seen[1]).abs().max() > 1e-5) == differs, judged


def test_spoilt_masks_are_still_probabilities() -> None:
    probabilities = torch.softmax(torch.randn(8, 4, 32, 32), dim=1)
    together = 1 - probabilities[:, :1]
    torch.manual_seed(0)
    found, union = _spoilt(probabilities, together, 1.0)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(8, 32, 32))
    assert found.min() >= -1e-6
    changed = (found != probabilities).flatten(1).any(dim=1)
    assert changed.sum() >= 6
    torch.testing.assert_close(union[changed], 1 - found[changed, :1])
    same, kept = _spoilt(probabilities, together, 0.0)
    torch.testing.assert_close(same, probabilities)
    assert torch.equal(kept, together)


def test_values_cannot_be_judged_where_each_object_has_its_own() -> None:
    with pytest.raises(InputError, match="judged=values"):
        GIELConfig(judged="values", instance_embedding=False)
