"""How a sequence's mask files say which pixel is of which object: one rule for truth and for results."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from rotoscope.errors import InputError, shown
from rotoscope.masks.images import palette_by_colour
from rotoscope.masks.palette import davis_palette
from rotoscope.masks.values import deep_is_soft, masks_of_values
from rotoscope.video.limits import UNREADABLE

VOID = 255
LOSSY = frozenset({".jpg", ".jpeg"})
LOOKED_AT = 12
"""Files of a sequence whose colours are gathered."""
LEVELS = frozenset({127, 128, 85, 64, 51})
"""Lowest of two, three, four or five grey levels spread evenly up to 255."""
MOST_COLOURS = 64
"""More colours than this in a file are soft edges or a photograph; the most frequent are taken."""


class DamagedMaskError(InputError):
    """A mask file that cannot be read."""


def read_label_file(path: Path) -> NDArray[Any]:
    """Read an index image as it is stored, upright: ``[H, W]`` uint8 or uint16, or ``[H, W, 3]`` for colours.

    Palette images give their indices, unless the palette says that another index than 0 is the background; transparent
    pixels are 0; colours that are all grey are grey.

    Raises:
        DamagedMaskError: it is missing, cut short, too large or no image of labels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                image = opened if opened.getexif().get(0x0112, 1) == 1 else ImageOps.exif_transpose(opened)
                return _stored(image)
    except FileNotFoundError:
        raise DamagedMaskError(f"{path}: no such mask. Write it.") from None
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise DamagedMaskError(f"{path}: damaged mask ({shown(error)}). Write it again.") from None


def _stored(image: Image.Image) -> NDArray[Any]:
    if image.mode == "L":
        return np.asarray(image)
    if image.mode == "P":
        array = np.asarray(image)
        return array if not palette_by_colour(image, array) else _grey_if_so(np.asarray(image.convert("RGB")))
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise ValueError("values that are no ids of 16 bits")
        return values.astype(np.uint16)
    if image.mode == "F":
        raise ValueError("floating-point values, which are no ids")
    if image.mode in ("RGBA", "LA", "PA"):
        pixels = np.asarray(image.convert("RGBA"))
        return _grey_if_so(np.where(pixels[..., 3:] >= 128, pixels[..., :3], 0).astype(np.uint8))
    return _grey_if_so(np.asarray(image.convert("RGB")))


def _grey_if_so(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array[..., 0]) if (array == array[..., :1]).all() else array


@dataclass(frozen=True)
class Coding:
    """How the mask files of a sequence are read.

    Attributes:
        kind: ``ids``: values are ids, in 8 bits 255 is unknown; ``white``: one object, where the value is above half;
            ``table``: grey levels or colours stand for ids.
        table: ids by grey level, or by colour as ``R << 16 | G << 8 | B``, for ``table``.
        note: what was decided, for a person; empty where files can mean nothing else.
        own: the table numbers colours that stand in no palette known here, by an order that says nothing of ids.
    """

    kind: Literal["ids", "white", "table"]
    table: tuple[tuple[int, int], ...] = ()
    note: str = ""
    own: bool = False

    def labels(self, array: NDArray[Any]) -> NDArray[Any]:
        """Labels of what :func:`read_label_file` gives, ``[H, W]`` uint8 or uint16."""
        if self.kind == "table":
            return by_table(array, dict(self.table))
        if array.ndim == 3:
            if self.kind == "white":
                return (array.max(axis=2) > 127).astype(np.uint8)
            return by_table(array, {code: i for i, code in enumerate(_codes_of_palette()) if i})
        if self.kind == "white":
            half = 32767 if array.dtype == np.uint16 else 127 if array.max(initial=0) > 1 else 0
            return (array > half).astype(np.uint8)
        return array


def coding_of(files: tuple[Path, ...]) -> Coding:
    """Decide how a sequence's files are read: by the first that can mean but one thing.

    A file of nothing but 0 and 255 does not decide: 255 is an object if no file of the sequence holds ids, and unknown
    if one does.
    """
    # Remembered as long as the first and the last file stay as they are.
    stamps = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in (files[0], files[-1])) if files else ()
    return _coding_of(files, stamps)


@lru_cache(maxsize=256)
def _coding_of(files: tuple[Path, ...], stamps: tuple[int, ...]) -> Coding:
    white, level = False, False
    for path in files:
        try:
            array = read_label_file(path)
        except DamagedMaskError:
            continue  # told when its turn comes
        coding = _decided(array, path, files)
        if coding is not None:
            return coding
        level = level or bool(np.isin(array, list(LEVELS)).any())
        white = white or bool(array.any())
    return Coding("white") if white and not level else Coding("ids")


def _decided(array: NDArray[Any], path: Path, files: Sequence[Path]) -> Coding | None:
    """What a file decides; None if it is empty, or 0 and full white."""
    if array.ndim == 3:
        return _of_colours(files)
    top = 65535 if array.dtype == np.uint16 else VOID
    values = [int(v) for v in np.unique(array) if v]
    if not values or values == [top]:
        return None
    if path.suffix.lower() in LOSSY:
        return Coding("white", note=f"{path}: JPEG masks read as one object, where they are above half.")
    if array.dtype == np.uint16:
        soft = deep_is_soft(array, values)
        return Coding("white", note=f"{path}: 16-bit soft masks read at half of 65535.") if soft else Coding("ids")
    if len(values) == 1 and values[0] in LEVELS:
        return None  # an id, or the lower of grey levels, whose others come later
    if max(values) < 128 or len(values) == 1:
        return Coding("ids")
    with Image.open(path) as opened:
        if opened.mode == "P":
            return Coding("ids")
    try:
        masks, account = masks_of_values(array)
    except InputError:
        return Coding("ids")
    if "one object" in account[0] and list(masks) == [1]:
        return Coding("white", note=f"{path}: grey values read as a soft mask, at 0.5 of 255.")
    if "spread evenly" in account[0]:
        return Coding("table", tuple((v, k) for k, v in enumerate(values, 1)), f"{path}: {account[0]}.")
    return Coding("ids")


def _of_colours(files: Sequence[Path]) -> Coding:
    """Ids of colours: the DAVIS palette's, if all main colours are its; else by the order of the colours themselves."""
    codes: set[int] = set()
    for path in files[:: max(1, len(files) // LOOKED_AT)]:
        try:
            array = read_label_file(path)
        except DamagedMaskError:
            continue
        if array.ndim == 3:
            values, counts = np.unique(packed(array), return_counts=True)
            few = len(values) <= 8
            main = [int(v) for v, n in zip(values, counts, strict=True) if few or n > 1e-3 * array[..., 0].size]
            codes |= set(main[:MOST_COLOURS]) - {0}
        elif array.any():
            codes |= {int(v) * 0x010101 for v in np.unique(array)[:MOST_COLOURS] if v}
    known = {code: i for i, code in enumerate(_codes_of_palette()) if i}
    ours = known.keys() & codes
    if ours and len(ours) >= 0.5 * len(codes):  # colours of soft edges may be among them
        return Coding("table", tuple(known.items()), f"{files[0]}: a colour image; ids read by the DAVIS palette.")
    table = tuple((code, i) for i, code in enumerate(sorted(codes), 1) if i != VOID)
    note = f"{files[0]}: a colour image; {len(table)} colours numbered by their own order."
    return Coding("table", table, note, own=len(table) > 1)


def by_table(array: NDArray[Any], table: dict[int, int]) -> NDArray[np.uint8]:
    """Labels of grey levels ``[H, W]`` or colours ``[H, W, 3]``; what is in no table goes to the nearest, or to 0."""
    wide = packed(array) if array.ndim == 3 else array.astype(np.int64)
    grey_in_colours = array.ndim == 2 and max(table, default=0) > 255
    if grey_in_colours:
        wide = wide * 0x010101
    values, inverse = np.unique(wide, return_inverse=True)
    colours = max(table, default=0) > 255
    anchors = {0: 0, **table}
    points = np.array([_channels(code) if colours else (code, 0, 0) for code in anchors])
    ids = np.array(list(anchors.values()))
    numbers = np.zeros(len(values), np.int64)
    for place, value in enumerate(values.tolist()):
        if value in anchors:
            numbers[place] = anchors[value]
        else:
            here = np.array(_channels(value) if colours else (value, 0, 0))
            numbers[place] = ids[((points - here) ** 2).sum(axis=1).argmin()]
    return np.asarray(numbers[np.asarray(inverse).ravel()].reshape(array.shape[:2]).astype(np.uint8))


def packed(array: NDArray[Any]) -> NDArray[np.int64]:
    """Colours ``[H, W, 3]`` as one number each."""
    wide = array.astype(np.int64)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])


def _channels(code: int) -> tuple[int, int, int]:
    return code >> 16, code >> 8 & 255, code & 255


def _codes_of_palette() -> list[int]:
    return [int(code) for code in packed(davis_palette()[None])[0]]


def unknown(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a label map says that nobody knows: at 255, in 8 bits; in 16 that is an id like others."""
    return np.asarray(labels == VOID) if labels.dtype == np.uint8 else np.zeros(labels.shape, bool)


def object_ids(labels: NDArray[Any]) -> list[int]:
    """Ids in a label map: neither 0 nor, in 8 bits, 255."""
    if labels.dtype == np.uint8:
        # Several times faster than NumPy's count; exact here, where only zero or not is asked for.
        counts = cv2.calcHist([np.ascontiguousarray(labels)], [0], None, [256], [0, 256]).ravel()
        return [int(i) for i in np.flatnonzero(counts) if i not in (0, VOID)]
    return [int(i) for i in np.unique(labels) if i]
