"""The sound of a source, packet by packet, into another file: nothing is decoded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError

from rotoscope.video.base import Video
from rotoscope.video.containers import open_container
from rotoscope.video.files import VideoFile

NO_EARLIER = ("matroska", "webm")
"""Containers without times before 0: what would come there makes all other times later."""


def fitting(path: Path, form: str) -> tuple[list[int], list[str]]:
    """Which streams of sound of a file a container takes: their places among the streams, and codecs of the others."""
    kept, others = [], []
    with open_container(str(path)) as container:
        for stream in container.streams.audio:
            if _takes(form, stream):
                kept.append(stream.index)
            else:
                others.append(stream.codec_context.name if stream.codec_context is not None else "unknown")
    return kept, others


def _takes(form: str, stream: AudioStream) -> bool:
    """Whether a container takes a stream: its header is written to memory, as some codecs fail only there."""
    try:
        with av.open(io.BytesIO(), "w", format=form) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (FFmpegError, ValueError, OSError):
        return False
    return True


class Sound:
    """Copies the sound of a part of a file beside its pictures.

    A packet is taken if it begins within the part, so that at either end less than a packet (some 20 ms) is missing
    or too much. Times are those of the source, counted from the start of the part.

    Args:
        video: the source; one that is no file has no sound.
        out: the file that is written; streams are added to it.
        start: seconds of the source that are 0 in the file.
        stop: seconds at which the part ends; None for the end.
    """

    def __init__(self, video: Video, out: OutputContainer, start: Fraction, stop: Fraction | None) -> None:
        self._source: Any = None
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._start = start
        self._stop = stop
        self._cut = video.start > 0
        self._earlier = out.format.name.split(",")[0] not in NO_EARLIER
        self._to: dict[int, Any] = {}
        self._last: dict[int, int] = {}
        if not isinstance(video, VideoFile):
            return
        kept, _ = fitting(video.path, out.format.name)
        if kept:
            self._source = open_container(str(video.path))
            streams = [self._source.streams[index] for index in kept]
            for stream in streams:
                target = out.add_stream_from_template(stream)
                target.metadata.update(stream.metadata)
                self._to[stream.index] = target
            self._packets = self._wanted(self._source.demux(streams))
            self._next = next(self._packets, None)

    def until(self, time: Fraction | None) -> Iterator[Any]:
        """Yield the packets that begin up to a time of the source; None: all that are left."""
        while self._next is not None and (time is None or _begins(self._next) <= time):
            packet = self._next
            self._next = next(self._packets, None)
            yield self._moved(packet)

    def close(self) -> None:
        """Close the source."""
        if self._source is not None:
            with suppress(FFmpegError):
                self._source.close()

    def _wanted(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Packets of the part that is read, in an order that can be written."""
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                return  # the file is cut off here, which reading its pictures tells
            if packet is None:
                return
            if not packet.size or packet.pts is None or packet.dts is None:
                continue
            begins, index = _begins(packet), packet.stream.index
            if self._stop is not None and begins >= self._stop:
                continue
            if begins < self._start and (self._cut or not self._may_come_before(packet)):
                continue
            if packet.dts <= self._last.get(index, packet.dts - 1):
                continue  # the clock went back, as where recordings are joined
            self._last[index] = packet.dts
            yield packet

    def _may_come_before(self, packet: Any) -> bool:
        """Whether a packet before the start is one that fills the decoder, which the file marks as not to be heard."""
        return self._earlier or packet.stream.codec_context.name in ("opus", "libopus")

    def _moved(self, packet: Any) -> Any:
        assert packet.time_base is not None
        moved = round(self._start / packet.time_base)
        packet.pts, packet.dts = packet.pts - moved, packet.dts - moved
        packet.stream = self._to[packet.stream.index]
        return packet


def _begins(packet: Any) -> Fraction:
    return Fraction(packet.pts * packet.time_base)
