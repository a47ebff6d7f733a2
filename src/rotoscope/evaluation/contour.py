"""Contour accuracy F (Perazzi et al., CVPR 2016, section 5.1; the official evaluation)."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError

BOUND = 0.008
"""Tolerance of the official evaluation, as a share of the image's diagonal."""


def boundary(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Boundary one pixel wide: where a pixel differs from its right, lower or lower right neighbour.

    Args:
        mask: bool or 0/1, ``[H, W]``.
    """
    inside = mask.view(np.bool_) if mask.dtype == np.uint8 and mask.max(initial=0) < 2 else mask.astype(bool)
    edge = np.zeros_like(inside)
    edge[:, :-1] |= inside[:, :-1] ^ inside[:, 1:]
    edge[:-1] |= inside[:-1] ^ inside[1:]
    edge[:-1, :-1] |= inside[:-1, :-1] ^ inside[1:, 1:]
    return edge


def radius(shape: tuple[int, ...], bound: float = BOUND) -> int:
    """Tolerance in pixels for an image of ``shape``; a bound of 1 or more is taken as pixels."""
    return int(bound) if bound >= 1 else math.ceil(bound * math.hypot(shape[0], shape[1]))


ADAPTIVE = 0.1
"""Tolerance of MOSEv2's measure, as a share of the root of the object's area."""


def adaptive_radius(truth: NDArray[Any]) -> int:
    """Tolerance in pixels that is small for small objects (Ding et al., MOSEv2, 2025; ``tools/metricsv2.py``).

    Args:
        truth: bool or 0/1, ``[H, W]``.
    Returns: a tenth of the root of the object's area, rounded up; that of F where this is less or there is no object.
    """
    area = int(np.count_nonzero(truth))
    usual = radius(truth.shape)
    return min(usual, math.ceil(ADAPTIVE * math.sqrt(area))) if area else usual


def contour_accuracy(prediction: NDArray[Any], truth: NDArray[Any], bound: float = BOUND) -> float:
    """Harmonic mean of the precision and recall of the predicted boundary.

    Args:
        prediction: bool or 0/1, ``[H, W]``.
        truth: the same shape.
        bound: how far apart boundaries may be, as a share of the diagonal (or in pixels, from 1).
    Returns: F in [0, 1]; 1 where neither mask has a boundary.

    Raises:
        InputError: different shapes.
    """
    if prediction.shape != truth.shape:
        raise InputError(
            f"masks of shapes {prediction.shape} and {truth.shape} cannot be compared. Make them one size."
        )
    reach = radius(prediction.shape, bound)
    ours_in, theirs_in = _as_bytes(prediction), _as_bytes(truth)
    left, top, width, height = cv2.boundingRect(ours_in | theirs_in)
    if not width:
        return 1.0
    # Beyond one pixel around both masks there is no boundary: the rest of the picture need not be looked at.
    window = (slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1))
    ours, theirs = boundary(ours_in[window]), boundary(theirs_in[window])
    our_count, their_count = cv2.countNonZero(ours.view(np.uint8)), cv2.countNonZero(theirs.view(np.uint8))
    if not our_count or not their_count:
        return 1.0 if our_count == their_count else 0.0
    precision = np.count_nonzero(ours & near(theirs, reach)) / our_count
    recall = np.count_nonzero(theirs & near(ours, reach)) / their_count
    return harmonic(precision, recall)


def harmonic(precision: float, recall: float) -> float:
    """F of a precision and a recall; 0 where both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def near(edge: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Pixels within a disc of radius ``reach`` of the edge, itself included: a dilation, as a union of shifted rows.

    Row ``y`` of the disc is a run of pixels, so the edge is widened along rows once for each length of run, and the
    results are laid over one another shifted by ``y``. Exact, and several times faster than a distance transform.
    """
    source = edge.view(np.uint8)
    grown = np.zeros_like(source)
    height = len(source)
    wide, last = source, 0
    for y in range(min(reach, height - 1), -1, -1):
        half = math.isqrt(reach * reach - y * y)
        if half > last:
            wide = np.asarray(cv2.dilate(source, np.ones((1, 2 * half + 1), np.uint8)), dtype=np.uint8)
            last = half
        grown[y:] |= wide[: height - y]
        if y:
            grown[: height - y] |= wide[y:]
    return grown.view(np.bool_)


def _as_bytes(mask: NDArray[Any]) -> NDArray[np.uint8]:
    """A mask as zeros and ones of 8 bits, without a copy where it is bool already."""
    return np.ascontiguousarray(mask if mask.dtype == bool else mask.astype(bool)).view(np.uint8)
