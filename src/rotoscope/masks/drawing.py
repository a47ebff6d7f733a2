"""Pictures for people: masks over frames, and contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.masks.palette import colour
from rotoscope.masks.points import Placed


def overlay(
    image: NDArray[np.uint8],
    labels: NDArray[Any],
    alpha: float = 0.45,
    contours: bool = True,
    colours: Mapping[int, tuple[int, int, int]] | None = None,
) -> NDArray[np.uint8]:
    """Lay masks over a frame.

    Args:
        image: RGB uint8 ``[H, W, 3]``.
        labels: ids ``[H, W]``, 0 = background.
        alpha: strength of the colour, in [0, 1].
        contours: draw outlines.
        colours: RGB in [0, 255] by id; objects that are not in it have that of :func:`~rotoscope.masks.palette.colour`.
    Returns: RGB uint8 ``[H, W, 3]``.
    """
    result, chosen = image.copy(), colours or {}
    width = max(1, round(min(image.shape[:2]) / 240))
    for object_id in np.unique(labels):
        if not object_id:
            continue
        mask = labels == object_id
        paint = np.array(chosen.get(int(object_id)) or colour(int(object_id)), np.float32)
        result[mask] = (result[mask] * (1 - alpha) + paint * alpha).astype(np.uint8)
        if contours:
            lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            bright = tuple(int(v) for v in np.minimum(paint * 0.5 + 127, 255))
            cv2.drawContours(result, lines, -1, bright, width, cv2.LINE_AA)
    return result


def points_over(image: NDArray[np.uint8], placed: Placed) -> NDArray[np.uint8]:
    """Draw clicks and a box over a picture, RGB uint8 ``[H, W, 3]``: wanted ones green, others red, the box white."""
    result = image.copy()
    unit = max(1, round(min(image.shape[:2]) / 160))
    if placed.box is not None:
        left, top, right, bottom = placed.box
        cv2.rectangle(result, (left, top), (right - 1, bottom - 1), (255, 255, 255), unit)
    for (x, y), wanted in zip(placed.places.tolist(), placed.wanted, strict=True):
        cv2.circle(result, (x, y), 3 * unit, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(result, (x, y), 2 * unit, (30, 190, 60) if wanted else (220, 40, 40), -1, cv2.LINE_AA)
    return result


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], columns: int = 4, captions: Sequence[str] = (), width: int = 320
) -> NDArray[np.uint8]:
    """Put pictures side by side.

    Args:
        images: RGB uint8 ``[H, W, 3]`` each, of one size.
        columns: pictures in a row.
        captions: a line under each.
        width: of one picture, in pixels.
    Returns: RGB uint8.
    """
    height = round(images[0].shape[0] * width / images[0].shape[1])
    band = 26 if captions else 0
    gap = 6
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + band + gap) + gap, columns * (width + gap) + gap, 3), 24, np.uint8)
    for number, image in enumerate(images):
        top = gap + number // columns * (height + band + gap)
        left = gap + number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_AREA
        )
        if number < len(captions):
            place = (left + 4, top + height + 18)
            cv2.putText(sheet, captions[number], place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (220, 220, 220), 1, cv2.LINE_AA)
    return sheet
