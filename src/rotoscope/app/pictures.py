"""Masks and frames as bytes: what a project keeps on disk, and what the page is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.files import atomic_write
from rotoscope.masks.palette import palette_bytes
from rotoscope.masks.saving import png_bytes, save_png

Mask = NDArray[np.uint8]
"""``[H, W]``: of labels the object's id, of one object's mask 0 to 255."""
HAZE = 0.03
"""Probability below which, and above one minus which, an answer to clicks is taken for certain."""
QUALITY = 88
"""Of JPEG and WebP frames, in [0, 100]; below 85 flat walls show blocks when zoomed in."""


def write_labels(path: Path, labels: Mask) -> None:
    """Write labels as a palette PNG, whole or not at all; it outlives the process, not a power cut."""
    picture = Image.fromarray(labels)
    picture.putpalette(palette_bytes())
    with atomic_write(path, durable=False) as temporary:
        picture.save(temporary, format="PNG", compress_level=1)


def write_mask(path: Path, mask: Mask) -> None:
    """Write one object's mask: 0 and 255 in 8 bits where it is whole, else 16 bits, which nobody takes for ids."""
    whole = bool(((mask == 0) | (mask == 255)).all())
    save_png(path, mask if whole else mask.astype(np.uint16) * 257)


def read_grey(path: Path, size: tuple[int, int]) -> Mask:
    """Read labels or a mask that a project wrote.

    Args:
        path: a PNG: palette, or grey of 8 or 16 bits.
        size: width and height that it must have.

    Returns: uint8 ``[H, W]``; 16 bits are brought to 8.

    Raises:
        InputError: it is damaged, or of another size.
    """
    try:
        with Image.open(path) as opened:
            if opened.size != size:
                raise InputError(f"{path}: is {opened.size[0]}x{opened.size[1]}, but the video {size[0]}x{size[1]}.")
            values = np.array(opened)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}). Take it away; the project opens without it.") from None
    if values.dtype != np.uint8:
        values = np.round(values.astype(np.float32) / 257).astype(np.uint8)
    return values


def grey_png(values: Mask) -> bytes:
    """Labels or a mask as a grey PNG, which a browser gives back value for value."""
    return png_bytes(values)


def firm(probabilities: NDArray[Any]) -> Mask:
    """An answer in [0, 1] as a mask of 0 to 255, without the haze far from the object; what is above 0.5 stays so.

    A network says 0.01 where nothing is. Nobody sees it, but no PNG packs it: with it a mask takes ten times the room.
    """
    scale = 255 / (1 - 2 * HAZE)
    spread = np.multiply(probabilities, scale, dtype=np.float32)
    spread += 0.5 - HAZE * scale  # so that cutting off rounds
    return np.clip(spread, 0, 255, out=spread).astype(np.uint8)


def frame_bytes(image: NDArray[np.uint8], side: int | None, kind: str) -> bytes:
    """A frame as JPEG or WebP.

    Args:
        image: RGB uint8 ``[H, W, 3]``.
        side: the longer side of what is sent, in pixels; it is never made larger. None for the frame's own.
        kind: ``jpeg`` or ``webp``.
    """
    longer = max(image.shape[:2])
    if side is not None and side < longer:
        width, height = (max(1, round(n * side / longer)) for n in (image.shape[1], image.shape[0]))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    flag = cv2.IMWRITE_WEBP_QUALITY if kind == "webp" else cv2.IMWRITE_JPEG_QUALITY
    return _encoded(f".{kind}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [flag, QUALITY])


def _encoded(suffix: str, image: Any, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise RotoscopeError(f"a picture of {image.shape} could not be encoded as {suffix[1:]}.")
    return data.tobytes()
