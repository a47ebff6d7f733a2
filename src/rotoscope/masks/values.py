"""What the grey values of an image mean: decided by how many there are, how they lie, and where they come from."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError

Masks = dict[int, NDArray[Any]]
VOID = 255
IDS = ("Rotoscope", "object ids")
"""Text of a PNG of ours whose values are ids, whatever they look like."""
MOST_OBJECTS = 200
"""More distinct values than this are a photograph, not labels; a lone value above it is white, not an id."""
DARK, BRIGHT = 32, 223
"""Values up to here are black, and from here on white, if noise or compression made them."""
REGION = 0.6
"""A value forms regions if this share of its pixels' neighbours have it too; else it is of edges or noise."""
RIM = 0.9
"""Share of the pixels along the edges that a background has if objects lie within the picture."""
MOST_GREYS = 32
"""More values than these are ids only if they are seen to be regions; else they are of soft edges."""
STEP = 8
"""Neighbouring pixels of a soft mask differ by this at most where it fades."""
SPREAD = 16
"""At most so many values, spread evenly up to 255, are grey levels that number objects."""
VIDEO_BLACK, VIDEO_WHITE = (14, 18), (231, 239)
"""Black and white of studio range (16 and 235), give or take what a conversion does."""


def label_type(ids: Iterable[int]) -> np.dtype[Any]:
    """The smallest type of labels that hold some ids: 8 bits only below 255, which is unknown there."""
    return np.min_scalar_type(max(ids, default=0) + 1)


class Values:
    """Counts of an 8-bit image's values and whether each forms regions.

    Attributes:
        array: uint8 ``[H, W]``.
        counts: pixels by value, ``[256]``.
        agreement: by value, the share of its pixels' neighbours that have it too, ``[256]``.
        present: the values but 0, ascending.
    """

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array
        self.counts = np.bincount(array.ravel(), minlength=256)
        same = np.zeros(256)
        ends = np.zeros(256)
        for a, b in ((array[:, 1:], array[:, :-1]), (array[1:], array[:-1])):
            same += 2 * np.bincount(a[a == b].ravel(), minlength=256)
            ends += np.bincount(a.ravel(), minlength=256) + np.bincount(b.ravel(), minlength=256)
        self.agreement = same / np.maximum(ends, 1)
        self.present = [int(v) for v in np.flatnonzero(self.counts) if v]

    def share(self, low: int, high: int) -> float:
        """Share of the pixels whose value lies from ``low`` to ``high``."""
        return float(self.counts[low : high + 1].sum() / max(self.array.size, 1))

    def forms_regions(self, value: int) -> bool:
        """Whether a value's pixels lie among their like."""
        return self.agreement[value] >= REGION

    def are_regions(self) -> bool:
        """Whether nearly all pixels lie among their like, as those of labels do and those of a soft mask do not.

        A soft mask can look so too: one that fades slowly, but then its neighbours are near each other; and one that
        was enlarged without smoothing, but that reaches white and leaves values out, where ids so high are all there.
        """
        regions = [v for v in range(VOID) if self.forms_regions(v)]
        if self.counts[regions].sum() < 0.98 * self.counts[:VOID].sum():
            return False
        near = differ = 0
        for a, b in ((self.array[:, 1:], self.array[:, :-1]), (self.array[1:], self.array[:-1])):
            apart = np.abs(a.astype(np.int16) - b)
            near += int(((apart > 0) & (apart <= STEP)).sum())
            differ += int((apart > 0).sum())
        ids = [v for v in self.present if v != VOID]
        return near < 0.8 * differ and (ids[-1] <= MOST_OBJECTS or ids[-1] == len(ids))

    def lines_the_rim(self) -> int | None:
        """The value that nearly all pixels along the edges of the picture have; None if there is none."""
        rim = np.concatenate([self.array[0], self.array[-1], self.array[:, 0], self.array[:, -1]])
        counts = np.bincount(rim, minlength=256)
        value = int(counts.argmax())
        return value if counts[value] > RIM * rim.size else None

    def dark_is_noise(self) -> bool:
        """Whether the dark values are strewn: neighbours agree hardly more often than chance has it."""
        counts = self.counts[: DARK + 1].astype(np.float64)
        shares = counts / max(counts.sum(), 1)
        chance = float((shares**2).sum())
        agreed = float((self.agreement[: DARK + 1] * shares).sum())
        return agreed < chance + 0.25 * (1 - chance)


def masks_of_values(array: NDArray[np.uint8], lossy: bool = False) -> tuple[Masks, list[str]]:
    """Read grey values: labels, one object in white, or a soft mask.

    Args:
        array: uint8 ``[H, W]``.
        lossy: the file format changes values, as JPEG does, so that neighbouring values cannot be told apart.

    Raises:
        InputError: it is a photograph, or a lossy file of labels that lie too near each other.
    """
    values = Values(array)
    if not values.present:
        return {}, []
    if len(values.present) == 1 and values.counts[0]:
        return _lone(values)
    white = _one_object(values)
    if white is not None:
        return white
    if lossy:
        snapped, line = _snapped(values)
        masks, account = masks_of_values(snapped)
        return masks, [line, *account]
    if VOID in values.present:
        levels = _levels(values)
        if levels is not None:
            return levels
        others = [v for v in values.present if v != VOID]
        if max(others) <= MOST_OBJECTS and (len(others) <= MOST_GREYS or values.are_regions()):
            share = 100 * values.share(VOID, VOID)
            line = f"value 255 left out: it marks unknown pixels ({values.counts[VOID]} of them, {share:.2f} %)"
            return {v: array == v for v in others}, [line]
    if len(values.present) > MOST_GREYS and not values.are_regions():
        return _matte(values)
    return _ids(values)


def _ids(values: Values) -> tuple[Masks, list[str]]:
    """Values that are ids; where none is 0, one that lines the picture is the background all the same."""
    account, present = ["grey values read as ids"], values.present
    if not values.counts[0]:
        behind = values.lines_the_rim() if len(present) > 1 else None
        present = [v for v in present if v != behind]
        account.append(
            f"no pixel is 0; value {behind}, which lines the picture, left out: it is the background"
            if behind is not None
            else "no pixel is 0, so every pixel belongs to an object and none to the background"
        )
    return {v: values.array == v for v in present}, account


def _lone(values: Values) -> tuple[Masks, list[str]]:
    """One value beside 0: an object of that id, or white."""
    array, value = values.array, values.present[0]
    if value != 1 and value <= MOST_OBJECTS:
        return {value: array > 0}, ["grey values read as ids"]
    account = [f"0/{value} mask read as one object"]
    if values.lines_the_rim() == value and values.share(value, value) > 0.5:
        account.append(f"{value} lines the picture and fills most of it: if it is the background, invert the mask")
    return {1: array > 0}, account


def _one_object(values: Values) -> tuple[Masks, list[str]] | None:
    """One white object, if nothing but black and white forms regions; None if other values do."""
    array, counts = values.array, values.counts
    if not counts[BRIGHT:].any():
        return None
    if any(values.forms_regions(v) for v in values.present if DARK < v < BRIGHT):
        return None
    dark = [v for v in values.present if v <= DARK]
    studio = not counts[0] and bool(dark) and _within(values, VIDEO_BLACK, VIDEO_WHITE)
    if studio:
        return {1: array >= 128}, ["one object: values about 16 and 235 are black and white of video range"]
    if any(values.forms_regions(v) for v in dark) and not values.dark_is_noise():
        return None
    full = array >= 128
    edge = (array > 0) & (array < VOID)
    if not counts[VOID]:
        top = values.present[-1]
        edge = (array > 0) & (array < top)
    hugging = _hugging(edge, full)
    between = [v for v in values.present if v != values.present[-1]]
    if hugging > 0.8 and counts[VOID]:
        merged = f"{len(between)} soft-edge value{'s' if len(between) > 1 else ''} merged"
        return {1: (array / 255).astype(np.float32)}, [f"0/255 mask read as one object, {merged}"]
    middle = int(counts[DARK + 1 : BRIGHT].sum())
    if middle > min(counts[1 : DARK + 1].sum() + counts[BRIGHT:VOID].sum(), 0.25 * counts[BRIGHT:].sum()):
        return None  # wide soft edges, or no white object at all
    line = f"read as one object: {len(values.present)} values near black and white, as noise or compression leaves them"
    return {1: full}, [f"{line}, parted at 128"]


def _within(values: Values, black: tuple[int, int], white: tuple[int, int]) -> bool:
    """Whether nearly all pixels are of two ranges."""
    return values.share(*black) > 0 and values.share(*white) > 0 and values.share(*black) + values.share(*white) > 0.97


def _hugging(edge: NDArray[Any], full: NDArray[Any]) -> float:
    """Share of the edge's pixels that lie within three pixels of the outline of ``full``; 1 of no pixels."""
    high = full.astype(np.uint8)
    window = np.ones((7, 7), np.uint8)
    border = cv2.dilate(high, window) > cv2.erode(high, window)
    return float((edge & border).sum() / edge.sum()) if edge.any() else 1.0


def _levels(values: Values) -> tuple[Masks, list[str]] | None:
    """Grey levels spread evenly up to 255, one an object; None if they are not, or 255 is a seam about the others."""
    present, number = values.present, len(values.present)
    if not 2 <= number <= SPREAD:
        return None
    if any(abs(v - 255 * (k + 1) / number) > 1 for k, v in enumerate(present)):
        return None
    white = (values.array == VOID).astype(np.uint8)
    inner = cv2.erode(white, np.ones((9, 9), np.uint8), borderValue=0)
    others = (values.array > 0) & (values.array < VOID)
    beside = cv2.dilate(others.astype(np.uint8), np.ones((3, 3), np.uint8)) & white
    if not inner.any() and beside.any():
        return None  # unknown pixels along outlines, as PASCAL VOC draws them
    line = f"grey levels {', '.join(map(str, present))} are spread evenly up to 255: objects 1 to {number}"
    return {k: values.array == v for k, v in enumerate(present, 1)}, [line]


def _matte(values: Values) -> tuple[Masks, list[str]]:
    """Many values: a soft mask if most of it is black or white, else a photograph."""
    if values.share(0, 8) + values.share(247, 255) < 0.5:
        raise InputError(
            f"{len(values.present)} grey values, and most of the picture neither black nor white: this is a "
            "photograph, not a mask."
        )
    soft = (values.array / 255).astype(np.float32)
    return {1: soft}, [f"soft mask of one object ({len(values.present)} grey values)"]


def _snapped(values: Values) -> tuple[NDArray[np.uint8], str]:
    """Each value of a lossy file brought to the nearest that forms regions."""
    levels = [v for v in range(256) if values.forms_regions(v) and values.counts[v] > 5e-4 * values.array.size]
    cores: list[int] = []
    for value in sorted(levels, key=lambda v: -int(values.counts[v])):
        if all(abs(value - core) > 12 for core in cores):
            cores.append(value)
    cores.sort()
    if len(cores) < 2 or min(b - a for a, b in pairwise(cores)) < 24:
        raise InputError(
            "a JPEG of grey labels: its values were changed when it was saved, and cannot be told apart. Save as PNG."
        )
    table = np.array([min(cores, key=lambda core: abs(core - v)) for v in range(256)], np.uint8)
    table[table <= DARK // 2] = 0
    return table[
        values.array
    ], f"{len(values.present)} values brought to {', '.join(map(str, cores))}: the file is JPEG"


def deep_is_soft(array: NDArray[Any], present: list[int]) -> bool:
    """Whether a 16-bit image is a soft mask: many values, most pixels nearly black or nearly white, and some white.

    A soft mask whose object is never sure has no white, but more values than there are objects.
    """
    if len(present) <= 8:
        return False
    near = float(((array <= DARK * 257) | (array >= BRIGHT * 257)).mean())
    return near > 0.5 and (len(present) > MOST_OBJECTS or max(present) >= BRIGHT * 257)


def masks_of_deep_values(array: NDArray[np.int64]) -> tuple[Masks, list[str]]:
    """A 16-bit image, ``[H, W]``: labels if it holds few values, else one soft mask.

    Raises:
        InputError: neither.
    """
    present = [int(v) for v in np.unique(array) if v]
    if present in ([65535], [255]):  # no depth but 8 bits has its white at 255, and no one object its id there
        return {1: array > 0}, [f"0/{present[0]} mask read as one object"]
    if deep_is_soft(array, present):
        return {1: (array / 65535).astype(np.float32)}, ["16-bit soft mask of one object"]
    if max(present, default=0) == 65535 and 2 <= len(present) <= SPREAD:
        number = len(present)
        if all(abs(v - 65535 * (k + 1) / number) <= 257 for k, v in enumerate(present)):
            line = f"grey levels {', '.join(map(str, present))} are spread evenly up to 65535: objects 1 to {number}"
            return {k: array == v for k, v in enumerate(present, 1)}, [line]
    if len(present) > MOST_OBJECTS:
        raise InputError(f"{len(present)} different values; too many to be objects.")
    account = (
        []
        if array.min(initial=0) == 0 and (array == 0).any()
        else ["no pixel is 0, so every pixel belongs to an object and none to the background"]
    )
    return {v: array == v for v in present}, account
