"""How large a picture may be before it is not decoded."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

from PIL import Image

from rotoscope.errors import InputError

MAX_PIXELS = 2**27
"""Pixels of a picture that are decoded (134 million, 16 times 3840x2160) unless ``ROTOSCOPE_MAX_PIXELS`` says other."""


UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises on images that are damaged, odd or no images."""


def max_pixels() -> int:
    """Most pixels of a picture: ``ROTOSCOPE_MAX_PIXELS`` of the environment, else :data:`MAX_PIXELS`.

    Raises:
        InputError: the variable is no whole number.
    """
    given = os.environ.get("ROTOSCOPE_MAX_PIXELS", "")
    if given and not given.isdecimal():
        raise InputError(f"ROTOSCOPE_MAX_PIXELS is {given!r}. Give a whole number of pixels, or none.")
    return int(given) if given else MAX_PIXELS


def check_pixels(width: int, height: int, where: str | Path) -> None:
    """Refuse a picture that would take too much memory.

    Raises:
        InputError: it has more pixels than :func:`max_pixels`.
    """
    if width * height > max_pixels():
        raise InputError(
            f"{where}: {width}x{height} are more pixels than the {max_pixels()} that are decoded. Make it smaller, or "
            "set ROTOSCOPE_MAX_PIXELS."
        )


def open_picture(path: Path) -> Image.Image:
    """Open an image file, nothing decoded yet, if it is not too large.

    Raises:
        OSError: it is no image.
        InputError: it is too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit speaks below
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError:
            raise InputError(f"{path}: has too many pixels to be decoded. Make it smaller.") from None
    check_pixels(*opened.size, path)
    return opened


def page_count(opened: Image.Image) -> int:
    """Pictures in an image file that are shown one after another: pages of one size; previews and stereo are one."""
    if opened.format in ("MPO", "ICO", "ICNS", "PSD", "CUR"):
        return 1
    count = getattr(opened, "n_frames", 1)
    if opened.format != "TIFF" or count == 1:
        return count
    size, pages = opened.size, 0
    tags = getattr(opened, "tag_v2", {})
    for page in range(count):
        opened.seek(page)
        tags = getattr(opened, "tag_v2", {})
        pages += opened.size == size and not int(tags.get(254, 0)) & 1  # 1: a smaller copy of another page
    opened.seek(0)
    return pages


def has_pages(path: Path) -> bool:
    """Whether a file is an image of several pictures."""
    try:
        with open_picture(path) as opened:
            return page_count(opened) > 1
    except UNREADABLE:
        return False
