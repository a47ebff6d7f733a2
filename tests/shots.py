"""A shot with all that makes delivery hard: sound, rotation, variable rate, 10 bits, odd size, colours, timecode."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.frame import VideoFrame

from rotoscope.video.pictures import arrays_of, frame_of

TICK = Fraction(1, 15360)
SIZE = (121, 91)
"""As stored; shown it is turned by 90 degrees."""
TIMES = [0, 614, 1300, 1843, 2500, 3072, 3686, 4301, 5400, 5530, 6144, 6758]
"""Of the frames, in ticks."""
HLG = (9, 1, 9, 18)
"""Matrix, range, primaries and transfer: BT.2020, video range, hybrid log-gamma."""


@dataclass
class Item:
    """One frame's masks, as a writer takes them."""

    index: int
    name: str
    object_ids: tuple[int, ...]
    labels: np.ndarray
    probabilities: torch.Tensor = field(repr=False)


def tone(count: int, rate: int = 48000) -> Any:
    """``count`` frames of sound."""
    for number in range(count):
        t = (np.arange(960) + number * 960) / rate
        samples = np.stack([0.3 * np.sin(2 * np.pi * 440 * t)] * 2).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.rate, frame.pts, frame.time_base = rate, number * 960, Fraction(1, rate)
        yield frame


def shot(
    path: Path,
    *,
    form: str = "mov",
    sound: str | None = "aac",
    pixels: str = "yuv444p10le",
    colours: tuple[int, int, int, int] = HLG,
    turn: int = 90,
    timecode: str | None = "01:02:03:04",
    aspect: Fraction | None = Fraction(4, 3),
    late: int = 0,
    size: tuple[int, int] = SIZE,
) -> Path:
    """Write the shot; ``late`` ticks are added to all times of pictures."""
    rng = np.random.default_rng(3)
    with av.open(str(path), "w", format=form) as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"crf": "4", "bf": "0", "g": "4"})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        context = stream.codec_context
        context.time_base = TICK
        if aspect:
            context.sample_aspect_ratio = aspect
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = colours
        if turn:
            stream.set_display_rotation(turn)
        if timecode:
            stream.metadata["timecode"] = timecode
        heard = out.add_stream(sound, rate=48000, layout="stereo") if sound else None
        for number, time in enumerate(TIMES):
            blank = VideoFrame(*size, pixels)
            top = 4 if "10" in pixels else 1
            planes = [
                (np.linspace(70, 200, a.size).reshape(a.shape) * top + rng.integers(0, 6 * top, a.shape) + number * top)
                .astype(a.dtype)
                for a in arrays_of(blank)
            ]  # fmt: skip
            frame = frame_of(planes, pixels)
            frame.pts, frame.time_base = time + late, TICK
            frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = colours
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if heard is not None:
            for part in tone(24):
                out.mux(heard.encode(part))
            out.mux(heard.encode(None))
    return path


def soft_disc(size: tuple[int, int], index: int, radius: float = 9.0) -> np.ndarray:
    """A disc with soft edges that moves, ``[H, W]`` in [0, 1]."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    away = np.hypot(x - width * 0.4 - index, y - height * 0.5)
    return (1 / (1 + np.exp((away - radius) * 1.2))).astype(np.float32)


def item(size: tuple[int, int], index: int, name: str = "", ids: tuple[int, ...] = (3, 7)) -> Item:
    """Two objects: the left and the right part of a disc."""
    disc = soft_disc(size, index)
    left = np.linspace(0, 1, size[0], dtype=np.float32)[None] > 0.45
    soft = np.stack([disc * left, disc * ~left][: len(ids)])
    whole = torch.from_numpy(np.concatenate([1 - soft.sum(axis=0, keepdims=True), soft]))
    labels = np.array((0, *ids))[whole.argmax(dim=0).numpy()].astype(np.uint8)
    return Item(index, name or f"{index:05d}", ids, labels, whole)
