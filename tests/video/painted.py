"""Clips whose frames carry their number, painted in, in whatever container and codec FFmpeg writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

SIZE = (96, 64)
BITS = 6


def painted(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """RGB ``[H, W, 3]``: the number in bits along the top, and something that moves so that pictures need others."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8) + np.array([40, 60, 80], np.uint8)
    image[24:44, 10 + number : 30 + number] = (220, 60, 40)
    for bit in range(BITS):
        image[:8, bit * 8 : bit * 8 + 8] = 255 if number >> bit & 1 else 0
    return image


def read_number(image: np.ndarray) -> int:
    return sum(1 << bit for bit in range(BITS) if image[2:6, bit * 8 + 2 : bit * 8 + 6].mean() > 128)


def number_of_frame(video: Any, index: int) -> int:
    """For another process."""
    return read_number(video[index].image)


def write(
    path: Path,
    codec: str = "libx264",
    frames: int = 24,
    *,
    options: Mapping[str, str] | None = None,
    form: str | None = None,
    container: Mapping[str, str] | None = None,
    times: Callable[[int], int] | None = None,
    pixels: str = "yuv420p",
    size: tuple[int, int] = SIZE,
) -> Path:
    """Encode ``frames`` painted frames; ``times`` gives their presentation times in 1/12 s."""
    with av.open(str(path), "w", format=form, options=dict(container or {})) as out:
        stream: Any = out.add_stream(codec, rate=12, options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, 12)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(painted(number, size), format="rgb24")
            frame.pts, frame.time_base = (times or int)(number), Fraction(1, 12)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def remux(
    source: Path,
    path: Path,
    change: Callable[[list[Any]], Iterable[Any]] = list,
    *,
    form: str | None = None,
    container: Mapping[str, str] | None = None,
) -> Path:
    """Copy the packets of a file, changed, into another."""
    with (
        av.open(str(source)) as given,
        av.open(str(path), "w", format=form, options=dict(container or {})) as out,
    ):
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in change([p for p in given.demux(video=0) if p.size]):
            packet.stream = stream
            out.mux(packet)
    return path


def joined(path: Path, *sources: Path) -> Path:
    path.write_bytes(b"".join(source.read_bytes() for source in sources))
    return path
