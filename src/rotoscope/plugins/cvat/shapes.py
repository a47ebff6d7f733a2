"""Masks as CVAT's shapes, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cvat_sdk.masks import decode_mask, encode_mask
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.masks.polygons import fill, joined, polygons_of, signed_area

SHAPES = ("mask", "polygon", "rectangle")
"""Types of shapes that can be followed."""
SPECK = 0.02
"""Parts of a polygon or a box are left out whose area is less than this share of the largest part's."""


def mask_of(kind: str, points: Sequence[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of a mask or a polygon.

    Args:
        kind: ``mask``, run lengths and a box, or ``polygon``, x and y in turn.
        points: as CVAT writes them.
        size: width and height of the frame.

    Returns: bool ``[H, W]``.

    Raises:
        InputError: the shape covers no pixel of the frame, or is of another type.
    """
    if kind == "mask":
        mask = decode_mask(points, image_width=size[0], image_height=size[1])
    elif kind == "polygon":
        mask = fill([np.asarray(points, np.float64).reshape(-1, 2)], size)
    else:
        raise InputError(f"shapes of type {kind!r} are no masks; there are mask and polygon.")
    if not mask.any():
        raise InputError(f"the {kind} covers no pixel of the frame. Draw it on the object.")
    return np.asarray(mask, dtype=bool)


def points_of(kind: str, mask: NDArray[np.bool_], tolerance: float) -> list[float]:
    """A mask as the points of a shape.

    A polygon of CVAT is one line: parts and holes are tied to it by cuts without width, specks are left out, of
    boxes too.

    Args:
        kind: one of :data:`SHAPES`.
        mask: bool ``[H, W]``, with at least one pixel.
        tolerance: of polygons, see :func:`~rotoscope.masks.polygons.polygons_of`.

    Returns: the points; none if what there is, is too thin for a polygon of this tolerance.
    """
    if kind == "mask":
        return [float(value) for value in encode_mask(mask)]
    parts = polygons_of(mask, 0 if kind == "rectangle" else tolerance)
    if not parts:
        return []
    least = SPECK * abs(signed_area(parts[0].outer))
    parts = [part for part in parts if abs(signed_area(part.outer)) >= least]
    if kind == "rectangle":
        corners = np.concatenate([part.outer for part in parts])
        return [float(value) for value in (*corners.min(axis=0), *corners.max(axis=0))]
    line = joined(parts)
    return [round(float(value), 2) for value in line.ravel()]


def as_array(image: Any) -> NDArray[np.uint8]:
    """A picture of the agent, RGB uint8 ``[H, W, 3]``."""
    assert isinstance(image, Image.Image)
    return np.asarray(image.convert("RGB"))
