from __future__ import annotations

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rotoscope.layers.blocks import CellConv2d
from rotoscope.layers.packed import NAMES, PackedConv2d, fused, has_packed
from rotoscope.layers.precision import apply_precision, pack_convolutions

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
SHAPES = {
    "1x1": nn.Conv2d(6, 8, 1),
    "3x3": nn.Conv2d(6, 8, 3, 1, 1),
    "strided": nn.Conv2d(6, 8, 3, 2, 1, bias=False),
    "dilated": nn.Conv2d(6, 8, 3, 1, 4, 4),
    "depthwise": nn.Conv2d(6, 6, 5, 1, 2, groups=6),
}


def test_where_there_is_onednn_convolutions_are_packed() -> None:
    """An error of ours in them would otherwise look like a PyTorch without them, and every network be slow unseen."""
    assert has_packed()


def test_asking_draws_no_random_numbers() -> None:
    """A seed that is set before a network is opened means the same after it."""
    has_packed.cache_clear()
    before = torch.get_rng_state()
    has_packed(torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("activation", NAMES)
def test_a_packed_convolution_gives_what_the_plain_one_gives(name: str, activation: str) -> None:
    plain = SHAPES[name].requires_grad_(False)
    packed = PackedConv2d.of(plain)
    for size, added in itertools.product(((9, 12), (16, 5)), (False, True)):
        x = 4 * torch.randn(2, 6, *size)
        plus = torch.randn_like(plain(x)) if added else None
        with torch.inference_mode():
            ours = fused(x, packed, activation=activation, plus=plus)
            theirs = fused(x, plain, activation=activation, plus=plus)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
        assert packed._packed is not None, "it was computed in the plain way"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_what_onednn_does_not_pack_here_is_computed_in_the_plain_way(dtype: torch.dtype) -> None:
    """bfloat16 on a processor with AVX2 only, float16 on most; none of it may end a run."""
    plain = nn.Conv2d(6, 8, 3, 1, 1).requires_grad_(False).to(dtype)
    packed = PackedConv2d.of(plain)
    x = torch.randn(2, 6, 9, 12).to(dtype)
    with torch.inference_mode():
        ours = packed(x)
        wanted = F.conv2d(x.double(), plain.weight.double(), plain.bias.double(), padding=1)
    assert (packed._packed is not None) == has_packed(dtype)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.double(), wanted, atol=8 * torch.finfo(dtype).eps, rtol=0.02)


def test_weights_that_change_are_packed_again() -> None:
    packed = PackedConv2d.of(nn.Conv2d(2, 3, 1).requires_grad_(False))
    x = torch.randn(1, 2, 4, 4)
    with torch.no_grad():
        packed(x)
        packed.weight.mul_(-2)
        torch.testing.assert_close(packed(x), F.conv2d(x, packed.weight, packed.bias))


def test_gradients_still_reach_what_comes_before() -> None:
    packed = PackedConv2d.of(nn.Conv2d(2, 3, 1))
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    fused(x, packed, activation="relu6").sum().backward()
    assert x.grad is not None
    assert packed.weight.grad is not None


def test_a_copy_packs_its_own_weights() -> None:
    packed = PackedConv2d.of(nn.Conv2d(2, 3, 1).requires_grad_(False))
    x = torch.randn(1, 2, 4, 4)
    with torch.inference_mode():
        answer = packed(x)
        twin = copy.deepcopy(packed)
        assert twin._packed is None
        assert torch.equal(twin(x), answer)


def test_a_convolution_of_cells_is_one_of_unshuffled_pixels() -> None:
    cells = CellConv2d(3, 5, 4).requires_grad_(False)
    x = torch.randn(2, 3, 16, 24)
    theirs = F.conv2d(F.pixel_unshuffle(x, 4), cells.weight, cells.bias)
    torch.testing.assert_close(cells(x), theirs)
    model = nn.Sequential(cells)
    pack_convolutions(model)
    assert isinstance(model[0], PackedConv2d)
    with torch.inference_mode():
        torch.testing.assert_close(model(x), theirs)


def test_the_fast_form_keeps_the_names_and_bytes_of_weights() -> None:
    model = nn.Sequential(CellConv2d(3, 5, 2), nn.Conv2d(5, 4, 3)).requires_grad_(False).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    apply_precision(model, "fast", bfloat16=False)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name].flatten(), tensor.flatten()) for name, tensor in before.items())


def test_exact_stays_plain() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    apply_precision(model, "exact", bfloat16=False)
    assert type(model[0]) is nn.Conv2d
