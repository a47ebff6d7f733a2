"""How large a picture may be before it is not decoded."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

from PIL import Image

from rotoscope.errors import InputError
from rotoscope.limits import check_limit, limit

UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises on images that are damaged, odd or no images."""


def check_pixels(width: int, height: int, where: str | Path) -> None:
    """Refuse a picture that would take too much memory; see :mod:`rotoscope.limits`.

    Raises:
        InputError: it has more pixels than are read.
    """
    check_limit("pixels", width * height, where, f"{width}x{height} are more pixels")


def open_picture(path: Path) -> Image.Image:
    """Open an image file, nothing decoded yet, if it is not too large.

    Raises:
        OSError: it is no image.
        InputError: it is too large.
    """
    if Image.MAX_IMAGE_PIXELS is not None and limit("pixels") > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limit("pixels")  # Pillow refuses more than twice its own limit, which was allowed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit speaks below
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError:
            raise InputError(
                f"{path}: has more pixels than the {limit('pixels')} that are read. Make it smaller, or allow it with "
                "--limit pixels=NUMBER or ROTOSCOPE_MAX_PIXELS."
            ) from None
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
