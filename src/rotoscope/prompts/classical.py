"""Clicks without a network: GrabCut, flood fill, and watersheds that follow edges.

For comparison, and for pictures unlike those that the network has learnt from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.masks.points import Answer, Placed

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SHORT_SIDE = 320
"""Pictures are worked on with at most this short side, as the network does."""
SPOT = 3
"""Radius in pixels of what a click says for certain."""
REACH = 0.3
"""Share of the short side: how far a wanted click is taken for the object until colours say otherwise (GrabCut), and
one that is not wanted casts doubt on a mask (watersheds)."""
ROUNDS = 5
"""Rounds of GrabCut, as OpenCV's own example has them."""
TOLERANCES = (32, 26, 21, 17, 13, 10, 8, 6, 4, 3, 2, 1)
"""Steps of colour that flood fill tries, the largest first that leaves unwanted clicks dry."""


def grab_cut(image: Rgb, placed: Placed, before: Mask | None) -> Mask:
    """GrabCut (Rother et al., SIGGRAPH 2004): colours of object and rest, cut where neighbours differ.

    Without a box and a mask it begins with what is near the wanted clicks.
    """
    height, width = image.shape[:2]
    trimap = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    if placed.box is not None:
        left, top, right, bottom = placed.box
        trimap[:] = cv2.GC_BGD
        trimap[top:bottom, left:right] = cv2.GC_PR_FGD
    elif before is None:
        reach = max(int(REACH * min(height, width)), 1)
        for x, y in placed.places[placed.wanted]:
            cv2.circle(trimap, (int(x), int(y)), reach, int(cv2.GC_PR_FGD), -1)
    if before is not None:
        trimap[before & (trimap != cv2.GC_BGD)] = cv2.GC_PR_FGD
    for (x, y), wanted in zip(placed.places, placed.wanted, strict=True):
        cv2.circle(trimap, (int(x), int(y)), SPOT, int(cv2.GC_FGD if wanted else cv2.GC_BGD), -1)
    object_, rest = (np.isin(trimap, kinds) for kinds in ((cv2.GC_FGD, cv2.GC_PR_FGD), (cv2.GC_BGD, cv2.GC_PR_BGD)))
    if not object_.any() or not rest.any():  # one of the two has no colours to learn
        return np.asarray(object_)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(image[..., ::-1])
    cv2.grabCut(bgr, trimap, (0, 0, 1, 1), models[0], models[1], ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))


def flood_fill(image: Rgb, placed: Placed, before: Mask | None) -> Mask:
    """What neighbours of like colour reach from the wanted clicks, with a step that keeps unwanted clicks dry."""
    smooth = np.asarray(cv2.bilateralFilter(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), 7, 30, 7), np.uint8)
    height, width = image.shape[:2]
    region: Mask = np.zeros((height, width), np.bool_) if before is None else before.copy()
    wanted, unwanted = placed.places[placed.wanted], placed.places[~placed.wanted]
    closed = np.zeros((height + 2, width + 2), np.uint8)
    if placed.box is not None:
        left, top, right, bottom = placed.box
        closed[:] = 1
        closed[top + 1 : bottom + 1, left + 1 : right + 1] = 0
        if not len(wanted):
            wanted = np.array([[(left + right) // 2, (top + bottom) // 2]])
    for x, y in wanted:
        region |= _filled(smooth, closed, (int(x), int(y)), unwanted)
    for x, y in unwanted:
        region &= ~_filled(smooth, closed, (int(x), int(y)), wanted)
    return region


def _filled(image: Rgb, closed: NDArray[np.uint8], seed: tuple[int, int], dry: NDArray[np.int64]) -> Mask:
    """What is filled from a seed, with the largest step that leaves the dry places dry; at least the spot."""
    spot = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(spot, seed, SPOT, 1, -1)
    if closed[seed[1] + 1, seed[0] + 1]:
        return spot > 0
    for step in TOLERANCES:
        mask = closed.copy()
        steps = (step / 4, step / 4, step / 4)
        cv2.floodFill(image, mask, seed, 0, steps, steps, 4 | cv2.FLOODFILL_MASK_ONLY | (2 << 8))
        filled = mask[1:-1, 1:-1] == 2
        if not filled[dry[:, 1], dry[:, 0]].any():
            return filled | (spot > 0)
    return spot > 0


def follow_edges(image: Rgb, placed: Placed, before: Mask | None) -> Mask:
    """Watersheds of the picture's edges between wanted clicks and the rest (Meyer, 1992).

    The rest is what is not wanted, what lies outside the box and, without box and unwanted clicks, the picture's rim.
    A mask to correct counts as wanted in its middle, and what is far from it as the rest.
    """
    height, width = image.shape[:2]
    markers = np.zeros((height, width), np.int32)
    if placed.box is not None:
        left, top, right, bottom = placed.box
        markers[:] = 2
        markers[top:bottom, left:right] = 0
        if before is None and not placed.wanted.any():
            markers[(top + bottom) // 2, (left + right) // 2] = 1
    else:
        markers[:2], markers[-2:], markers[:, :2], markers[:, -2:] = 2, 2, 2, 2  # OpenCV takes the outermost pixels
    if before is not None and before.any():
        margin = max(int(0.1 * np.sqrt(before.sum())), 1)
        kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
        markers[cv2.dilate(before.astype(np.uint8), kernel) == 0] = 2
        markers[cv2.erode(before.astype(np.uint8), kernel) > 0] = 1
        near = np.zeros((height, width), np.uint8)
        for x, y in placed.places[~placed.wanted]:
            cv2.circle(near, (int(x), int(y)), max(int(REACH * min(height, width)), 1), 1, -1)
        markers[(near > 0) & (markers == 1)] = 0  # what is near a click that is not wanted is not sure any more
    for (x, y), wanted in zip(placed.places, placed.wanted, strict=True):
        cv2.circle(markers, (int(x), int(y)), SPOT, 1 if wanted else 2, -1)
    if not (markers == 1).any():
        return np.zeros((height, width), bool)
    basins = cv2.watershed(np.ascontiguousarray(cv2.GaussianBlur(image, (5, 5), 0)), markers)
    inside = (basins == 1).astype(np.uint8)
    return cv2.dilate(inside, np.ones((3, 3), np.uint8)) > 0  # the watershed itself is a pixel wide, and of nobody


WAYS: dict[str, Callable[[Rgb, Placed, Mask | None], Mask]] = {
    "grabcut": grab_cut,
    "flood": flood_fill,
    "edges": follow_edges,
}
"""By the name that a user gives."""


class ClassicalPrompter:
    """One of :data:`WAYS` as a prompter.

    Args:
        name: which.
    """

    def __init__(self, name: str) -> None:
        self.way = WAYS[name]
        self.code = name

    def open(self, image: Rgb) -> ShrunkPicture:
        """Take a picture, RGB uint8 ``[H, W, 3]``."""
        return ShrunkPicture(image, self.way)


class ShrunkPicture:
    """A picture at the size that is worked at."""

    def __init__(self, image: Rgb, way: Callable[[Rgb, Placed, Mask | None], Mask]) -> None:
        self.way = way
        self.size = image.shape[1], image.shape[0]
        factor = min(SHORT_SIDE / min(self.size), 1.0)
        self.work = max(round(self.size[0] * factor), 1), max(round(self.size[1] * factor), 1)
        self.image = np.asarray(cv2.resize(image, self.work, interpolation=cv2.INTER_AREA), np.uint8)

    def answer(self, placed: Placed, before: NDArray[Any] | None = None) -> Answer:
        """The mask that clicks and a box mean; see :class:`~rotoscope.masks.points.Picture`. It tells no confidence."""
        scale = np.array(self.work) / np.array(self.size)
        places = np.floor((placed.places + 0.5) * scale).astype(np.int64)
        box = placed.box
        if box is not None:
            low, high = np.floor(np.array(box[:2]) * scale), np.ceil(np.array(box[2:]) * scale)
            box = int(low[0]), int(low[1]), int(high[0]), int(high[1])
        small = None
        if before is not None:
            small = cv2.resize(np.asarray(before, np.float32), self.work, interpolation=cv2.INTER_AREA) > 0.5
        mask = self.way(self.image, Placed(places, placed.wanted, box), small)
        return Answer(np.asarray(cv2.resize(mask.astype(np.float32), self.size, interpolation=cv2.INTER_LINEAR)))
