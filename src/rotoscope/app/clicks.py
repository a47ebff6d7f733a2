"""A mask from clicks and boxes, and the tools of a person who paints: edge-following, fill, grow and shrink."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.app.pictures import Mask
from rotoscope.errors import InputError

WORKING_SIDE = 400
"""Longer side in pixels at which GrabCut works; at 854 it takes a second, at 400 a tenth."""
ROUNDS = 3
REACH = 0.18
"""How far around a click its object is looked for when no box says more, as a share of the longer side."""
CORE = 0.012
"""Radius around a click that is taken as said, as a share of the longer side."""


@dataclass(frozen=True)
class Point:
    """A click: x and y in pixels of the frame, and whether what is there is wanted."""

    x: float
    y: float
    wanted: bool = True


Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


class Clicker(Protocol):
    """What turns clicks into a mask."""

    def answer(
        self, image: NDArray[np.uint8], points: Sequence[Point], box: Box | None, previous: Mask | None
    ) -> tuple[Mask, float | None]:
        """The mask that clicks mean.

        Args:
            image: RGB ``[H, W, 3]``.
            points: in the order that they were made.
            box: around the object.
            previous: the object's mask so far, 0 to 255 ``[H, W]``.

        Returns: the mask, 0 to 255 ``[H, W]``, and how sure it is in [0, 1], or None if it cannot tell.
        """


class GrabCut:
    """OpenCV's GrabCut (Rother et al., 2004): colours inside against colours outside."""

    def answer(
        self, image: NDArray[np.uint8], points: Sequence[Point], box: Box | None, previous: Mask | None
    ) -> tuple[Mask, float | None]:
        """See :class:`Clicker`; it cannot tell how sure it is."""
        height, width = image.shape[:2]
        scale = min(1.0, WORKING_SIDE / max(height, width))
        small = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        trimap = self._trimap(small.shape[:2], scale, points, box, previous)
        kinds = {int(kind) for kind in np.unique(trimap)}
        if not kinds & {cv2.GC_FGD, cv2.GC_PR_FGD} or not kinds & {cv2.GC_BGD, cv2.GC_PR_BGD}:
            inside = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))
        else:
            models = np.zeros((1, 65)), np.zeros((1, 65))
            cv2.setRNGSeed(0)
            cv2.grabCut(small, trimap, (0, 0, 1, 1), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
            inside = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))
        wanted = [(p.x * scale, p.y * scale) for p in points if p.wanted]
        kept = _touched(inside, wanted) if wanted else inside
        soft = cv2.resize(kept.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        return (soft > 0.5).astype(np.uint8) * 255, None

    def _trimap(
        self, shape: tuple[int, ...], scale: float, points: Sequence[Point], box: Box | None, previous: Mask | None
    ) -> NDArray[np.uint8]:
        """What is sure and what is likely, before colours are looked at."""
        height, width = shape
        longer = max(shape)
        trimap = np.full(shape, cv2.GC_BGD, np.uint8)
        if box is not None:
            left, top, right, bottom = (round(v * scale) for v in box)
            trimap[max(top, 0) : bottom, max(left, 0) : right] = cv2.GC_PR_FGD
        if previous is not None and previous.any():
            before = cv2.resize(previous, (width, height), interpolation=cv2.INTER_AREA) > 127
            near = cv2.dilate(before.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
            trimap[near & (trimap == cv2.GC_BGD)] = cv2.GC_PR_BGD
            trimap[before] = cv2.GC_PR_FGD
        for point in points:
            centre = round(point.x * scale), round(point.y * scale)
            if point.wanted and box is None:
                disc = np.zeros(shape, np.uint8)
                cv2.circle(disc, centre, round(REACH * longer), 1, -1)
                trimap[(disc > 0) & (trimap == cv2.GC_BGD)] = cv2.GC_PR_BGD
                cv2.circle(disc, centre, round(REACH * longer / 2), 2, -1)
                trimap[(disc == 2) & (trimap == cv2.GC_PR_BGD)] = cv2.GC_PR_FGD
        for point in points:
            centre = round(point.x * scale), round(point.y * scale)
            kind = cv2.GC_FGD if point.wanted else cv2.GC_BGD
            cv2.circle(trimap, centre, max(2, round(CORE * longer)), kind, -1)
        return trimap


class FloodFill:
    """OpenCV's flood fill: what is of one colour around each click, and connected to it."""

    def __init__(self, tolerance: int = 14) -> None:
        self.tolerance = tolerance

    def answer(
        self, image: NDArray[np.uint8], points: Sequence[Point], box: Box | None, previous: Mask | None
    ) -> tuple[Mask, float | None]:
        """See :class:`Clicker`; a click on what is not wanted takes its patch of colour away."""
        result = np.zeros(image.shape[:2], np.uint8) if previous is None else previous.copy()
        steps = (self.tolerance,) * 3
        for point in points:
            filled = np.zeros((image.shape[0] + 2, image.shape[1] + 2), np.uint8)
            flags = 4 | (255 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
            seed = int(point.x), int(point.y)
            cv2.floodFill(np.ascontiguousarray(image), filled, seed, 0, steps, steps, flags)
            result[filled[1:-1, 1:-1] > 0] = 255 if point.wanted else 0
        if box is not None:
            left, top, right, bottom = (round(v) for v in box)
            outside = np.ones(image.shape[:2], bool)
            outside[max(top, 0) : bottom, max(left, 0) : right] = False
            result[outside] = 0
        return result, None


CLICKERS: dict[str, Clicker] = {"grabcut": GrabCut(), "fill": FloodFill()}


def check_points(points: Sequence[Point], box: Box | None, size: tuple[int, int]) -> None:
    """Refuse clicks outside the picture and boxes without area.

    Raises:
        InputError: which, and what the picture's size is.
    """
    width, height = size
    if not points and box is None:
        raise InputError("neither a point nor a box is given.")
    for point in points:
        if not (0 <= point.x < width and 0 <= point.y < height):
            raise InputError(f"the point {point.x:g},{point.y:g} lies outside the picture of {width}x{height}.")
    if box is not None and not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise InputError(f"the box {', '.join(f'{v:g}' for v in box)} has no area in a picture of {width}x{height}.")


class EdgeFollower:
    """Paths along edges, by OpenCV's intelligent scissors (Mortensen and Barrett, 1995).

    What is worked out for a frame, and for the point that a path starts from, is kept for the next path.
    """

    def __init__(self) -> None:
        self._tools: OrderedDict[int, tuple[Any, tuple[int, int] | None]] = OrderedDict()
        self._lock = threading.Lock()

    def path(
        self, frame: int, image: NDArray[np.uint8], start: tuple[int, int], end: tuple[int, int]
    ) -> list[tuple[int, int]]:
        """Pixels from ``start`` to ``end`` along the edges of a frame, RGB ``[H, W, 3]``."""
        with self._lock:
            tool, built = self._tools.pop(frame, (None, None))
            if tool is None:
                tool = cv2.segmentation.IntelligentScissorsMB()
                tool.setEdgeFeatureCannyParameters(32, 100)
                tool.setGradientMagnitudeMaxLimit(200)
                tool.applyImage(np.ascontiguousarray(image))
            if built != start:
                tool.buildMap(start)
            self._tools[frame] = (tool, start)
            while len(self._tools) > 2:
                self._tools.popitem(last=False)
            return [(int(x), int(y)) for x, y in tool.getContour(end).reshape(-1, 2)]


def grown(mask: Mask, pixels: int) -> Mask:
    """A mask grown by some pixels on all sides, or shrunk where the number is negative; soft edges move along."""
    if not pixels:
        return mask
    size = 2 * abs(pixels) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    change = cv2.dilate if pixels > 0 else cv2.erode
    return np.asarray(change(mask, kernel), dtype=np.uint8)


def _touched(inside: NDArray[np.bool_], wanted: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """The connected parts that hold one of the points; all if none does."""
    _, parts = cv2.connectedComponents(inside.astype(np.uint8))
    height, width = inside.shape
    hit = {int(parts[min(int(y), height - 1), min(int(x), width - 1)]) for x, y in wanted} - {0}
    return np.isin(parts, list(hit)) if hit else inside
