"""How a decoded picture is turned and mirrored to stand as it is meant to be seen."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame


def upright(frame: VideoFrame) -> Any:
    """RGB uint8 ``[H, W, 3]``, turned and mirrored by the display matrix."""
    image = frame.to_ndarray(format="rgb24")
    matrix = display_matrix(frame)
    return image if matrix is None else np.ascontiguousarray(apply_matrix(image, matrix))


def display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """The nine 16.16 numbers that a container or a codec gives to say how a frame is shown; None where it gives none.

    In order ``a b u c d v x y w``, they map a stored place ``(p, q)`` to the shown ``(a p + c q + x, b p + d q + y)``.
    """
    try:
        data: Any = frame.side_data
    except ValueError:  # PyAV has no name for some of it, as for EXIF of newer FFmpeg; the turn alone can be had
        turn = math.radians(frame.rotation)
        a, b = round(math.cos(turn) * 65536), round(math.sin(turn) * 65536)
        return (a, -b, 0, b, a, 0, 0, 0, 1 << 30) if b or a < 0 else None
    item = data.get(Type.DISPLAYMATRIX)
    return None if item is None else struct.unpack("=9i", bytes(item)[:36])


def is_turned(frame: VideoFrame) -> bool:
    """Whether width and height change places when a frame is made upright."""
    matrix = display_matrix(frame)
    return matrix is not None and abs(matrix[0]) + abs(matrix[4]) < abs(matrix[1]) + abs(matrix[3])


def apply_matrix(image: Any, matrix: tuple[int, ...]) -> Any:
    """Turn and mirror an image ``[H, W, C]``; turns that are no quarters are rounded to the nearest."""
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        across, down = a < 0, d < 0
    else:
        image = image.transpose(1, 0, 2)
        across, down = c < 0, b < 0
    image = image[:, ::-1] if across else image
    return image[::-1] if down else image
