"""A mask from clicks and boxes, and the tools of a person who paints: edge-following, grow and shrink."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.app.pictures import Mask, firm
from rotoscope.errors import InputError
from rotoscope.masks.points import Box, Picture, Placed, Points
from rotoscope.weights.load import load_prompter

CLICKERS = ("prompts-small", "grabcut", "flood")
"""What may answer clicks; the first does unless another is asked for."""
OPEN_PICTURES = 4
"""Pictures that stay encoded; one of 854x480 takes some ten megabytes."""


class Point(NamedTuple):
    """A click: column and row in pixels of the frame, and whether what is there is wanted."""

    x: int
    y: int
    wanted: bool = True


class Clicks:
    """Answers clicks on the frames of a project; a frame is encoded once, and the mask so far is gone on from."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[tuple[int, str], Picture] = OrderedDict()
        self._before: dict[tuple[int, int], Mask | None] = {}
        self._lock = threading.Lock()

    def prepare(self, frame: int, image: NDArray[np.uint8], engine: str) -> Picture:
        """Have a frame ready for clicks, RGB ``[H, W, 3]``."""
        with self._lock:
            picture = self._pictures.pop((frame, engine), None)
            self._pictures[frame, engine] = picture = picture or load_prompter(engine).open(image)
            while len(self._pictures) > OPEN_PICTURES:
                self._pictures.popitem(last=False)
            return picture

    def begin(self, frame: int, object_id: int, mask: Mask) -> None:
        """Take an object's mask, 0 to 255 ``[H, W]``, as what the clicks to come correct."""
        self._before[frame, object_id] = mask if mask.any() else None

    def answer(
        self, frame: int, image: NDArray[np.uint8], object_id: int, placed: Placed, engine: str
    ) -> tuple[Mask, float | None]:
        """The mask that clicks mean, 0 to 255, and the IoU that it is predicted to have, where something tells."""
        before = self._before.get((frame, object_id))
        picture = self.prepare(frame, image, engine)
        with self._lock:
            answer = picture.answer(placed, None if before is None else before.astype(np.float32) / 255)
        if answer.confidence is None:  # nothing was estimated: what was not clicked on stays as it was, to the last bit
            return np.round(answer.mask * 255).astype(np.uint8), None
        return firm(answer.mask), answer.confidence


def placed_of(points: Sequence[Point], box: Box | None, size: tuple[int, int]) -> Placed:
    """Clicks in the order in which they were made, and a box, in pixels.

    Raises:
        InputError: a point outside the picture, or a box without area.
    """
    wanted, unwanted = ([(p.x, p.y) for p in points if p.wanted == kind] for kind in (True, False))
    corners = None if box is None else tuple(int(v) for v in box)
    placed = Points(wanted, unwanted, corners).placed(size)  # type: ignore[arg-type]  # whole numbers are pixels
    places = np.array([(p.x, p.y) for p in points], np.int64).reshape(-1, 2)
    return Placed(places, np.array([p.wanted for p in points], bool), placed.box)


def check_engine(engine: str) -> None:
    """Refuse what does not answer clicks.

    Raises:
        InputError: with what does.
    """
    if engine not in CLICKERS:
        raise InputError(f"there is no tool {engine!r}; there are {', '.join(CLICKERS)}.")


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
