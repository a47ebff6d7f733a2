"""What an annotation tool's file says about frames: outlines with labels, and the objects and masks that they mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, shown
from rotoscope.limits import check_limit
from rotoscope.masks.polygons import Ring, fill
from rotoscope.video.limits import check_pixels

FAR = 1e6
"""No coordinate is farther out than this, in pixels."""
MOST_CORNERS = 200_000
"""Corners of one outline at most."""
Key = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Shape:
    """One drawn thing.

    Attributes:
        label: what it is called.
        group: shapes of one label and one group are one object; empty where the file groups nothing.
        rings: its outlines, filled by the even-odd rule; in pixels, or in shares of width and height.
    """

    label: str
    group: str
    rings: tuple[Ring, ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """What is drawn on a frame.

    Attributes:
        name: the image's file name without folder and suffix; empty where frames are only numbered.
        number: the number of the frame; None where images are only named.
        size: width and height in pixels; None where the file says none.
        shapes: in the file's order.
        shares: whether coordinates are shares of width and height.
        left_out: how many things were drawn that are no areas, by kind.
    """

    name: str
    number: int | None
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    shares: bool = False
    left_out: tuple[str, ...] = ()


def ring_of(points: Any, where: str) -> Ring:
    """Corners ``[[x, y], ...]`` of a file, checked.

    Raises:
        InputError: fewer than three, or numbers that are none.
    """
    try:
        ring = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        ring = np.zeros(0)
    if ring.ndim != 2 or ring.shape[1:] != (2,) or not 3 <= len(ring) <= MOST_CORNERS:
        raise InputError(f"{where}: is no outline of three corners or more. Correct it, or leave it out.")
    if not np.isfinite(ring).all() or np.abs(ring).max() > FAR:
        raise InputError(f"{where}: has a corner that is no place in a picture. Correct it, or leave it out.")
    return ring


def size_of(width: Any, height: Any, where: str) -> tuple[int, int] | None:
    """Width and height that a file says, checked; None if it says none.

    Raises:
        InputError: not whole numbers above 0, or too large.
    """
    if width is None and height is None:
        return None
    try:
        size = int(width), int(height)
    except (TypeError, ValueError, OverflowError):
        size = 0, 0
    if min(size) < 1:
        raise InputError(f"{where}: says a size of {shown(width, 20)} x {shown(height, 20)}. Correct it.")
    check_pixels(*size, where)
    return size


def stem_of(name: Any) -> str:
    """An image's file name without folder and suffix."""
    return Path(name.replace("\\", "/")).stem if isinstance(name, str) and "\0" not in name else ""


class Objects:
    """Which object each shape belongs to, the same on all frames.

    Args:
        sheets: of all frames.
        where: names the file in errors.

    Raises:
        InputError: a label is drawn several times on one of several frames, and nothing says which is which.
    """

    def __init__(self, sheets: Sequence[Sheet], where: str) -> None:
        self._alone = len(sheets) == 1
        self.ids: dict[Key, int] = {}
        keys: dict[Key, None] = {}
        for sheet in sheets:
            of_sheet = self._keys(sheet)
            twice = next((key for key, count in Counter(of_sheet).items() if count > 1 and not key[1]), None)
            if twice is not None:
                raise InputError(
                    f"{where}: {shown(twice[0], 40)} is drawn several times on {frame_of(sheet)}, and nothing says "
                    "which is which over the frames. Give each object a label or a group of its own."
                )
            keys |= dict.fromkeys(of_sheet)
        check_limit("objects", len(keys), where)
        own = [_number(label) for label, _ in keys]
        if len(set(own)) < len(own) or not all(0 < i < 65536 for i in own):
            own = [_number(group) if group.startswith("group ") else 0 for _, group in keys]
        if len(set(own)) < len(own) or not all(0 < i < 65536 for i in own):
            own = list(range(1, len(keys) + 1))
        self.ids = dict(zip(keys, own, strict=True))

    def _keys(self, sheet: Sheet) -> list[Key]:
        """The object of each shape. On a lone picture shapes that nothing groups are an object each."""
        if not self._alone:
            return [(shape.label, shape.group) for shape in sheet.shapes]
        counts = Counter(shape.label for shape in sheet.shapes if not shape.group)
        keys = []
        for number, shape in enumerate(sheet.shapes):
            several = not shape.group and counts[shape.label] > 1
            keys.append((shape.label, f"shape {number}" if several else shape.group))
        return keys

    def masks(self, sheet: Sheet, size: tuple[int, int]) -> dict[int, NDArray[np.bool_]]:
        """Bool masks ``[H, W]`` of the objects on a frame; a later shape does not take from an earlier one."""
        masks: dict[int, NDArray[np.bool_]] = {}
        for key, shape in zip(self._keys(sheet), sheet.shapes, strict=True):
            rings = [ring * size for ring in shape.rings] if sheet.shares else shape.rings
            mask = fill(rings, size)
            masks[self.ids[key]] = masks[self.ids[key]] | mask if self.ids[key] in masks else mask
        return masks

    def account(self, sheets: Sequence[Sheet]) -> list[str]:
        """What was understood: which label is which object, and what was left out."""
        names = ", ".join(f"{shown(label, 40)} is object {i}" for (label, _), i in list(self.ids.items())[:20])
        lines = [f"outlines: {names}" + (", …" if len(self.ids) > 20 else "")]
        out = Counter(kind for sheet in sheets for kind in sheet.left_out)
        if out:
            told = ", ".join(f"{count} {shown(kind, 30)}" for kind, count in out.items())
            lines.append(f"left out, for they are no areas: {told}")
        return lines


def _number(text: str) -> int:
    """The number that a name ends in; 0 if there is none."""
    match = re.search(r"(\d{1,5})$", text)
    return int(match[1]) if match else 0


def frame_of(sheet: Sheet) -> str:
    """A frame's name for a message."""
    return shown(sheet.name, 60) if sheet.name else f"frame {sheet.number}"


def masks_of_sheets(
    sheets: Sequence[Sheet], size: tuple[int, int] | None, where: str
) -> tuple[list[dict[int, NDArray[np.bool_]]], list[str]]:
    """The masks of each sheet, and the account.

    Args:
        sheets: of all frames.
        size: width and height of the video, for files that say none.
        where: names the file in errors.

    Raises:
        InputError: nothing says how large the picture is, or which object is which.
    """
    objects = Objects(sheets, where)
    masks = []
    pixels = 0
    for sheet in sheets:
        own = sheet.size or size
        if own is None:
            raise InputError(f"{where}: does not say how large its pictures are. Give it with its video.")
        pixels += own[0] * own[1] * max(len({(s.label, s.group) for s in sheet.shapes}), 1)
        check_limit("masks", pixels, where)
        masks.append(objects.masks(sheet, own))
    return masks, objects.account(sheets)
