from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rotoscope.layers.aggregation import aggregate, aggregate_logits
from rotoscope.layers.canvas import Canvas
from rotoscope.layers.losses import bootstrapped_cross_entropy, correspondence_loss, dice_loss
from rotoscope.layers.normalise import normalise
from rotoscope.layers.precision import apply_precision, fold_batch_norms
from rotoscope.layers.resnet import ResNet
from rotoscope.methods.schedule import hardest_share


def test_aggregation_by_hand() -> None:
    found = aggregate(torch.tensor([[0.8], [0.5]]))[:, 0]
    odds = torch.tensor([0.1 / 0.9, 0.8 / 0.2, 1.0])
    torch.testing.assert_close(found, odds / odds.sum())
    torch.testing.assert_close(aggregate(torch.tensor([[1.0]]))[:, 0], torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)
    assert torch.isfinite(aggregate_logits(torch.tensor([[0.0], [1.0]]))).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("count", [1, 3])
def test_aggregation_of_half_precision_is_finite_and_learns(dtype: torch.dtype, count: int) -> None:
    own = torch.tensor([[-40.0, -5.0, 0.0, 9.0, 40.0]]).repeat(count, 1).to(dtype).requires_grad_()
    logits = aggregate_logits(torch.sigmoid(own))
    assert torch.isfinite(logits).all()
    torch.softmax(logits, dim=0)[1:].square().sum().backward()
    assert own.grad is not None
    assert torch.isfinite(own.grad).all()
    assert own.grad[0, 2] != 0
    assert torch.isfinite(aggregate(torch.sigmoid(own.detach()))).all()


@pytest.mark.parametrize("size", [(854, 480), (16, 16), (101, 149), (1, 1), (1920, 1080)])
def test_canvas_there_and_back(size: tuple[int, int]) -> None:
    canvas = Canvas.fit(size, max_short_side=480)
    assert canvas.padded[0] % 16 == canvas.padded[1] % 16 == 0
    assert min(canvas.work) <= 480
    left, right, top, bottom = canvas.padding
    assert 0 <= right - left <= 1
    assert 0 <= bottom - top <= 1
    image = canvas.image(np.full((size[1], size[0], 3), 127, np.uint8), torch.device("cpu"))
    assert image.shape == (1, 3, canvas.padded[1], canvas.padded[0])
    mask = torch.zeros(1, size[1], size[0])
    mask[:, : size[1] // 2] = 1
    back = canvas.restore(canvas.masks(mask))
    assert back.shape == mask.shape
    if canvas.work == canvas.size:
        assert torch.equal(back, mask)


def test_canvas_padding_is_zero_after_normalising() -> None:
    canvas = Canvas.fit((17, 16))
    image = canvas.image(np.full((16, 17, 3), 200, np.uint8), torch.device("cpu"))
    left = canvas.padding[0]
    assert canvas.padding == (7, 8, 0, 0)
    assert not image[..., :left].any()
    assert image[..., left].all()


@pytest.mark.parametrize("size", [(854, 480), (16, 16), (101, 149), (8, 40), (1, 1)])
def test_canvas_with_a_mirrored_border(size: tuple[int, int]) -> None:
    width, height = size
    canvas = Canvas.fit(size, border="mirror")
    left, right, top, bottom = canvas.padding
    assert (left - right) in (0, 1)
    assert (top - bottom) in (0, 1)
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    mask = torch.from_numpy(image[..., 0] > 100).float()[None]
    padded, masks = canvas.image(image, torch.device("cpu")), canvas.masks(mask)
    assert padded.shape[-2:] == masks.shape[-2:] == canvas.padded[::-1]
    assert torch.equal(canvas.restore(masks), mask)
    expected = np.pad(image, ((0, 0), (left, right), (0, 0)), "reflect" if left < width else "edge")
    expected = np.pad(expected, ((top, bottom), (0, 0), (0, 0)), "reflect" if top < height else "edge")
    torch.testing.assert_close(padded[0], normalise(torch.from_numpy(expected).permute(2, 0, 1)))
    assert torch.equal(masks[0], torch.from_numpy(expected[..., 0] > 100).float())


def test_canvas_mirrors_854_by_five_on_both_sides() -> None:
    assert Canvas.fit((854, 480), border="mirror").padding == (5, 5, 0, 0)
    assert Canvas.fit((849, 479), border="mirror").padding == (8, 7, 1, 0)


def test_canvas_resizes_up_and_down() -> None:
    assert Canvas.fit((1280, 720), short_side=480).work == (853, 480)
    assert Canvas.fit((320, 240), short_side=480).work == (640, 480)
    assert Canvas.fit((320, 240), max_short_side=480).work == (320, 240)
    area = Canvas.fit((64, 32), short_side=16, resizing="area")
    assert area.masks(torch.ones(1, 32, 64)).shape == (1, 16, 32)


def test_normalise_takes_bytes_and_floats() -> None:
    image = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    torch.testing.assert_close(normalise(image), normalise(image.float() / 255))
    torch.testing.assert_close(normalise(torch.full((3, 1, 1), 0.5))[0, 0, 0].item(), (0.5 - 0.485) / 0.229)


def test_bootstrapped_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[[[2.0, 0.0, -1.0, 3.0]], [[0.0, 0.0, 1.0, 0.0]]]])  # [1, 2, 1, 4]
    labels = torch.tensor([[[0, 1, 0, 0]]])
    each = torch.log1p(torch.exp(torch.tensor([-2.0, 0.0, 2.0, -3.0])))
    torch.testing.assert_close(bootstrapped_cross_entropy(logits, labels), each.mean())
    hardest = bootstrapped_cross_entropy(logits, labels, hardest=0.5)
    torch.testing.assert_close(hardest, (each[1] + each[2]) / 2)


def test_dice_by_hand() -> None:
    probabilities = torch.tensor([[[[1.0, 0.5]], [[0.3, 0.3]]]])
    targets = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]])
    valid = torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(dice_loss(probabilities, targets, valid), torch.tensor(1 - 3.0 / 3.5))


def test_correspondence_by_hand() -> None:
    memory = torch.tensor([[[0.0, 10, 10], [0.0, 90, 90], [1.0, 10, 10]]])
    query = torch.tensor([[[0.0, 10, 10], [2.0, 10, 10], [-1.0, 10, 10]]])  # only the first has a counterpart
    scores = torch.tensor([[[2.0, 0, 0], [0.0, 0, 0], [1.0, 0, 0]]])
    expected = torch.log(torch.exp(torch.tensor([2.0, 0.0, 1.0])).sum()) - 2
    torch.testing.assert_close(correspondence_loss(scores, memory, query), expected)
    assert correspondence_loss(scores, memory, query[:, 1:].repeat(1, 2, 1)[:, :3]) == 0


def test_hardest_share_falls_linearly() -> None:
    assert [hardest_share(s, 10, 20) for s in (0, 10, 20, 99)] == pytest.approx([1.0, 1.0, 0.15, 0.15])
    assert hardest_share(15, 10, 20) == pytest.approx(0.575)


@pytest.mark.parametrize("depth", [18, 50])
def test_folding_batch_norms_changes_nothing(depth: int) -> None:
    torch.manual_seed(0)
    network = ResNet(depth, stages=3, width=8).eval()  # type: ignore[arg-type]
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias)
    image = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        plain = network(image)
        fold_batch_norms(network)
        folded = network(image)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    for ours, theirs in zip(folded, plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_resnet_strides_and_channels() -> None:
    network = ResNet(101, stages=4)
    assert network.channels == [256, 512, 1024, 2048]
    assert sum(p.numel() for p in network.parameters()) == 42_500_160
    features = ResNet(18, stages=3, channels_in=5, width=16).eval()(torch.randn(1, 5, 64, 64))
    assert [tuple(f.shape[1:]) for f in features] == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]


@pytest.mark.parametrize(("depth", "stride"), [(18, 16), (50, 16), (50, 8)])
def test_dilated_stages_compute_what_strided_ones_do_between_their_cells(depth: int, stride: int) -> None:
    """Every second cell of a stage that gave up its stride equals the strided stage's cell."""
    torch.manual_seed(0)
    strided = ResNet(depth, width=8).eval()  # type: ignore[arg-type]
    dilated = ResNet(depth, width=8, output_stride=stride).eval()  # type: ignore[arg-type]
    dilated.load_state_dict(strided.state_dict())
    image = torch.randn(1, 3, 128, 192)
    with torch.no_grad():
        coarse, fine = strided(image)[-1], dilated(image)[-1]
    step = 32 // stride
    assert fine.shape[-1] == step * coarse.shape[-1]
    torch.testing.assert_close(fine[:, :, ::step, ::step], coarse, atol=1e-3, rtol=1e-3)


def test_dilation_of_the_last_stage() -> None:
    layer = ResNet(101, output_stride=16).get_submodule("layer4")
    found = [(m.dilation[0], m.padding[0], m.stride[0]) for n, m in layer.named_modules() if n.endswith(".conv2")]  # type: ignore[index]
    assert found == [(1, 1, 1), (2, 2, 1), (2, 2, 1)]


def test_prepare_bfloat16_casts_weights() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).eval()
    apply_precision(network, "fast", bfloat16=True)
    assert all(p.dtype == torch.bfloat16 for p in network.parameters())
    assert F.relu(network(torch.randn(1, 3, 8, 8, dtype=torch.bfloat16))).dtype == torch.bfloat16
