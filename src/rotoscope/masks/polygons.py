"""Outlines of masks, and masks of outlines: in pixels, where the whole numbers are the corners of the pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SHARE = 0.6
"""Of the tolerance, for thinning out. With all of it objects of 70 pixels lose 2 % at a pixel, with this 0.8 %."""
Ring = NDArray[np.float64]
"""The corners of a closed line, ``[N, 2]`` as x and y; the last is joined to the first."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """One part of an object.

    Attributes:
        outer: the line around it.
        holes: the lines around what is missing inside.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The outer line and those of the holes."""
        return (self.outer, *self.holes)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        low, high = self.outer.min(axis=0), self.outer.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def joined(self) -> Ring:
        """One line around everything: each hole is tied to it by a cut without width, for formats that have no holes.

        Filled by the even-odd or the nonzero rule it covers what the polygon covers.
        """
        line = self.outer
        for hole in self.holes:
            turned = hole if signed_area(hole) * signed_area(self.outer) < 0 else hole[::-1]
            line = _tied(line, turned)
        return line


def signed_area(ring: Ring) -> float:
    """Area inside a ring in square pixels; its sign says which way the ring runs."""
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def joined(polygons: Sequence[Polygon]) -> Ring:
    """One line around all parts and holes, for formats that have one line per object."""
    line = polygons[0].joined()
    for polygon in polygons[1:]:
        other = polygon.joined()
        line = _tied(line, other if signed_area(other) * signed_area(line) > 0 else other[::-1])
    return line


def _tied(line: Ring, other: Ring) -> Ring:
    """Two rings as one: from the nearest corner of the one to that of the other, around it, and back."""
    apart = np.square(line[:, None] - other[None]).sum(axis=2)
    here, there = np.unravel_index(int(apart.argmin()), apart.shape)
    around = np.concatenate([other[there:], other[: there + 1]])
    return np.concatenate([line[: here + 1], around, line[here:]])


def polygons_of(mask: NDArray[Any], tolerance: float = 1.0) -> list[Polygon]:
    """The parts of a mask, the largest first.

    Args:
        mask: bool ``[H, W]``.
        tolerance: how far a line may be from the mask's edge, in pixels. With 0 lines run along the pixels' sides, and
            :func:`fill` gives the very mask back. Otherwise they run through the middles of those sides, which makes
            slants straight, are thinned out by Douglas and Peucker's rule, and then laid through what they stand for.
    """
    polygons = []
    for outer, holes in _borders(np.asarray(mask, bool)):
        kept = _simple(outer, tolerance)
        if kept is not None:
            inner = (_simple(hole, tolerance) for hole in holes)
            polygons.append(Polygon(kept, tuple(hole for hole in inner if hole is not None)))
    return sorted(polygons, key=lambda polygon: -abs(signed_area(polygon.outer)))


def _borders(mask: NDArray[np.bool_]) -> Iterable[tuple[Ring, list[Ring]]]:
    """The sides of pixels around each part and each hole, as rings of pixels' corners.

    Each pixel becomes three by three points of a grid of pixels' corners and what lies between them. The outermost
    points of a part are then the corners and sides of its pixels, which OpenCV follows.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    grid = np.zeros((2 * part.shape[0] + 1, 2 * part.shape[1] + 1), np.uint8)
    grid[1::2, 1::2] = part
    grid = cv2.dilate(grid, np.ones((3, 3), np.uint8))
    lines, tree = cv2.findContours(grid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_with_corners(line[:, 0].astype(np.float64) / 2) + np.array((left, top)) for line in lines]
    for number, (_, _, child, parent) in enumerate(tree[0] if tree is not None else ()):
        if parent < 0:
            holes = []
            while child >= 0:
                holes.append(rings[child])
                child = tree[0][child][0]
            yield rings[number], holes


def _with_corners(ring: Ring) -> Ring:
    """A ring with the corners that OpenCV cuts: where it steps from the middle of a side to that of one across."""
    after = np.roll(ring, -1, axis=0)
    cut = np.flatnonzero(np.all(ring != after, axis=1))
    upright = ring[cut, 0] == np.floor(ring[cut, 0])
    corners = np.where(upright[:, None], np.stack([ring[cut, 0], after[cut, 1]], axis=1),
                       np.stack([after[cut, 0], ring[cut, 1]], axis=1))  # fmt: skip
    return np.insert(ring, cut + 1, corners, axis=0)


def _simple(ring: Ring, tolerance: float) -> Ring | None:
    """A ring of half-pixel steps with fewer corners; None if nothing is left of it."""
    whole = np.all(ring == np.floor(ring), axis=1)  # corners of pixels; the others are middles of their sides
    if tolerance <= 0:
        corners = ring[whole]
        turns = np.any(np.roll(corners, -1, axis=0) - corners != corners - np.roll(corners, 1, axis=0), axis=1)
        return corners[turns]
    middles = ring[~whole]
    thin = _thinned(middles, tolerance)
    if len(thin) < 3 or signed_area(thin) == 0:
        low, high = ring.min(axis=0), ring.max(axis=0)  # too thin to be thinned out: its box, so that it is not lost
        thin = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    return thin


def _thinned(line: Ring, tolerance: float) -> Ring:
    """A dense ring with fewer corners, by Douglas and Peucker's rule; then each side is fitted to what it replaces.

    The rule's corners lie on the line, so its sides cut off every bend. Fitted sides run through the middle of it, and
    their crossings are the new corners where they stay within the tolerance of the old ones.
    """
    corners = cv2.approxPolyDP(line.astype(np.float32)[:, None], SHARE * tolerance, True)[:, 0].astype(np.float64)
    if len(corners) < 3:
        return corners
    places = {(x, y): number for number, (x, y) in enumerate(map(tuple, line))}
    order = [places[x, y] for x, y in map(tuple, corners)]
    if sum(a > b for a, b in zip(order, [*order[1:], order[0]], strict=True)) > 1:
        corners, order = corners[::-1], order[::-1]
    sides = [_fitted(line.take(range(a, b + 1 if b > a else b + 1 + len(line)), axis=0, mode="wrap"))
             for a, b in zip(order, [*order[1:], order[0]], strict=True)]  # fmt: skip
    moved = corners.copy()
    for number, corner in enumerate(corners):
        (p, u), (q, v) = sides[number - 1], sides[number]
        cross = u[0] * v[1] - u[1] * v[0]
        if abs(cross) > 0.2:
            to = q - p
            new = p + u * (to[0] * v[1] - to[1] * v[0]) / cross
            if np.hypot(*(new - corner)) <= tolerance:
                moved[number] = new
    return moved


def _fitted(points: Ring) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The straight line that lies nearest to points: their middle and the direction, of length 1."""
    if len(points) < 4:
        way = points[-1] - points[0]
        return (points[0] + points[-1]) / 2, way / max(float(np.hypot(*way)), 1e-9)
    middle = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - middle, full_matrices=False)
    return middle, axes[0]


def fill(rings: Iterable[Ring], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose middles lie inside an odd number of rings.

    Args:
        rings: of one part, or of an object's parts and holes together.
        size: width and height of the mask.
    Returns: bool ``[H, W]``.
    """
    width, height = size
    flips = np.zeros((height, width + 1), np.uint8)
    for ring in rings:
        start, end = ring, np.roll(ring, -1, axis=0)
        for (x0, y0), (x1, y1) in zip(start, end, strict=True):
            if y0 == y1:
                continue
            low, high = (y0, y1) if y0 < y1 else (y1, y0)
            rows = np.arange(max(int(np.ceil(low - 0.5)), 0), min(int(np.ceil(high - 0.5)), height))
            crossing = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
            flips[rows, columns] ^= 1
    return np.asarray(np.logical_xor.accumulate(flips[:, :width].astype(bool), axis=1))
