"""Frames of a file in order, with their numbers; and the same frames from a place within it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from rotoscope.video.containers import choose_stream, open_container
from rotoscope.video.table import FrameTable, agrees, mark, packet_times

Numbered = Generator[tuple[int, VideoFrame], None, None]
CERTAIN_PIXELS = 2 * 10**9
"""Files of no more pixels in all their frames (960 frames of 1920x1080) are decoded once before they are sought in."""


@dataclass
class Pass:
    """One way through a file, from its first packet or from where it was sought to.

    Attributes:
        path: the file that is read.
        damage: damage that was met, one line each.
        lost: times of the packets that could not be decoded.
        packets: the number of packets that were read.
        reached: the time at which the last of them ends, in seconds.
    """

    path: Path
    damage: list[str] = field(default_factory=list)
    lost: list[int | None] = field(default_factory=list)
    packets: int = 0
    reached: float = 0.0

    def frames(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Frames as the decoder gives them; a packet that cannot be decoded is noted and passed over."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self.damage.append(f"{self.path.name}: reading stopped ({error.strerror})")
                return
            if packet is None:
                return
            if packet.size:
                self.packets += 1
            if packet.pts is not None and packet.time_base:
                self.reached = max(self.reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            try:
                frames = packet.decode()
            except FFmpegError:
                self.lost.append(packet.pts)
                continue
            yield from (frame for frame in frames if isinstance(frame, VideoFrame))

    def tell_lost(self, since: int, suggested: FrameTable | None, counted: int) -> None:
        """Note the packets lost from the ``since``-th on, by the number of their frame where it is known."""
        for time in self.lost[since:]:
            place = suggested.place.get(time) if suggested is not None and time is not None else None
            line = f"damage before frame {counted}" if place is None else f"damaged frame {place}"
            if f"{self.path.name}: {line}" not in self.damage:
                self.damage.append(f"{self.path.name}: {line}")


class Decoding:
    """Reads one file: frames from its start, or from any number on, always the same under the same number.

    Numbers are those that decoding in order counts. A seek is never believed: the frames it lands on must be the ones
    that the table has there, else an earlier place is tried, and at last the start of the file. Frames shown before
    the first key frame that a seek lands on need others that were not decoded, and are passed over.
    """

    def __init__(self, path: Path, pixels: int) -> None:
        self.path = path
        self.pixels = pixels
        self._packets: tuple[FrameTable | None, int] | None = None
        self._decoded: FrameTable | None = None
        self._believed: bool | None = None

    def open(self) -> tuple[InputContainer, VideoStream]:
        """Open the file at its start."""
        container = open_container(str(self.path))
        return container, choose_stream(container, str(self.path))[0]

    def packets(self) -> tuple[FrameTable | None, int]:
        """The table that the packets suggest, and how many they are."""
        if self._packets is None:
            container, stream = self.open()
            with container:
                self._packets = packet_times(container, stream)
        return self._packets

    def small(self) -> bool:
        """Whether decoding the whole file once takes little."""
        return self.packets()[1] * self.pixels <= CERTAIN_PIXELS

    def table(self) -> FrameTable:
        """All frames; decoded once, unless the file is large and its packets can be believed."""
        if self._decoded is None and not self.small() and self._packets_hold():
            suggested = self.packets()[0]
            assert suggested is not None
            return suggested
        if self._decoded is None:
            self._decoded = self._decode_all()
        return self._decoded

    def cheap_table(self) -> FrameTable | None:
        """The table, if it is there or takes little; else None, and a place is reached by decoding all before it."""
        return self.table() if self._decoded is not None or self.small() or self._packets_hold() else None

    def _packets_hold(self) -> bool:
        """Evidence for the packets of a large file: the first frames decoded, and its last, are those suggested."""
        if self._believed is None:
            suggested, _ = self.packets()
            self._believed = False
            if suggested is not None:
                container, stream = self.open()
                with container:
                    self._believed = agrees(suggested, Pass(self.path).frames(container, stream))
                    last = len(suggested) - 1
                    ends = any(number == last for number, _ in self._from_places(container, stream, suggested, last))
                    self._believed = self._believed and ends
        return self._believed

    def _decode_all(self) -> FrameTable:
        numbers: list[int] = []
        times: list[int | None] = []
        marks: list[int] = []
        keys: list[int] = []
        way = Pass(self.path)
        container, stream = self.open()
        with container:
            for number, frame in self.numbered(container, stream, way):
                if frame.key_frame:
                    keys.append(len(numbers))
                numbers.append(number)
                times.append(frame.pts)
                marks.append(mark(frame))
        return FrameTable(numbers, times, marks, keys, way.damage)

    def numbered(self, container: InputContainer, stream: VideoStream, way: Pass) -> Numbered:
        """Frames from the first, counted; after damage, numbered by their time where the packets tell it."""
        counted = 0
        last: VideoFrame | None = None
        told = 0
        for frame in way.frames(container, stream):
            if len(way.lost) > told:
                suggested = self._suggested(last, counted - 1)
                if suggested is not None and frame.pts is not None:
                    counted = max(counted, suggested.place.get(frame.pts, 0))
                way.tell_lost(told, suggested, counted)
                told = len(way.lost)
            if frame.is_corrupt:
                way.damage.append(f"{self.path.name}: damaged frame {counted}")
            yield counted, frame
            last = frame
            counted += 1
        if len(way.lost) > told:
            way.tell_lost(told, self._suggested(last, counted - 1), counted)

    def _suggested(self, last: VideoFrame | None, number: int) -> FrameTable | None:
        """What the packets suggest, if it was right so far."""
        suggested, _ = self.packets()
        if suggested is None or last is None:
            return suggested
        return suggested if last.pts is not None and suggested.place.get(last.pts) == number else None

    def frames_from(self, start: int, way: Pass, table: FrameTable | None) -> Numbered:
        """Frames from number ``start`` on; ``way`` is told the damage of a pass from the start of the file."""
        wanted = start
        if table is not None and wanted >= len(table):
            return
        if table is not None and table.seekable:
            container, stream = self.open()
            with container:
                while wanted < len(table):
                    before = wanted
                    for number, frame in self._from_places(container, stream, table, wanted):
                        yield number, frame
                        wanted = number + 1
                    if wanted == before:
                        break  # no place leads there
            if wanted >= len(table):
                return
        container, stream = self.open()
        with container:
            yield from ((n, frame) for n, frame in self.numbered(container, stream, way) if n >= wanted)

    def _from_places(self, container: InputContainer, stream: VideoStream, table: FrameTable, wanted: int) -> Numbered:
        """Frames from the nearest place that leads to number ``wanted`` (or the next there is); else nothing."""
        target = table.numbers[bisect_left(table.numbers, wanted)]
        for place in table.starts_before(bisect_left(table.numbers, wanted)):
            reached = False
            for number, frame in self._sought(container, stream, table, place):
                if not reached and number > target:
                    break  # the seek landed behind it
                if reached or number == target:
                    reached = True
                    yield number, frame
            if reached:
                return

    def _sought(self, container: InputContainer, stream: VideoStream, table: FrameTable, place: int) -> Numbered:
        """Frames after a seek to a place, from the first key frame shown, as long as they are those of the table."""
        time = table.times[place]
        assert time is not None
        try:
            container.seek(time, stream=stream, backward=True)
        except (FFmpegError, OSError):
            return
        at: int | None = None
        for frame in Pass(self.path).frames(container, stream):
            if at is None:
                if not frame.key_frame or frame.pts not in table.place:
                    continue
                at = table.place[frame.pts]
            if not table.is_at(at, frame):
                return
            yield table.numbers[at], frame
            at += 1
