"""Which number each frame of a file has: as decoding in order counts them, and by what they are known again."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

PROBE = 48
"""Frames from the start of a file whose times must be those of its packets before the packets are believed."""


def mark(frame: VideoFrame) -> int:
    """A checksum of a picture: every fourth row of its first plane, which changes with any block of it."""
    plane: Any = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size].reshape(plane.height, plane.line_size)
    return zlib.crc32(rows[::4, : min(frame.width, plane.line_size)].tobytes())


@dataclass
class FrameTable:
    """The frames of a file in order.

    Attributes:
        numbers: the numbers of the frames that can be decoded; there are gaps where the file is damaged.
        times: presentation times in units of the stream's time base; None where a file gives none.
        marks: checksums of the pictures; empty if the frames were never decoded.
        keys: positions in these lists at which decoding may begin.
        damage: what was met in decoding, one line each.
    """

    numbers: list[int] = field(default_factory=list)
    times: list[int | None] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = {time: place for place, time in enumerate(self.times)}
        rising = all(a is not None and b is not None and a < b for a, b in pairwise(self.times))
        self.seekable = rising and None not in self.times
        """Whether times tell the frames apart, so that the file can be sought in."""

    def __len__(self) -> int:
        return self.numbers[-1] + 1 if self.numbers else 0

    def is_at(self, place: int, frame: VideoFrame) -> bool:
        """Whether a decoded frame is the one of this place: its time, and its picture where that is known."""
        if place >= len(self.times) or frame.pts != self.times[place]:
            return False
        return mark(frame) == self.marks[place] if self.marks else not frame.is_corrupt

    def starts_before(self, place: int) -> Iterator[int]:
        """Places to begin decoding at so that ``place`` comes right: the nearest, then ever earlier ones."""
        before = [key for key in self.keys if key <= place][::-1]
        step = 0
        while step < len(before):
            yield before[step]
            step = 2 * step + 1


def packet_times(container: InputContainer, stream: VideoStream) -> tuple[FrameTable | None, int]:
    """The table that a file's packets suggest, nothing decoded; None if they suggest none. And the number of packets.

    They do where each has a time of its own.
    """
    times: list[int] = []
    keys: list[int] = []
    count, told = 0, True
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            break  # the file ends here; reported where frames are read
        if packet is None:
            break
        if not packet.size:
            continue
        count += 1
        if packet.is_discard:
            continue  # decoded, never shown: an edit list leaves it out
        if packet.pts is None:
            told = False
            continue
        times.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
    if not told or not times or len(set(times)) != len(times):
        return None, count
    ordered: list[int | None] = sorted(times)  # type: ignore[assignment]
    table = FrameTable(list(range(len(ordered))), ordered)
    table.keys = sorted(table.place[key] for key in keys)
    return table, count


def agrees(table: FrameTable, frames: Iterator[VideoFrame]) -> bool:
    """Whether the first frames decoded are those that the packets' times suggest."""
    place = -1
    for place, frame in enumerate(frames):
        if place >= len(table.times) or frame.pts != table.times[place]:
            return False
        if place + 1 == PROBE:
            break
    return place >= 0
