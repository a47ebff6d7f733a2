"""What a video that is made beside masks takes over from its source: rate, colours, pixel shape, timecode."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.video.frame import VideoFrame

from rotoscope.video.base import Video
from rotoscope.video.containers import choose_stream, open_container
from rotoscope.video.decoding import Pass
from rotoscope.video.files import VideoFile
from rotoscope.video.pictures import ITU709, UNTOLD, has_matrix, is_full

TICK = Fraction(1, 120000)
"""Unit of times where the source has none of its own: that of all common rates, 24000/1001 too."""
STANDARD = tuple(Fraction(n) for n in (24, 25, 30, 48, 50, 60, 100, 120)) + tuple(
    Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)
)
"""Rates that a timecode can count."""


@dataclass(frozen=True)
class Colours:
    """How values mean colours, by the numbers of ITU-T H.273, which FFmpeg uses; 2 is untold.

    Attributes:
        matrix: from RGB to luma and chroma.
        full: whether values use the full range, and not video range.
        primaries: the three colours.
        transfer: the curve from light to values.
    """

    matrix: int = ITU709
    full: bool = False
    primaries: int = ITU709
    transfer: int = ITU709

    @classmethod
    def of(cls, frame: VideoFrame) -> Colours:
        """Those of a decoded frame; of RGB and grey those that :meth:`Picture.planes` converts to."""
        primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
        if not has_matrix(frame):
            told = primaries != UNTOLD
            return cls(ITU709, False, primaries if told else ITU709, transfer if transfer != UNTOLD else ITU709)
        matrix = int(frame.colorspace)
        return cls(matrix, is_full(frame), primaries, transfer)


@dataclass(frozen=True)
class Nature:
    """What is taken over from a source.

    Attributes:
        rate: frames per second on average; 24 where the source has no rate.
        tick: the unit of its times, in seconds.
        start: seconds of the source that are 0 in what is made: where the part that is read begins.
        stop: seconds at which that part ends; None if it ends with the source.
        aspect: width of a pixel by its height; None if they are square.
        timecode: of the first frame of the part that is read, as ``01:00:00:00``; None if there is none.
        colours: of its pictures.
        deep: whether they have more than 8 bits a channel.
    """

    rate: Fraction
    tick: Fraction
    start: Fraction
    stop: Fraction | None
    aspect: Fraction | None
    timecode: str | None
    colours: Colours
    deep: bool

    @property
    def standard_rate(self) -> Fraction:
        """The nearest rate that a timecode can count."""
        return min(STANDARD, key=lambda rate: abs(rate - self.rate))


def nature_of(video: Video) -> Nature:
    """Look at what a video is; a file's first frame, and those at both ends of the part that is read, are decoded."""
    rate = Fraction(video.fps or 24).limit_denominator(1001)
    if not isinstance(video, VideoFile):
        first = next(video.decode(video.start, video.start + 1, reverse=False), None)
        timed = first is not None and first.time is not None
        start = Fraction(first.time or 0) if first is not None and timed else video.start / rate
        return Nature(rate, TICK, start, None, video.aspect, None, Colours(), False)
    with open_container(str(video.path)) as container:
        stream, _ = choose_stream(container, str(video.path))
        frame = next(Pass(video.path).frames(container, stream))
        base, zero = stream.time_base or TICK, _time(frame)
        begins = Fraction(container.start_time or 0, 1_000_000)
        timecode = _timecode((stream.metadata, container.metadata, *(s.metadata for s in container.streams.data)))
        rate = stream.average_rate or stream.guessed_rate or rate
    if not video.timed:
        base, zero, begins = TICK, Fraction(0), Fraction(0)
    start, stop = begins, None
    if video.start:
        start = _time_at(video, video.start, rate)
        timecode = _moved(timecode, round((start - (zero or 0)) * rate), rate)
    elif 0 <= begins < Fraction(1, 2):
        start = Fraction(0)  # a start that is a little late is kept: sound may begin before
    if video.end is not None and video.end < len(video):
        stop = _time_at(video, video.end, rate)
    deep = max(component.bits for component in frame.format.components) > 8
    return Nature(rate, base, start, stop, video.aspect, timecode, Colours.of(frame), deep)


def _time(frame: VideoFrame) -> Fraction | None:
    return frame.pts * frame.time_base if frame.pts is not None and frame.time_base is not None else None


def _time_at(video: VideoFile, index: int, rate: Fraction) -> Fraction:
    """The time of a frame, or of the next that can be decoded."""
    source = video.stored(index, None)
    try:
        number, frame = next(source, (index, None))
    finally:
        source.close()
    time = _time(frame) if frame is not None and video.timed else None
    return time if time is not None else number / rate


def _timecode(places: tuple[Mapping[str, str], ...]) -> str | None:
    """The first timecode of some metadata; its name is written large in Matroska."""
    texts: Iterator[Any] = (v for data in places for k, v in data.items() if k.lower() == "timecode")
    return next((text for text in texts if re.fullmatch(r"\d\d:\d\d:\d\d[:;.]\d{2,3}", text)), None)


def _moved(timecode: str | None, frames: int, rate: Fraction) -> str | None:
    """A timecode so many frames later; one with ``;`` leaves numbers out as SMPTE ST 12-1 says (drop frame)."""
    if timecode is None:
        return None
    hours, minutes, seconds, count = (int(part) for part in re.split("[:;.]", timecode))
    base = max(1, round(rate))
    drop = base // 15 if timecode[8] != ":" and base % 30 == 0 else 0
    total = ((hours * 60 + minutes) * 60 + seconds) * base + count
    past = hours * 60 + minutes
    total += frames - drop * (past - past // 10)
    if drop:
        tens, rest = divmod(total, 10 * 60 * base - 9 * drop)
        total += drop * (9 * tens + max(0, (rest - drop) // (60 * base - drop)))
    seconds, count = divmod(total, base)
    hours, rest = divmod(seconds, 3600)
    return f"{hours % 24:02d}:{rest // 60:02d}:{rest % 60:02d}{timecode[8]}{count:02d}"
