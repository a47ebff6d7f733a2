"""Images of more than 8 bits: one scale for a whole sequence, so that frames keep their brightness to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

DEPTHS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""Full white of 8, 10, 12, 14 and 16 bits."""
LOOKED_AT = 16
"""Images of a sequence that its scale is taken from, spread over it."""


@dataclass(frozen=True)
class Scale:
    """What white is in a sequence of deep images.

    Attributes:
        white: the value of the source that becomes 255.
        note: how it was found, for a person.
    """

    white: float
    note: str

    def to_bytes(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Values to uint8; NaN becomes black, and what exceeds white stays white."""
        scaled = np.nan_to_num(values.astype(np.float64), nan=0.0) * (255.0 / self.white)
        return np.clip(np.floor(scaled + 1e-6), 0, 255).astype(np.uint8)


def is_deep(image: Image.Image) -> bool:
    """Whether an image holds more than 8 bits a channel: Pillow's modes say so of grey, the file of colours."""
    if image.mode.startswith("I") or image.mode == "F":
        return True
    return _colour_bits(image) > 8


def deep_values(path: Path, image: Image.Image) -> NDArray[Any]:
    """The values of a deep image as they are stored, ``[H, W]`` or ``[H, W, 3]``; not yet turned.

    Raises:
        OSError: a colour image that cannot be read at its depth.
    """
    if _colour_bits(image) <= 8:
        return np.asarray(image)
    read = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if read is None or read.ndim != 3:
        raise OSError("its 16-bit colours cannot be read")
    return np.ascontiguousarray(read[..., 2::-1])


def scale_of(values: Sequence[NDArray[Any]]) -> Scale:
    """The scale of a sequence, from some of its images.

    Whole numbers: the least depth of 8, 10, 12, 14 or 16 bits that holds them all. Floats: white is 1, unless they go
    beyond; then 255 or a higher depth.
    """
    known = [v[np.isfinite(v)] for v in values]
    top = max((float(v.max()) for v in known if v.size), default=0.0)
    floats = any(v.dtype.kind == "f" for v in values)
    if floats and top <= 1:
        return Scale(1.0, "floating-point images: 1 read as white")
    white = next((depth for depth in DEPTHS if top <= depth), top)
    kind = "floating-point" if floats else "16-bit"
    bits = f" ({len(bin(int(white))) - 2} bits)" if white in DEPTHS else ""
    return Scale(white, f"{kind} images up to {top:g}: {white:g} read as white{bits}, in all of them")


def _colour_bits(image: Image.Image) -> int:
    """Bits a channel of a colour image as its file tells; Pillow itself gives 8 of them."""
    if image.mode not in ("RGB", "RGBA"):
        return 8
    if image.format == "PNG":
        tiles = getattr(image, "tile", ())  # of the image file classes only
        return 16 if tiles and "16" in str(tiles[0][3]) else 8
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return max(bits) if isinstance(bits, tuple) else int(bits)
    return 8
