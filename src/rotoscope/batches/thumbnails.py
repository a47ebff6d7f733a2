"""A small picture of each video with its masks, for the page that shows a batch."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rotoscope.files import atomic_write
from rotoscope.masks.drawing import overlay
from rotoscope.video import Video

NAME = "thumbnail.jpg"
SIDE = 240
"""Longer side in pixels."""


def write_thumbnail(video: Video, folder: Path) -> None:
    """Write the middle frame with its masks, small; nothing where the video cannot be gone back in, or has no masks.

    Args:
        video: the frames.
        folder: of its palette masks.
    """
    if not video.indexable or video.length is None:
        return
    last = min(video.length, video.end if video.end is not None else video.length)
    frame = video.at((video.start + last) // 2)
    mask = folder / f"{frame.name}.png"
    image = frame.image
    if mask.is_file():
        with Image.open(mask) as opened:
            image = overlay(image, np.array(opened))
    share = SIDE / max(image.shape[:2])
    size = (max(round(image.shape[1] * share), 1), max(round(image.shape[0] * share), 1))
    with atomic_write(folder / NAME, durable=False) as path:
        Image.fromarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA)).save(path, "JPEG", quality=80)
