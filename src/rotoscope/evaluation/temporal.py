"""Temporal stability T (Perazzi et al., CVPR 2016, section 5.1): how far a mask's outline must bend to become the next.

The released program's polygon extraction and matching are compiled parts that could not be had; this follows their
description, so absolute values may differ slightly from published ones.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SPACING = 3.0
"""Longest distance between neighbouring points of an outline, in pixels."""
ANGLES, RADII = 12, 5
INNER, OUTER = 1 / 8, 2.0
"""Bins of a shape context (Belongie et al., 2002), and their range as shares of the mean distance between points."""


def temporal_stability(before: NDArray[Any], after: NDArray[Any]) -> float:
    """Mean cost of matching the outlines of two consecutive masks; lower is steadier.

    Args:
        before: bool or 0/1, ``[H, W]``.
        after: the same shape.
    Returns: T in [0, 1]; NaN where a mask has no outline of at least three points.
    """
    return stability_between(describe(before), describe(after))


def describe(mask: NDArray[Any]) -> Floats | None:
    """Shape contexts of a mask's outline, ``[N, 60]``; None if it has none."""
    points = outline(mask)
    return None if points is None else shape_contexts(points)


def stability_between(first: Floats | None, second: Floats | None) -> float:
    """T of two described masks."""
    if first is None or second is None:
        return float("nan")
    costs = histogram_costs(first, second)
    path = closed_matching(costs)
    return float(np.mean([costs[i, j] for i, j in cheapest_partners(path, costs)]))


def outline(mask: NDArray[Any]) -> Floats | None:
    """The longest contour as points ``[N, 2]`` (x, y) at most :data:`SPACING` apart; None if it has under 3 points."""
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    contours = [contour[:, 0].astype(np.float64) for contour in lines if len(contour) >= 3]
    if not contours:
        return None
    corners = max(contours, key=len)
    pieces = []
    for start, stop in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        steps = max(int(np.ceil(np.hypot(*(stop - start)) / SPACING)), 1)
        pieces.append(start + (stop - start) * np.arange(steps)[:, None] / steps)
    return np.concatenate(pieces)


def shape_contexts(points: Floats) -> Floats:
    """Where the other points lie around each point: shares of 12 directions by 5 distances, ``[N, 60]``.

    Directions are those of the picture; distances are in units of the mean distance between points.
    """
    across = np.subtract.outer(points[:, 0], points[:, 0]).T.astype(np.float32)
    down = np.subtract.outer(points[:, 1], points[:, 1]).T.astype(np.float32)
    distances = np.sqrt(across * across + down * down)
    mean = float(distances.mean())
    if mean == 0:
        return np.zeros((len(points), ANGLES * RADII))
    edges = np.logspace(np.log10(INNER), np.log10(OUTER), RADII) * mean
    ring = np.zeros(distances.shape, np.int32)  # 0: nearer than the first edge; RADII: too far
    for edge in edges:
        ring += distances >= np.float32(edge)
    turn = np.arctan2(down, across)
    turn += np.float32(2 * np.pi) * (turn < 0)
    sector = np.minimum((turn * np.float32(ANGLES / (2 * np.pi))).astype(np.int32), ANGLES - 1)
    counted = ring < RADII
    np.fill_diagonal(counted, False)
    cells = np.arange(len(points), dtype=np.int32)[:, None] * (ANGLES * RADII) + ring * ANGLES + sector
    counts = np.bincount(cells[counted], minlength=len(points) * ANGLES * RADII).reshape(len(points), -1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def histogram_costs(first: Floats, second: Floats) -> Floats:
    """Chi-squared distance of all pairs of histograms, in [0, 1]: ``[N, M]``.

    Half the sum of (a - b)^2 / (a + b) is half of what both hold less twice the sum of a b / (a + b), to which only
    bins count that both fill.
    """
    shared = np.empty((len(first), len(second)))
    theirs = np.ascontiguousarray(second.T)
    for row, histogram in enumerate(first):
        filled = np.flatnonzero(histogram)
        ours, others = histogram[filled, None], theirs[filled]
        shared[row] = (ours * others / (ours + others)).sum(axis=0)
    held = 0.5 * (first.sum(axis=1)[:, None] + second.sum(axis=1)[None])
    return np.maximum(held - 2 * shared, 0.0)


def closed_matching(costs: Floats) -> list[tuple[int, int]]:
    """Cheapest monotone matching of two closed outlines: once along any cut, then again from its cheapest pair."""
    start = min(monotone_matching(costs), key=lambda pair: costs[pair])
    turned = np.roll(np.roll(costs, -start[0], axis=0), -start[1], axis=1)
    rows, columns = costs.shape
    return [((i + start[0]) % rows, (j + start[1]) % columns) for i, j in monotone_matching(turned)]


def monotone_matching(costs: Floats) -> list[tuple[int, int]]:
    """Cheapest path from the first pair to the last, each step onward in one outline or both."""
    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(1, rows + 1):
        # total[i, j] = costs[i, j] + min(entry[j], total[i, j - 1]): a running minimum once costs are summed up.
        entry = np.minimum(total[i - 1, 1:], total[i - 1, :-1])
        summed = np.cumsum(costs[i - 1])
        total[i, 1:] = summed + np.minimum.accumulate(entry - (summed - costs[i - 1]))
    i, j = rows, columns
    path = []
    while i > 0 and j > 0:
        path.append((i - 1, j - 1))
        steps = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        i, j = min(steps, key=lambda step: total[step])
    return path[::-1]


def cheapest_partners(path: list[tuple[int, int]], costs: Floats) -> list[tuple[int, int]]:
    """Keep for each point of the first outline its cheapest partner, then the same for the second."""
    for axis in (0, 1):
        best: dict[int, tuple[int, int]] = {}
        for pair in path:
            known = best.get(pair[axis])
            if known is None or costs[pair] < costs[known]:
                best[pair[axis]] = pair
        path = list(best.values())
    return path
