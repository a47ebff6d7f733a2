"""COSNet's losses, the rows of its tables, and the published size."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import TINY
from rotoscope.experiments.ablate import find_ablation, find_recipe_of
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss
from rotoscope.methods.cosnet import COSNet, COSNetConfig, COSNetNetwork
from rotoscope.methods.cosnet.ablations import ABLATIONS
from rotoscope.methods.cosnet.config import Joined
from rotoscope.methods.cosnet.graphs import portable
from rotoscope.methods.cosnet.network import as_input
from rotoscope.methods.cosnet.training import RECIPES, SMALL, attention_loss, clip_loss
from rotoscope.runs.segment import segment
from rotoscope.training.optimiser import freeze, hold_norms
from rotoscope.training.run import new_method

NARROW = {"aspp_dim": 8, "dim": 16, "dilations": (1, 2), "size": (48, 64)}


def scene(frames: int = 2, size: int = 64) -> tuple[Tensor, Tensor]:
    """A bright square that moves over noise: images ``[1, T, 3, S, S]`` and labels."""
    torch.manual_seed(1)
    labels = torch.zeros(1, frames, size, size, dtype=torch.long)
    for t in range(frames):
        labels[:, t, 8 + 4 * t : 40 + 4 * t, 4 + 12 * t : 36 + 12 * t] = 1
    colours = torch.tensor([[-0.5, 0.2, 0.1], [1.0, -0.6, 0.3]])
    return colours[labels].permute(0, 1, 4, 2, 3) + 0.3 * torch.randn(1, frames, 3, size, size), labels


def learn(network: COSNetNetwork, images: Tensor, labels: Tensor, **options: float) -> ClipLoss:
    lesson = clip_loss(network, ClipBatch(images, labels, 1), **options)
    network.zero_grad(set_to_none=True)
    lesson.loss.backward()
    for name, parameter in network.named_parameters():  # several processes wait for each of them
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    return lesson


@pytest.mark.parametrize("row", ABLATIONS["cosnet-attention"].rows, ids=lambda row: row.name)
def test_every_row_of_the_attention_table_trains_and_segments(row: object, clip: np.ndarray) -> None:
    recipe = find_recipe_of(find_ablation("cosnet-attention")).changed(row.settings)  # type: ignore[attr-defined]
    model = new_method(dataclasses.replace(recipe, config={**recipe.config, **NARROW}))
    assert isinstance(model, COSNet)
    assert model.config.attention == dict(part.split("=") for part in row.settings)["config.attention"]  # type: ignore[attr-defined]
    images, labels = scene()
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=1e-3)
    losses = []
    for step in range(5):
        few = 1 if step % 3 == 0 else 2
        lesson = learn(model.network, images[:, :few], labels[:, :few], **recipe.loss)
        optimiser.step()
        losses.append(lesson.loss.item())
        assert lesson.probabilities.shape == (1, few - 1, 2, 64, 64)
    assert np.isfinite(losses).all()
    model.requires_grad_(False).eval()
    found = list(segment(clip[:3], None, model, references=2))
    assert found[-1].object_ids == (1,)
    assert torch.isfinite(found[-1].probabilities).all()


@pytest.mark.parametrize("table", ["cosnet-fusion", "cosnet-sampling", "cosnet-references"])
def test_every_row_of_the_other_tables_segments(table: str, clip: np.ndarray) -> None:
    torch.manual_seed(7)
    model = COSNet(COSNetConfig(**TINY["cosnet"])).eval()  # type: ignore[arg-type]
    model.requires_grad_(False)
    for row in ABLATIONS[table].rows:
        found = list(segment(clip[:4], None, model, **row.options))
        assert [prediction.object_ids for prediction in found] == [(1,)] * 4, row.name


def test_losses_by_hand() -> None:
    """With heads that say one half everywhere, each part is known."""
    network = COSNetNetwork(COSNetConfig(**TINY["cosnet"]))  # type: ignore[arg-type]
    for layer in (network.saliency, network.query_head.predict, network.reference_head.predict):
        torch.nn.init.zeros_(layer.weight)
        assert layer.bias is not None
        torch.nn.init.zeros_(layer.bias)
    images, labels = scene()
    share = labels.float().mean().item()
    assert share == 0.25
    half, log2 = 0.5, float(np.log(2))
    released = clip_loss(network, ClipBatch(images, labels, 1))
    # both frames: cross-entropy over the share, and 0.8 of 1/2
    assert released.loss.item() == pytest.approx(2 * (log2 / share + 0.8 * half), rel=1e-5)
    assert released.parts == pytest.approx({"entropy": 2 * log2 / share, "distance": 2 * half}, rel=1e-5)
    balanced = clip_loss(network, ClipBatch(images, labels, 1), balanced=1.0, l1=0.0)
    assert balanced.loss.item() == pytest.approx(2 * log2 * 2 * share * (1 - share), rel=1e-5)
    still = clip_loss(network, ClipBatch(images[:, :1], labels[:, :1], 1))
    assert still.loss.item() == pytest.approx(0.1 * (log2 / share + 0.8 * half), rel=1e-5)
    longer = clip_loss(network, ClipBatch(*scene(3), 1))  # a mean over pairs
    assert longer.loss.item() == pytest.approx(released.loss.item(), rel=0.05)


def test_several_objects_are_one() -> None:
    torch.manual_seed(0)
    network = COSNetNetwork(COSNetConfig(**TINY["cosnet"])).eval()  # type: ignore[arg-type]
    images, labels = scene()
    two = labels.clone()
    two[..., 20:30] *= 2
    assert torch.equal(
        clip_loss(network, ClipBatch(images, labels, 1)).loss, clip_loss(network, ClipBatch(images, two, 2)).loss
    )


def test_what_each_kind_of_step_teaches() -> None:
    network = COSNetNetwork(COSNetConfig(**TINY["cosnet"], attention="symmetric"))  # type: ignore[arg-type]
    images, labels = scene()

    def taught(few: int) -> set[str]:
        learn(network, images[:, :few], labels[:, :few])
        named = network.named_parameters()
        return {name.split(".")[0] for name, p in named if p.grad is not None and bool((p.grad != 0).any())}

    assert taught(1) == {"trunk", "aspp", "saliency"}
    assert taught(2) == {"trunk", "aspp", "attention", "gate", "query_head", "reference_head"}
    torch.nn.init.normal_(network.attention.project.weight)
    losses = [clip_loss(network, ClipBatch(images, labels, 1), orthogonal=weight).loss.item() for weight in (0.0, 1.0)]
    assert losses[1] - losses[0] == pytest.approx(network.attention.irregularity().item(), rel=1e-3)


def test_pairs_are_encoded_in_the_network_s_own_colours() -> None:
    image = torch.rand(1, 3, 8, 8)
    ours = as_input(image, True)
    assert ours[0, 0, 0, 0].item() == pytest.approx(255 * image[0, 2, 0, 0].item() - 104.00699, abs=1e-3)
    assert torch.equal(
        as_input((image * 255).round().to(torch.uint8), True), as_input((image * 255).round() / 255, True)
    )


def test_losses_under_bfloat16_autocast() -> None:
    network = COSNetNetwork(COSNetConfig(**TINY["cosnet"]))  # type: ignore[arg-type]
    images, labels = scene()
    with torch.autocast("cpu", torch.bfloat16):
        lesson = clip_loss(network, ClipBatch(images, labels, 1))
    lesson.loss.backward()
    assert lesson.loss.dtype == torch.float32
    assert torch.isfinite(lesson.loss)


def test_the_small_network_learns_a_clip_by_heart() -> None:
    torch.manual_seed(0)
    network = COSNetNetwork(COSNetConfig(**{**SMALL, "aspp_dim": 32, "dim": 32}))  # type: ignore[arg-type]
    images, labels = scene()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for step in range(70):
        lesson = clip_loss(network, ClipBatch(images, labels, 1), **RECIPES["cosnet-small"].loss)
        optimiser.zero_grad()
        lesson.loss.backward()
        optimiser.step()
        ours, truth = lesson.probabilities.argmax(dim=2) == 1, labels[:, 1:] == 1
        score = ((ours & truth).sum() / (ours | truth).sum()).item()
        if score > 0.9 and step > 5:
            break
    assert score > 0.9


def test_the_published_size_runs_on_a_480p_frame() -> None:
    torch.manual_seed(0)
    model = COSNet().eval()
    model.requires_grad_(False)
    session = model.session(references=1, size=(145, 145))  # at the published 473x473 a frame takes ten times as long
    frame = np.random.default_rng(0).integers(0, 256, (480, 854, 3), dtype=np.uint8)
    found = session.push(frame)[0]
    assert found.probabilities.shape == (2, 480, 854)
    assert torch.isfinite(found.probabilities).all()
    kept = sum(value.numel() for name, value in session.state().items() if name.startswith("memory.reference."))
    assert kept == 256 * 19 * 19


def test_the_published_size_trains() -> None:
    torch.manual_seed(0)
    network = COSNetNetwork(COSNetConfig())
    recipe = RECIPES["cosnet"]
    freeze(network, recipe.frozen)
    network.train()
    hold_norms(network, recipe)
    images, labels = scene()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, 1e-5, momentum=0.9)
    losses = []
    for step in range(5):
        few = 1 if step % 3 == 0 else 2
        lesson = clip_loss(
            network, ClipBatch(F.interpolate(images[0, :few], size=(33, 33))[None], _small(labels[:, :few]), 1)
        )
        optimiser.zero_grad()
        lesson.loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 10.0)
        optimiser.step()
        losses.append(lesson.loss.item())
    assert np.isfinite(losses).all()
    pairs = [loss for step, loss in enumerate(losses) if step % 3]
    assert pairs[-1] < pairs[0]


def _small(labels: Tensor) -> Tensor:
    return F.interpolate(labels.float(), size=(33, 33)).long()


def network_config(**changes: object) -> COSNetConfig:
    return COSNetConfig(**{**SMALL, **NARROW, "trunk": "resnet18", **changes})  # type: ignore[arg-type]


def network_of(**changes: object) -> COSNetNetwork:
    torch.manual_seed(2)
    return COSNetNetwork(network_config(**{"look_dim": 0, "sharpness": 0.0, **changes})).eval()


@pytest.mark.parametrize("kind", ["vanilla", "symmetric", "channel"])
@pytest.mark.parametrize("back", [False, True])
@torch.inference_mode()
def test_shares_are_what_a_plain_softmax_gives_to_a_part(kind: str, back: bool) -> None:
    attention = network_of(attention=kind, scaled=True).attention
    one, other = torch.randn(1, 16, 3, 4), torch.randn(1, 16, 2, 5)
    part = torch.rand(1, 10)
    asks, answers = (attention.keys, attention.queries) if back else (attention.queries, attention.keys)
    q, k = asks(one)[0], answers(other)[0]
    found = attention.shares(one, other, part, back)
    for cell in range(12):
        weights = torch.softmax(torch.tensor([float(q[cell] @ k[j]) / 4 for j in range(10)]), dim=0)
        assert found[0, cell].item() == pytest.approx(float(weights @ part[0]), abs=1e-5)


@torch.inference_mode()
def test_sharpened_attention_does_not_depend_on_the_size_of_features() -> None:
    one, other, part = torch.randn(1, 16, 3, 4), torch.randn(1, 16, 3, 4), torch.rand(1, 12)
    for sharpness, same in ((20.0, True), (0.0, False)):
        attention = network_of(sharpness=sharpness).attention
        found = [attention.shares(factor * one, factor * other, part) for factor in (1.0, 3.0)]
        assert torch.allclose(*found, atol=1e-5) == same


def test_attention_loss_is_least_where_the_object_looks_at_itself() -> None:
    """Features that tell the object from all else cost nothing; the same ones of a frame without it cost much."""
    network = network_of(sharpness=25.0)
    mask = torch.zeros(1, 64, 64)
    mask[:, 16:40, 8:32] = 1
    moved = mask.roll(16, dims=-1)

    def features(of: Tensor) -> Tensor:
        return torch.cat(
            [F.avg_pool2d(of[:, None], 8), 1 - F.avg_pool2d(of[:, None], 8), torch.zeros(1, 14, 8, 8)], dim=1
        )

    right = attention_loss(network, features(mask), features(moved), mask, moved)
    wrong = attention_loss(network, features(mask), features(mask.roll(32, dims=-2)), mask, moved)
    assert right.item() < 0.05 < 1 < wrong.item()


@torch.inference_mode()
def test_cells_compared_by_channels_of_their_own() -> None:
    """What is kept of a frame is wider; answers, graphs and the encoder's own saliency go on."""
    network = network_of(look_dim=6, sharpness=25.0)
    config = network_config(look_dim=6, sharpness=25.0)
    images = torch.randn(3, 3, 48, 64)
    features = network.encode(images)
    assert features.shape[1] == config.kept_dim == 22
    query, references = features[:1], features[1:]
    summary = network.summary(query, references)
    assert summary.shape[1] == 17
    assert summary[:, -1].abs().max() <= 1 + 1e-5
    itself = network.summary(query, query)[:, -1]
    assert itself.mean() > summary[:, -1].mean()  # what was found is the cell itself
    for fusion in ("prediction", "summary", "group"):
        assert network.segment(query, references, (48, 64), Joined(fusion)).shape == (48, 64)
    graphs = {graph.name: graph for graph in portable(network, config).graphs}
    assert graphs["encode"].outputs[0].axes[1] == 22
    ahead, back = network.pair(features[:1], features[1:2])
    torch.testing.assert_close(ahead, network.logits(features[:1], features[1:2], Joined("prediction")))
    assert back.shape == ahead.shape
