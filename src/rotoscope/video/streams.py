"""Cameras and addresses of streams: frames that come once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from av.error import FFmpegError
from av.video.frame import VideoFrame

from rotoscope.errors import InputError
from rotoscope.video.base import Video
from rotoscope.video.containers import choose_stream, open_container
from rotoscope.video.frame import Frame
from rotoscope.video.orientation import upright
from rotoscope.video.prefetch import DEPTH


class StreamVideo(Video):
    """A camera (``camera:0``) or the address of a stream; frames come once, in order."""

    indexable = False
    length_is_exact = False

    def __init__(self, address: str, prefetch_depth: int = DEPTH, start: int = 0, end: int | None = None) -> None:
        super().__init__(prefetch_depth, start, end)
        self.name = address.replace(":", "-").replace("/", "-")
        camera = address.startswith("camera:")
        target = f"/dev/video{address.removeprefix('camera:')}" if camera else address
        self._container = open_container(target, "v4l2" if camera else None)
        stream, choice = choose_stream(self._container, address)
        self.notes += [choice] if choice else []
        self.fps = float(stream.average_rate) if stream.average_rate else None
        self._source = self._container.decode(stream)
        self._reading = threading.Lock()
        self._closed = threading.Event()
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
                frame = self._next()
            except FFmpegError as error:
                self.problems.append(f"{self.name}: broke off after frame {index - 1} ({error.strerror})")
                return

    def _next(self) -> VideoFrame | None:
        """The next frame, whenever it comes; None at the end, or when the stream was closed meanwhile."""
        with self._reading:
            if self._closed.is_set():
                return None
            try:
                frame = next(self._source, None)
            finally:
                if self._closed.is_set():
                    self._container.close()
        return frame

    def at(self, index: int) -> Frame:
        """Never: not indexable."""
        raise InputError(f"{self.name}: frames come in order only.")

    def close(self) -> None:
        """Close the stream; one that is waited for in another thread is closed by that, as soon as it gives a sign."""
        self._closed.set()
        if self._reading.acquire(blocking=False):
            try:
                self._container.close()
            finally:
                self._reading.release()
