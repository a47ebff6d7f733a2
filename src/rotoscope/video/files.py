"""Video files, through PyAV (FFmpeg)."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame

from rotoscope.errors import InputError
from rotoscope.video.base import Video
from rotoscope.video.containers import choose_stream, end_of_all_streams, open_container, promise
from rotoscope.video.decoding import Decoding, Numbered, Pass
from rotoscope.video.frame import Frame
from rotoscope.video.limits import check_pixels
from rotoscope.video.orientation import is_turned, upright
from rotoscope.video.prefetch import DEPTH
from rotoscope.video.source import SourceFiles

CHUNK_BYTES = 256 << 20
"""Most memory that reading backwards buffers."""
CHUNK_FRAMES = 48
"""Most frames that reading backwards buffers where the file can be sought in."""
FAR = 30
"""Frames ahead of the last one asked for that are reached by going on rather than by a seek."""
UNTIMED = ("avi",)
"""Containers without times of presentation: those that FFmpeg makes up for them are out of order."""
_OF_PARENTS: list[Any] = []
"""What was open in a process that this one was forked from; to free it here would wait for threads that are not."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=gc.freeze)  # nor is garbage of the parent's collected here: it may hold frames


class VideoFile(Video):
    """A file that FFmpeg reads.

    Attributes:
        path: the file.
        timed: whether its container gives its frames times of presentation.
    """

    def __init__(self, path: Path, prefetch_depth: int = DEPTH, start: int = 0, end: int | None = None) -> None:
        super().__init__(prefetch_depth, start, end)
        self.path = path
        self.name = path.stem
        self._file = SourceFiles([path])
        self._cursor: tuple[Numbered, int] | None = None
        self._lock, self._process = threading.RLock(), os.getpid()
        with open_container(str(path)) as container:
            stream, choice = choose_stream(container, str(path))
            self.notes += [choice] if choice else []
            check_pixels(stream.width, stream.height, path)
            rate = stream.average_rate or stream.guessed_rate
            self.fps = float(rate) if rate else None
            self._promise = promise(path, container, stream)
            self.timed = container.format.name not in UNTIMED
            seconds = self._promise.seconds
            guess = round(seconds * self.fps) if seconds and self.fps else None
            self.length = self._promise.frames or guess or None
            self.length_is_exact = self._promise.whole
            first = next(Pass(path).frames(container, stream), None)
            if first is None:
                raise InputError(f"{path}: no frame can be decoded. It may be damaged, or not a video.")
            image = upright(first)
            aspect = stream.sample_aspect_ratio or None
            if aspect and aspect != 1:
                self.aspect = 1 / aspect if is_turned(first) else aspect
            self._size = (image.shape[1], image.shape[0])
        self._decoding = Decoding(path, self._size[0] * self._size[1])
        if start and (self._decoding.small() or start >= (self.length or 0)):
            len(self)  # that a start lies outside is said before anything is begun
        self._check_range()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, after rotation."""
        return self._size

    def __len__(self) -> int:
        """Number of frames; counts them in the file, whatever the container says."""
        with self._alone():
            self.length, self.length_is_exact = len(self._decoding.table()), True
        return self.length

    def fingerprint(self, contents: bool = False) -> str | None:
        """Of the file: its name with size and time, or with contents."""
        return self._file.code(contents)

    def check_unchanged(self) -> None:
        """See that the file was not altered meanwhile, as one that is still being recorded is."""
        self._file.check(0, gone=False)

    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield frames; damage goes to ``problems``."""
        if reverse:
            yield from self._backwards(start, len(self) if stop is None else min(stop, len(self)))
            return
        for index, frame in self.stored(start, stop):
            yield self._frame(index, frame)

    def stored(self, start: int = 0, stop: int | None = None) -> Numbered:
        """Yield numbers and frames as the decoder gives them, with their colours, depth and times, not yet turned.

        Damage goes to ``problems``.
        """
        last, way = -1, Pass(self.path)
        if start:
            with self._alone():
                table = self._decoding.cheap_table()
            source = self._decoding.frames_from(start, way, table)
        else:
            source = self._from_first(way)
        for index, frame in source:
            if stop is not None and index >= stop:
                break
            last = index
            yield index, frame
        else:
            if not start:
                self._check_end(last, way)
        self.problems += way.damage

    def at(self, index: int) -> Frame:
        """One frame; going forwards frame by frame does not seek again. Threads take turns."""
        with self._alone():
            table = self._decoding.table()
            cursor = self._cursor
            near = cursor is not None and cursor[1] <= index and (index <= cursor[1] + FAR or not table.seekable)
            if not near or cursor is None:
                self.close()
                cursor = (self._decoding.frames_from(index, Pass(self.path), table), index)
            source, _position = cursor
            for number, frame in source:
                if number >= index:
                    self._cursor = (source, number + 1)
                    return self._frame(index, frame)
            self.close()
        raise InputError(f"{self.path}: frame {index} cannot be decoded; the file ends before it.")

    def close(self) -> None:
        """Close what random access holds open."""
        with self._alone():
            if self._cursor is not None:
                self._cursor[0].close()
                self._cursor = None

    def _alone(self) -> AbstractContextManager[bool]:
        """Lock of random access; in a forked process a new one, as nothing of the parent's can be used there."""
        if self._process != os.getpid():
            _OF_PARENTS.append((self._lock, self._cursor))
            self._lock, self._process, self._cursor = threading.RLock(), os.getpid(), None
        return self._lock

    def __getstate__(self) -> dict[str, Any]:
        """What another process opens the same file with."""
        return {**self.__dict__, "_cursor": None, "_lock": None, "_process": -1}

    def _from_first(self, way: Pass) -> Numbered:
        container, stream = self._decoding.open()
        with container:
            yield from self._decoding.numbered(container, stream, way)

    def _backwards(self, start: int, stop: int) -> Iterator[Frame]:
        with self._alone():
            table = self._decoding.table()
        chunk = CHUNK_BYTES // (3 * self._size[0] * self._size[1])
        chunk = max(2, min(chunk, CHUNK_FRAMES) if table.seekable else chunk)
        for high in range(stop, start, -chunk):
            low = max(start, high - chunk)
            held = []
            for index, frame in self._decoding.frames_from(low, Pass(self.path), table):
                if index >= high:
                    break
                held.append(self._frame(index, frame))
            yield from reversed(held)
        self.problems += table.damage

    def _frame(self, index: int, frame: VideoFrame) -> Frame:
        image = upright(frame)
        if (image.shape[1], image.shape[0]) != self._size:
            raise InputError(
                f"{self.path}: frame {index} is {image.shape[1]}x{image.shape[0]} but the first is "
                f"{self._size[0]}x{self._size[1]}. Re-encode the file at one size."
            )
        time = frame.time if self.timed else None
        if time is None and self.fps:
            time = index / self.fps
        return Frame(index, image, time=time)

    def _check_end(self, last: int, way: Pass) -> None:
        """Note a file that holds less than its container promises."""
        said = self._promise
        if said.whole:
            return  # each frame is listed, and lies inside the file
        if said.frames and (said.cut or way.packets < said.frames):
            if last + 1 < said.frames:
                way.damage.append(
                    f"{self.path.name}: ends at frame {last} but its container promises {said.frames} frames"
                )
            return
        if said.frames or not said.seconds:
            return
        reached = max(way.reached, way.reached - said.start)
        if self._short(reached) and not (said.shared and not self._short(end_of_all_streams(self.path))):
            way.damage.append(
                f"{self.path.name}: ends at frame {last} ({reached:.1f} s) but its container promises "
                f"{said.seconds:.1f} s"
            )

    def _short(self, reached: float) -> bool:
        return reached < 0.97 * (self._promise.seconds or 0.0) - 1
