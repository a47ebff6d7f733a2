"""Clicks as a person would make them, from the truth: for training, and to measure by.

The next click is put in the middle of the largest error, where "middle" is the place farthest from the error's edge
(Sofiiuk et al., ICIP 2022, as measuring is usual in interactive segmentation); in training it falls anywhere in the
inner half of that error, so that a network does not learn to rely on middles.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Click(NamedTuple):
    """A click: column and row of a pixel, and whether what is there is wanted."""

    x: int
    y: int
    wanted: bool


def next_click(answer: Mask, truth: Mask, rng: np.random.Generator | None = None) -> Click | None:
    """The click that corrects an answer; None if nothing is wrong.

    Args:
        answer: the mask so far, bool ``[H, W]``; empty for the first click.
        truth: the mask wanted, of the same size.
        rng: draws the click's place within the error; without it, the place is the error's middle.
    """
    missing, surplus = depth(truth & ~answer), depth(answer & ~truth)
    wanted = bool(missing.max() >= surplus.max())
    inside = missing if wanted else surplus
    deepest = inside.max()
    if deepest <= 0:
        return None
    if rng is None:
        y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    else:
        rows, columns = np.nonzero(inside > deepest / 2)
        chosen = rng.integers(len(rows))
        y, x = rows[chosen], columns[chosen]
    return Click(int(x), int(y), wanted)


def depth(region: Mask) -> NDArray[np.float32]:
    """How far each pixel of a region is from the region's outside; what lies beyond the picture is outside too."""
    padded = np.pad(region.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], dtype=np.float32)


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what a mask holds; right and bottom are the first column and row beyond."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return left, top, left + width, top + height


def jittered_box(mask: Mask, rng: np.random.Generator, share: float = 0.1) -> tuple[float, float, float, float]:
    """A mask's box as a hand draws it: each side off by up to ``share`` of the box's width or height."""
    left, top, right, bottom = box_of(mask)
    dx, dy = share * (right - left), share * (bottom - top)
    moves = rng.uniform(-1, 1, 4) * (dx, dy, dx, dy)
    x, y = left + moves[0], top + moves[1]
    return x, y, max(right + moves[2], x + 2), max(bottom + moves[3], y + 2)
