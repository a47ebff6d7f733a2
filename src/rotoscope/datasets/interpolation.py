"""Masks of the frames between two annotated ones, as CapsuleVOS trains on YouTube-VOS (every fifth frame annotated).

The authors' method is an external one that is not named; ours blends signed distances between the two masks, each
moved along the line between their centres.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MEDIAN = 3
"""Side of the median filter that smooths interpolated masks (CapsuleVOS)."""


def interpolate_labels(before: NDArray[Any], after: NDArray[Any], share: float) -> NDArray[np.uint8]:
    """Labels between two label maps.

    Args:
        before: uint8 ``[H, W]``.
        after: the same shape.
        share: where between them, 0 at ``before`` and 1 at ``after``.
    Returns: labels; an object of only one of the two maps stays while that is the nearer.
    """
    if share <= 0 or share >= 1:
        return np.asarray(before if share <= 0 else after, dtype=np.uint8)
    best = np.zeros(before.shape, np.float32)
    labels = np.zeros(before.shape, np.uint8)
    for object_id in sorted({*np.unique(before).tolist(), *np.unique(after).tolist()} - {0, 255}):
        first, second = before == object_id, after == object_id
        if first.any() and second.any():
            depth = _between(first, second, share)
        else:
            nearer = first if share < 0.5 else second
            if not nearer.any():
                continue
            depth = _depth(nearer)
        inside = cv2.medianBlur((depth > 0).astype(np.uint8), MEDIAN) > 0
        front = inside & (np.maximum(depth, 1e-3) > best)
        labels[front] = object_id
        best[front] = np.maximum(depth, 1e-3)[front]
    return labels


def _between(first: NDArray[np.bool_], second: NDArray[np.bool_], share: float) -> NDArray[np.float32]:
    """Blend of the signed distances of both masks, each moved to the place between their centres."""
    centres = [np.argwhere(mask).mean(axis=0) for mask in (first, second)]
    middle = centres[0] + share * (centres[1] - centres[0])
    depths = []
    for mask, centre in zip((first, second), centres, strict=True):
        down, right = middle - centre
        matrix = np.array([[1, 0, right], [0, 1, down]], np.float64)
        depth = _depth(mask)
        moved = cv2.warpAffine(depth, matrix, (mask.shape[1], mask.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        depths.append(np.asarray(moved, dtype=np.float32))
    return (1 - share) * depths[0] + share * depths[1]


def _depth(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Signed distance to the outline: positive inside."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(inside - outside, dtype=np.float32)
