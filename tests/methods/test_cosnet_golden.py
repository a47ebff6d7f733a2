"""COSNet against numbers computed by its authors' network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rotoscope
from conftest import tiny
from rotoscope.errors import CheckpointError
from rotoscope.layers.normalise import normalise
from rotoscope.layers.resnet import Bottleneck
from rotoscope.methods.cosnet import COSNet, COSNetConfig, network
from rotoscope.methods.cosnet.config import Joined
from rotoscope.methods.cosnet.network import as_input, enlarge

Golden = Callable[[str], Mapping[str, np.ndarray]]
SIZE = (97, 161)
PROBABILITIES, FEATURES = 1e-4, 1e-3
"""Tolerances: those of the golden files' own page; half precision adds its rounding."""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, golden_weights: Callable[[str], dict[str, Tensor]]) -> COSNet:
    """Golden weights through a file as the authors' training wrote it."""
    path = tmp_path_factory.mktemp("cosnet") / "co_attention.pth"
    torch.save({"epoch": 59, "model": {f"module.{k}": v for k, v in golden_weights("cosnet").items()}}, path)
    model = rotoscope.load(path, precision="exact", device="cpu")
    path.unlink()
    assert isinstance(model, COSNet)
    assert model.config == COSNetConfig()
    return model


@pytest.fixture(scope="module")
def features(released: COSNet, golden: Golden) -> Tensor:
    """Of the query and three references, ``[4, 256, 13, 21]``."""
    with torch.inference_mode():
        return released.network.encode(as_input(frames(golden), True))


def frames(golden: Golden) -> Tensor:
    return torch.from_numpy(golden("cosnet")["frames"]).permute(0, 3, 1, 2)


def close(ours: Tensor, theirs: np.ndarray, tolerance: float, relative: float = 0.0) -> None:
    half = 1e-3 if theirs.dtype == np.float16 else 0.0
    torch.testing.assert_close(ours, torch.from_numpy(theirs.astype(np.float32)), atol=tolerance + half, rtol=relative)


def soft(logits: Tensor) -> Tensor:
    return torch.sigmoid(enlarge(logits, SIZE))[0, 0]


@torch.inference_mode()
def test_every_stage(released: COSNet, features: Tensor, golden: Golden) -> None:
    data, net = golden("cosnet"), released.network
    query, reference = features[:1], features[1:2]
    close(query[0, ::8], data["query_features"], FEATURES, FEATURES)
    close(soft(net.single(query)), data["single_frame_output"], PROBABILITIES)
    affinity = (net.attention.queries(query) @ net.attention.keys(reference).transpose(1, 2))[0]
    close(affinity[::3, ::3], data["affinity"], FEATURES, FEATURES)
    found = net.attention(query, reference)
    close(found[0, ::8], data["attended_query"], FEATURES, FEATURES)
    close(torch.sigmoid(net.gate(found))[0, 0], data["gate_query"], PROBABILITIES)
    close(net.attention(reference, query, back=True)[0, ::8], data["attended_reference"], FEATURES, FEATURES)
    ahead, back = net.pair(query, reference)
    close(ahead[0, 0], data["logits_query_lowres"], FEATURES, FEATURES)
    close(soft(ahead), data["output_query"], PROBABILITIES)
    close(soft(back), data["output_reference"], PROBABILITIES)


@pytest.mark.parametrize("fusion", ["prediction", "summary"])
@torch.inference_mode()
def test_fusion_of_references(released: COSNet, features: Tensor, golden: Golden, fusion: str) -> None:
    ours = released.network.segment(features[:1], features[1:], SIZE, Joined(fusion))  # type: ignore[arg-type]
    close(ours, golden("cosnet")[f"{fusion}_fusion"], PROBABILITIES)


def test_through_a_session(released: COSNet, golden: Golden) -> None:
    """From pixels to the mask, with the very references of the golden file: all other frames of the clip."""
    data = golden("cosnet")
    with rotoscope.open_video(data["frames"]) as video:
        session = released.session(video, references=3, sampling="consecutive", size=SIZE)
        found = session.push(video[0])[0]
    close(found.probabilities[1], data["prediction_fusion"], PROBABILITIES)
    assert np.array_equal(found.labels == 1, data["prediction_fusion"] > 0.5)


OF_THE_TRUNK = ("RGB", "divided by 255", "stride on the 3x3", "first dilation")
OF_THE_HEADS = (
    "W transposed",
    "scaled",
    "other softmax",
    "no gate",
    "[V, Z]",
    "other head",
    "corners",
    "mean of logits",
)


@pytest.fixture
def undo() -> Iterator[list[Callable[[], None]]]:
    steps: list[Callable[[], None]] = []
    yield steps
    for step in steps:
        step()


def change(undo: list[Callable[[], None]], holder: object, name: str, value: object) -> None:
    before = getattr(holder, name)
    undo.append(lambda: setattr(holder, name, before))
    setattr(holder, name, value)


@pytest.mark.parametrize("mistake", OF_THE_TRUNK)
@torch.inference_mode()
def test_mistakes_in_the_trunk_are_seen(
    released: COSNet, golden: Golden, undo: list[Callable[[], None]], mistake: str
) -> None:
    """Each of them moves the features by far more than the tolerance."""
    net = released.network
    image = as_input(frames(golden)[:1], True)
    if mistake == "RGB":
        image = image.flip(1)
    elif mistake == "divided by 255":
        image = normalise(frames(golden)[:1])
    elif mistake == "stride on the 3x3":
        block = net.trunk.get_submodule("layer2.0")
        assert isinstance(block, Bottleneck)
        change(undo, block.conv1, "stride", (1, 1))
        change(undo, block.conv2, "stride", (2, 2))
    else:
        layer = net.trunk.get_submodule("layer4.0.conv2")
        change(undo, layer, "dilation", (2, 2))
        change(undo, layer, "padding", (2, 2))
    theirs = torch.from_numpy(golden("cosnet")["query_features"])
    assert (net.encode(image)[0, ::8] - theirs).abs().max() > 0.1


@torch.inference_mode()
def test_mistakes_in_the_pyramid_are_seen(released: COSNet, golden: Golden, undo: list[Callable[[], None]]) -> None:
    aspp = released.network.aspp
    deep = released.network.trunk(as_input(frames(golden)[:1], True))[-1]
    theirs = torch.from_numpy(golden("cosnet")["query_features"])
    assert (aspp(deep)[0, ::8] - theirs).abs().max() < FEATURES
    for name, value in (("branches", aspp.branches[::-1]), ("prelu", nn.ReLU())):
        change(undo, aspp, name, value)
        assert (aspp(deep)[0, ::8] - theirs).abs().max() > 0.1, name
        undo.pop()()


def test_the_pooling_takes_in_an_incomplete_last_cell() -> None:
    """Which the golden sizes, and the published one, do not have: 96 pixels are 48 and 25 cells, then 13."""
    model = tiny("cosnet")
    assert isinstance(model, COSNet)
    assert model.network.encode(torch.zeros(1, 3, 96, 96)).shape[-2:] == (13, 13)
    assert model.network.encode(torch.zeros(1, 3, 97, 97)).shape[-2:] == (13, 13)


@pytest.mark.parametrize("mistake", OF_THE_HEADS)
@torch.inference_mode()
def test_mistakes_in_attention_and_heads_are_seen(
    released: COSNet,
    features: Tensor,
    golden: Golden,
    undo: list[Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
    mistake: str,
) -> None:
    net = released.network
    attention = net.attention
    if mistake == "W transposed":
        weight = attention.similarity.weight
        change(undo, attention.similarity, "weight", nn.Parameter(weight.T.contiguous(), requires_grad=False))
    elif mistake == "scaled":
        change(undo, attention, "scale", 256**-0.5)
    elif mistake == "other softmax":

        def over_queries(query: Tensor, reference: Tensor, back: bool = False) -> Tensor:
            scores = attention.queries(query) @ attention.keys(reference).transpose(1, 2)
            summary = torch.softmax(scores, dim=1) @ reference.flatten(2).transpose(1, 2)
            return summary.transpose(1, 2).unflatten(2, tuple(query.shape[-2:]))

        monkeypatch.setattr(attention, "forward", over_queries)
    elif mistake == "no gate":
        monkeypatch.setattr(net.gate, "forward", lambda z: torch.full_like(z[:, :1], 50.0))
    elif mistake == "[V, Z]":
        weight = net.query_head.conv.weight
        turned = nn.Parameter(torch.cat(weight.chunk(2, dim=1)[::-1], dim=1), requires_grad=False)
        change(undo, net.query_head.conv, "weight", turned)
    elif mistake == "other head":
        change(undo, net, "query_head", net.reference_head)
    elif mistake == "corners":
        monkeypatch.setattr(
            network, "enlarge", lambda x, size: F.interpolate(x, size=size, mode="bilinear", align_corners=True)
        )
    if mistake == "mean of logits":
        logits = net.query_head(net.summary(features[:1], features[1:]), features[:1])
        ours = soft(logits.mean(dim=0, keepdim=True))
    else:
        ours = net.segment(features[:1], features[1:], SIZE, Joined("prediction"))
    assert (ours - torch.from_numpy(golden("cosnet")["prediction_fusion"])).abs().max() > 100 * PROBABILITIES


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "co_attention.pth"
    state = {"encoder.layer5.bottleneck.weight": torch.zeros(8, 20, 3, 3), "linear_e.weight": torch.zeros(8, 8)}
    torch.save({"model": state}, path)
    with pytest.raises(CheckpointError, match=r"does not fit cosnet: main_classifier1\.weight is missing"):
        rotoscope.load(path, method="cosnet", device="cpu")
    torch.save({"model": state | {"main_classifier1.weight": torch.zeros(1, 8, 1, 1), "odd": torch.zeros(1)}}, path)
    with pytest.raises(CheckpointError, match=r"does not fit the network: network\.trunk\.conv1\.weight is missing"):
        rotoscope.load(path, device="cpu")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="truncated"):
        rotoscope.load(path, device="cpu")
    with pytest.raises(CheckpointError, match="folder without the files"):
        rotoscope.load(tmp_path, device="cpu")


def test_a_narrower_network_of_the_released_layout_is_read_off_its_shapes() -> None:
    from rotoscope.methods.cosnet.official import config_of

    shapes = {
        "encoder.layer5.bottleneck.weight": torch.zeros(12, 5 * 20, 3, 3),
        "encoder.layer1.0.conv3.weight": torch.zeros(1),
    }
    shapes |= {
        f"encoder.layer{s}.{i}.conv1.weight": torch.zeros(1) for s, n in enumerate((3, 4, 6, 3), 1) for i in range(n)
    }
    assert config_of(shapes) == COSNetConfig(trunk="resnet50", aspp_dim=20, dim=12)
