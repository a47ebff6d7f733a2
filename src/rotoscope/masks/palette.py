"""Colours of objects."""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from rotoscope.errors import InputError, shown


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    for index in range(256):
        rest = index
        for shift in range(7, -1, -1):  # three bits of the index make one bit of each channel, highest first
            for channel in range(3):
                table[index, channel] |= (rest >> channel & 1) << shift
            rest >>= 3
    return table


def davis_palette() -> NDArray[np.uint8]:
    """The palette of DAVIS and PASCAL VOC, RGB uint8 ``[256, 3]``; entry 0 is black."""
    return _table().copy()


@lru_cache(maxsize=1)
def palette_bytes() -> bytes:
    """The same as Pillow takes it soonest: 768 bytes, red, green and blue of each entry."""
    return _table().tobytes()


def colour(object_id: int) -> tuple[int, int, int]:
    """A colour for an id: the palette's up to 255, then evenly spread hues."""
    if object_id < 256:
        red, green, blue = (int(v) for v in _table()[object_id])
        return red, green, blue
    red_, green_, blue_ = colorsys.hsv_to_rgb(object_id * 0.618034 % 1.0, 0.75, 0.95)
    return round(red_ * 255), round(green_ * 255), round(blue_ * 255)


def parse_colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue, in [0, 255], of a colour as Pillow reads them: ``#ff8800``, ``#f80``, ``orange``.

    Raises:
        InputError: it is no colour, or one that lets something through.
    """
    try:
        values = ImageColor.getrgb(text)
    except ValueError:
        values = (-1, -1, -1)
    if len(values) != 3 or not all(0 <= v <= 255 for v in values):
        raise InputError(f"{shown(text)!r} is not understood as a colour. Write it as #ff8800, or by name, as orange.")
    return values
