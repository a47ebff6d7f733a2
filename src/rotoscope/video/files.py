"""Video files, cameras and streams, through PyAV (FFmpeg)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from rotoscope.errors import InputError
from rotoscope.video.base import Video
from rotoscope.video.frame import Frame

CHUNK_BYTES = 256 << 20
"""Most memory that reading backwards buffers."""


def upright(frame: VideoFrame) -> Any:
    """RGB uint8 ``[H, W, 3]``, turned by the display matrix."""
    image = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4  # degrees counter-clockwise
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


@dataclass(frozen=True)
class _Index:
    """Presentation times of all frames in order, and which of them can be sought to."""

    times: list[int]
    keys: list[int]

    def number(self, pts: int) -> int:
        """Index of the frame shown at ``pts``."""
        return max(bisect_right(self.times, pts) - 1, 0)


class VideoFile(Video):
    """A file that FFmpeg reads."""

    def __init__(self, path: Path, prefetch_depth: int = 8, start: int = 0, end: int | None = None) -> None:
        super().__init__(prefetch_depth, start, end)
        self.path = path
        self.name = path.stem
        self._index: _Index | None = None
        self._cursor: tuple[InputContainer, Iterator[tuple[int, VideoFrame]], int] | None = None
        with self._open() as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            self.fps = float(rate) if rate else None
            self._promised_seconds = _seconds(stream, container)
            self.length_is_exact = bool(stream.frames)
            guess = round(self._promised_seconds * self.fps) if self._promised_seconds and self.fps else None
            self.length = stream.frames or guess
            first = next(self._decoded(container, []), None)
            if first is None:
                raise InputError(f"{path}: no frame can be decoded. It may be damaged, or not a video.")
            image = upright(first)
            self._size = (image.shape[1], image.shape[0])
        self._check_range()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, after rotation."""
        return self._size

    def __len__(self) -> int:
        """Number of frames; counts them in the file where the container does not say."""
        if self.length is None or not self.length_is_exact:
            self.length, self.length_is_exact = len(self._indexed().times), True
        return self.length

    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield frames; damage goes to ``problems``."""
        if reverse:
            yield from self._backwards(start, len(self) if stop is None else min(stop, len(self)))
            return
        last = -1
        damage: list[str] = []
        with self._open() as container:
            source = self._from(container, start, damage) if start else self._numbered(container, damage)
            for index, frame in source:
                if stop is not None and index >= stop:
                    break
                last = index
                if frame.is_corrupt:
                    damage.append(f"{self.path.name}: damaged frame {index}")
                if index >= start:
                    yield self._frame(index, frame)
            else:
                self._check_end(last, damage)
        self.problems += damage

    def at(self, index: int) -> Frame:
        """One frame; going forwards frame by frame does not seek again."""
        cursor = self._cursor
        if cursor is None or not cursor[2] <= index <= cursor[2] + 30:
            self.close()
            container = self._open()
            cursor = (container, self._from(container, index, []), index)
        container, source, _position = cursor
        for number, frame in source:
            if number >= index:
                self._cursor = (container, source, number + 1)
                return self._frame(index, frame)
        self.close()
        raise InputError(f"{self.path}: frame {index} cannot be decoded; the file ends before it.")

    def close(self) -> None:
        """Close the container of random access."""
        if self._cursor is not None:
            self._cursor[0].close()
            self._cursor = None

    def _backwards(self, start: int, stop: int) -> Iterator[Frame]:
        chunk = int(max(2, min(48, CHUNK_BYTES // (3 * self._size[0] * self._size[1]))))
        with self._open() as container:
            for high in range(stop, start, -chunk):
                low = max(start, high - chunk)
                held = []
                for index, frame in self._from(container, low, self.problems):
                    if index >= high:
                        break
                    if index >= low:
                        held.append(self._frame(index, frame))
                yield from reversed(held)

    def _frame(self, index: int, frame: VideoFrame) -> Frame:
        image = upright(frame)
        if (image.shape[1], image.shape[0]) != self._size:
            raise InputError(
                f"{self.path}: frame {index} is {image.shape[1]}x{image.shape[0]} but the first is "
                f"{self._size[0]}x{self._size[1]}. Re-encode the file at one size."
            )
        return Frame(index, image, time=frame.time)

    def _open(self) -> InputContainer:
        return open_container(str(self.path), None)

    def _decoded(self, container: InputContainer, damage: list[str]) -> Iterator[VideoFrame]:
        """Frames in order of presentation; a packet that cannot be decoded is noted and passed over."""
        stream = container.streams.video[0]
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                damage.append(f"{self.path.name}: reading stopped ({error.strerror})")
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except FFmpegError:
                where = f"damaged frame {self._indexed().number(packet.pts)}" if packet.pts is not None else "damage"
                damage.append(f"{self.path.name}: {where}")
                continue
            yield from (frame for frame in frames if isinstance(frame, VideoFrame))

    def _numbered(self, container: InputContainer, damage: list[str]) -> Iterator[tuple[int, VideoFrame]]:
        """Frames from the first, counted; after damage, numbered by their time."""
        counted = 0
        for frame in self._decoded(container, damage):
            if damage and frame.pts is not None:
                counted = max(self._indexed().number(frame.pts), counted)
            yield counted, frame
            counted += 1

    def _from(self, container: InputContainer, start: int, damage: list[str]) -> Iterator[tuple[int, VideoFrame]]:
        """Frames from about ``start`` on (never later), numbered by their time."""
        index = self._indexed()
        if start >= len(index.times):
            return
        container.seek(index.times[start], stream=container.streams.video[0], backward=True)
        for frame in self._decoded(container, damage):
            if frame.pts is not None and index.number(frame.pts) >= start:
                yield index.number(frame.pts), frame

    def _indexed(self) -> _Index:
        """List the packets once, without decoding."""
        if self._index is None:
            times, keys = [], []
            with self._open() as container:
                packets = container.demux(container.streams.video[0])
                while True:
                    try:
                        packet = next(packets, None)
                    except FFmpegError:
                        break  # the file ends here; reported where frames are read
                    if packet is None:
                        break
                    if packet.pts is not None and packet.size:
                        times.append(packet.pts)
                        if packet.is_keyframe:
                            keys.append(packet.pts)
            self._index = _Index(sorted(times), sorted(keys))
        return self._index

    def _check_end(self, last: int, damage: list[str]) -> None:
        """Note a file that holds less than its container promises."""
        with self._open() as container:
            promised = container.streams.video[0].frames
        if promised and last + 1 < promised:
            damage.append(f"{self.path.name}: ends at frame {last} but its container promises {promised} frames")
        elif not promised and self._promised_seconds and self.fps:
            reached = (last + 1) / self.fps
            if reached < 0.97 * self._promised_seconds - 1:
                damage.append(
                    f"{self.path.name}: ends at frame {last} ({reached:.1f} s) but its container promises "
                    f"{self._promised_seconds:.1f} s"
                )


class StreamVideo(Video):
    """A camera (``camera:0``) or the address of a stream; frames come once, in order."""

    indexable = False
    length_is_exact = False

    def __init__(self, address: str, prefetch_depth: int = 8, start: int = 0, end: int | None = None) -> None:
        super().__init__(prefetch_depth, start, end)
        self.name = address.replace(":", "-").replace("/", "-")
        camera = address.startswith("camera:")
        target = f"/dev/video{address.removeprefix('camera:')}" if camera else address
        self._container = open_container(target, "v4l2" if camera else None)
        stream = self._container.streams.video[0]
        self.fps = float(stream.average_rate) if stream.average_rate else None
        self._source = self._container.decode(stream)
        self._first: VideoFrame | None = next(self._source, None)
        if self._first is None:
            raise InputError(f"{address}: gives no frame.")
        image = upright(self._first)
        self._size = (image.shape[1], image.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._size

    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield frames as they arrive."""
        index = 0
        first, self._first = self._first, None
        if first is None:
            raise InputError(f"{self.name}: a stream can be read once. Open it again.")
        frame: VideoFrame | None = first
        while frame is not None and (stop is None or index < stop):
            if index >= start:
                yield Frame(index, upright(frame), time=frame.time)
            index += 1
            try:
                frame = next(self._source, None)
            except FFmpegError as error:
                self.problems.append(f"{self.name}: broke off after frame {index - 1} ({error.strerror})")
                return

    def at(self, index: int) -> Frame:
        """Never: not indexable."""
        raise InputError(f"{self.name}: frames come in order only.")

    def close(self) -> None:
        """Close the stream."""
        self._container.close()


def open_container(target: str, container_format: str | None) -> InputContainer:
    """Open a file or stream that has pictures.

    Raises:
        InputError: FFmpeg cannot read it, or it holds no video.
    """
    try:
        container = av.open(target, format=container_format, timeout=30.0 if "://" in target else None)
    except (FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{target}: not a video that can be read ({reason}).") from None
    if not container.streams.video:
        container.close()
        raise InputError(
            f"{target}: holds no pictures, only {', '.join(s.type for s in container.streams) or 'nothing'}."
        )
    container.streams.video[0].thread_type = "AUTO"
    return container


def _seconds(stream: VideoStream, container: InputContainer) -> float | None:
    """Duration that the container promises."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None
