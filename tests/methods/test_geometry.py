"""What enters each network, and what comes back, at sizes that need padding on one side, on all, and unevenly.

Each method's preparation is written out here once more, in plain NumPy, from what is known of the authors' code; a
session must hand its network the same picture and masks, and bring its answers back to the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from conftest import TINY, tiny
from rotoscope.methods.base import Method, Session
from rotoscope.methods.capsulevos import session as capsule_room
from rotoscope.methods.giel import GIEL
from rotoscope.methods.giel.config import STM, GIELConfig
from rotoscope.methods.rvos.network import mask_pyramid

SIZES = ((854, 480), (149, 101), (130, 100))
"""Widths and heights: 10 and 0 pixels to a multiple of 16, 11 and 11, 14 and 12."""
SMALL = SIZES[1:]
MEAN = np.float32([0.485, 0.456, 0.406])
STD = np.float32([0.229, 0.224, 0.225])
Picture = NDArray[np.uint8]


class SeenError(Exception):
    """Carries what a network was given, instead of what it would answer."""

    def __init__(self, *given: Any) -> None:
        super().__init__()
        self.given = given


def scene(size: tuple[int, int]) -> tuple[Picture, NDArray[np.bool_]]:
    """A picture that differs at every pixel, and a mask that touches the borders."""
    width, height = size
    image = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), bool)
    mask[: height // 2, width // 3 :] = True
    return image, mask


def run_through(session: Session, image: Picture) -> None:
    """Two frames; one that holds frames back runs its network at the end."""
    session.push(image)
    session.push(image)
    session.finish()


def seen_by(
    owner: object, name: str, session: Session, image: Picture, mask: NDArray[np.bool_] | None
) -> tuple[Any, ...]:
    """What a session hands to a function of its network on the first frame."""
    found: tuple[Any, ...] = ()

    def look(*given: Any, **named: Any) -> None:
        raise SeenError(*given, *named.values())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, look)
        if mask is not None:
            session.add({3: mask})
        with pytest.raises(SeenError) as caught:
            run_through(session, image)
        found = caught.value.given
    return found


def planes(image: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def margins(size: tuple[int, int], larger_first: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows above and below, columns left and right, up to multiples of 16."""
    found = []
    for side in (size[1], size[0]):
        missing = (16 - side % 16) % 16
        first = (missing + 1) // 2 if larger_first else missing // 2
        found.append((first, missing - first))
    return found[0], found[1]


def normalised_then_zeros(image: Picture, size: tuple[int, int]) -> Tensor:
    ready = (image.astype(np.float32) / 255 - MEAN) / STD
    return planes(np.pad(ready, (*margins(size, False), (0, 0))))


def black_then_normalised(image: Picture, size: tuple[int, int]) -> Tensor:
    padded = np.pad(image, (*margins(size, False), (0, 0)))
    return planes((padded.astype(np.float32) / 255 - MEAN) / STD)


def normalised_then_mirrored(image: Picture, size: tuple[int, int]) -> Tensor:
    ready = (image.astype(np.float32) / 255 - MEAN) / STD
    return planes(np.pad(ready, (*margins(size, True), (0, 0)), mode="reflect"))


def stm() -> GIEL:
    torch.manual_seed(7)
    fields = TINY["giel"] | {k: v for k, v in STM.items() if k not in TINY["giel"]}
    return GIEL(GIELConfig(**fields)).eval().requires_grad_(False)


def test_sizes_need_padding_on_each_side() -> None:
    assert [margins(size, False) for size in SIZES] == [((0, 0), (5, 5)), ((5, 6), (5, 6)), ((6, 6), (7, 7))]
    assert margins(SIZES[1], True) == ((6, 5), (6, 5))


PADDED: dict[str, tuple[Callable[[], Method], str, Callable[[Picture, tuple[int, int]], Tensor]]] = {
    "stcn": (lambda: tiny("stcn"), "encode_key", normalised_then_zeros),
    "giel": (lambda: tiny("giel"), "encode_query", normalised_then_zeros),
    "stm": (stm, "encode_query", black_then_normalised),
    "agame": (lambda: tiny("agame"), "encode", normalised_then_mirrored),
}


@pytest.mark.parametrize("name", PADDED)
def test_pictures_that_are_padded(name: str) -> None:
    make, function, plain = PADDED[name]
    model: Any = make()
    for size in SIZES:
        image, mask = scene(size)
        (given, *_) = seen_by(model.network, function, model.session(), image, mask)
        torch.testing.assert_close(given, plain(image, size), atol=1e-6, rtol=0)


def test_stm_differs_in_nothing_but_its_border() -> None:
    model: Any = stm()
    image, mask = scene(SIZES[1])
    (black, *_) = seen_by(model.network, "encode_query", model.session(), image, mask)
    (grey, *_) = seen_by(model.network, "encode_query", model.session(border="zeros"), image, mask)
    (top, _), (left, _) = margins(SIZES[1], False)
    inside = (slice(None), slice(None), slice(top, top + 101), slice(left, left + 149))
    assert torch.equal(black[inside], grey[inside])
    assert not grey[..., :top, :].any()
    torch.testing.assert_close(black[0, :, 0, 0], torch.from_numpy(-MEAN / STD))


@pytest.mark.parametrize("border", ["zeros", "black"])
def test_a_border_goes_on_after_resizing(border: str) -> None:
    """Resizing first and then padding, in either order with normalising: no border bleeds into the picture."""
    model: Any = stm()
    image = np.full((101, 149, 3), 200, np.uint8)
    session = model.session(border=border, short_side=50)
    (given, *_) = seen_by(model.network, "encode_query", session, image, np.ones((101, 149), bool))
    colour = torch.from_numpy((np.float32(200) / 255 - MEAN) / STD)[:, None, None]
    assert given.shape == (1, 3, 64, 80)
    inside = given[0, :, 7:57, 3:77]
    torch.testing.assert_close(inside, colour.expand_as(inside), atol=1e-5, rtol=0)
    outside = torch.zeros(3) if border == "zeros" else torch.from_numpy(-MEAN / STD)
    for corner in (given[0, :, 6, 40], given[0, :, 57, 40], given[0, :, 30, 2], given[0, :, 30, 77]):
        torch.testing.assert_close(corner, outside)


def padded_mask(mask: NDArray[np.bool_], size: tuple[int, int], mirrored: bool) -> Tensor:
    around = margins(size, mirrored)
    grown = np.pad(mask, around, mode="reflect") if mirrored else np.pad(mask, around)
    return torch.from_numpy(grown.astype(np.float32))


@pytest.mark.parametrize("name", ["stcn", "stm"])
@pytest.mark.parametrize("size", SMALL)
def test_masks_that_are_padded(name: str, size: tuple[int, int]) -> None:
    """Nothing of an object is in the border, and the encoder of masks sees the same picture as that of the query."""
    model: Any = PADDED[name][0]()
    image, mask = scene(size)
    function = "encode_value" if name == "stcn" else "encode_support"
    picture, *rest = seen_by(model.network, function, model.session(), image, mask)
    torch.testing.assert_close(picture, PADDED[name][2](image, size).expand_as(picture), atol=1e-6, rtol=0)
    masks = rest[1] if name == "stcn" else rest[0][:, :1]
    torch.testing.assert_close(masks[0, 0], padded_mask(mask, size, False), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", SMALL)
def test_agame_mirrors_masks_as_pictures(size: tuple[int, int]) -> None:
    model: Any = tiny("agame")
    image, mask = scene(size)
    _, pairs = seen_by(model.network, "begin", model.session(), image, mask)
    shares = F.avg_pool2d(padded_mask(mask, size, True)[None, None], 16)[0, 0]
    torch.testing.assert_close(pairs[0], torch.stack([1 - shares, shares]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_pictures_that_are_resized(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """8-bit bilinear resizing, then normalising; no padding."""
    image, mask = scene(size)
    rvos: Any = tiny("rvos")
    (given,) = seen_by(rvos.network, "encode", rvos.session(), image, mask)
    small = np.asarray(Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR))
    torch.testing.assert_close(given, planes((small.astype(np.float32) / 255 - MEAN) / STD), atol=1e-6, rtol=0)
    cosnet: Any = tiny("cosnet")
    (given,) = seen_by(cosnet.network, "encode", cosnet.session(), image, None)
    small = cv2.resize(image, (64, 48), interpolation=cv2.INTER_LINEAR)
    means = np.float32([104.00699, 116.66877, 122.67892])
    torch.testing.assert_close(given, planes(small[..., ::-1].astype(np.float32) - means), atol=1e-4, rtol=0)
    capsulevos: Any = tiny("capsulevos")
    _, clip, seed, *_ = seen_by(capsule_room, "run_clip", capsulevos.session(), image, mask)
    small = np.asarray(Image.fromarray(image).resize((96, 64), Image.Resampling.BILINEAR))
    torch.testing.assert_close(clip[0, 0], planes(small.astype(np.float32) / 255)[0], atol=1e-6, rtol=0)
    assert seed.shape[-2:] == (64, 96)
    assert set(seed.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("size", SIZES)
def test_rvos_resizes_masks_by_the_nearest_pixel(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(2).random((size[1], size[0])) < 0.5
    model: Any = tiny("rvos")
    model.config = replace(model.config, size=(48, 64))
    session = model.session()
    session.add({1: mask})
    with torch.inference_mode():
        session._take({1: torch.from_numpy(mask).float()}, (48, 64))
    small = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize((64, 48), Image.Resampling.NEAREST))
    assert torch.equal(session._masks[0], torch.tensor(small.tolist(), dtype=torch.float32))
    assert mask_pyramid(session._masks[None])


def smooth(height: int, width: int) -> Tensor:
    """Logits that differ everywhere, ``[H, W]``."""
    y, x = torch.meshgrid(torch.linspace(-3, 4, height), torch.linspace(-2, 3, width), indexing="ij")
    return torch.sin(3 * y) + x * y / 2


@pytest.mark.parametrize("size", SMALL)
@pytest.mark.parametrize("name", ["stm", "giel"])
def test_answers_come_back_to_their_pixels(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever map a decoder gives at the padded size, the answer is its part within the margins."""
    model: Any = PADDED[name][0]()
    image, mask = scene(size)
    height, width = mask.shape
    (top, bottom), (left, right) = margins((width, height), False)
    logits = smooth(height + top + bottom, width + left + right)
    function = "find_all" if name == "stm" else "find_fine"
    found = logits if name == "stm" else torch.sigmoid(logits)
    monkeypatch.setattr(model.network, function, lambda readout, features, *_: found[None, None])
    if name == "giel":
        monkeypatch.setattr(model.network, "find_all", lambda readout, features: logits[None, None])
    session = model.session()
    session.add({1: mask})
    session.push(image)
    (answer,) = session.push(image)
    p = torch.sigmoid(logits)[top : top + height, left : left + width].clamp(1e-7, 1 - 1e-7).double()
    odds, back = p / (1 - p), (1 - p) / p
    torch.testing.assert_close(answer.probabilities[1].double(), odds / (odds + back), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", SMALL)
def test_resized_answers_come_back_bilinearly(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = scene(size)
    model: Any = tiny("cosnet")
    small = torch.sigmoid(smooth(48, 64))
    monkeypatch.setattr(model.network, "segment", lambda *_: small)
    (answer,) = model.session().push(image)
    full = cv2.resize(small.numpy(), size, interpolation=cv2.INTER_LINEAR)
    torch.testing.assert_close(answer.probabilities[1], torch.from_numpy(full), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", SMALL)
@pytest.mark.parametrize("name", ["stcn", "agame"])
def test_padded_answers_are_those_of_a_padded_frame(name: str, size: tuple[int, int]) -> None:
    """A frame that is padded by hand, with its mask, and has no margins then, has the same answer inside."""
    torch.manual_seed(3)
    model: Any = tiny(name)
    image, mask = scene(size)
    mirrored = name == "agame"
    around = margins(size, mirrored)
    if mirrored:
        grown, grown_mask = np.pad(image, (*around, (0, 0)), mode="reflect"), np.pad(mask, around, mode="reflect")
        ready = [image, grown]
    else:  # the mean colour, which is zero once normalised
        floats = image.astype(np.float32) / 255
        grown = np.stack([np.pad(floats[..., c], around, constant_values=MEAN[c]) for c in range(3)], axis=-1)
        grown_mask, ready = np.pad(mask, around), [floats, grown]
    answers = []
    for picture, given in zip(ready, (mask, grown_mask), strict=True):
        session = model.session()
        session.add({1: given})
        session.push(picture)
        (answer,) = session.push(picture)
        answers.append(answer.probabilities)
    (top, _), (left, _) = around
    inside = answers[1][:, top : top + size[1], left : left + size[0]]
    torch.testing.assert_close(answers[0], inside, atol=1e-4, rtol=0)
