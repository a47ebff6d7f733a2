"""Contour accuracy F (Perazzi et al., CVPR 2016, section 5.1; the official evaluation: facts of the measures)."""

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
    inside = mask.astype(bool)
    found = np.zeros_like(inside)
    found[:, :-1] |= inside[:, :-1] ^ inside[:, 1:]
    found[:-1] |= inside[:-1] ^ inside[1:]
    found[:-1, :-1] |= inside[:-1, :-1] ^ inside[1:, 1:]
    return found


def radius(shape: tuple[int, ...], bound: float = BOUND) -> int:
    """Tolerance in pixels for an image of ``shape``; a bound of 1 or more is taken as pixels."""
    return int(bound) if bound >= 1 else math.ceil(bound * math.hypot(shape[0], shape[1]))


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
    both = prediction.astype(bool) | truth.astype(bool)
    rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
    if not len(rows):
        return 1.0
    # Beyond one pixel around both masks there is no boundary: the rest of the picture need not be looked at.
    window = (
        slice(max(rows[0] - 1, 0), rows[-1] + 2),
        slice(max(columns[0] - 1, 0), columns[-1] + 2),
    )
    ours, theirs = boundary(prediction[window]), boundary(truth[window])
    our_count, their_count = int(np.count_nonzero(ours)), int(np.count_nonzero(theirs))
    if not our_count or not their_count:
        return 1.0 if our_count == their_count else 0.0
    precision = np.count_nonzero(ours & _near(theirs, reach)) / our_count
    recall = np.count_nonzero(theirs & _near(ours, reach)) / their_count
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _near(edge: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Pixels within a disc of radius ``reach`` of the edge: a dilation, by the exact distance transform."""
    distance = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= reach + 1e-3)  # squared distances are whole numbers, so the margin admits none more
