"""Write a video file (H.264), whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from rotoscope.errors import InputError, RotoscopeError

ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_nvenc", "h264_mf")


def h264_encoder() -> str:
    """Name of the H.264 encoder that this build of FFmpeg has.

    Raises:
        InputError: it has none.
    """
    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise InputError(f"FFmpeg here has no H.264 encoder ({', '.join(ENCODERS)}). Choose another format than overlay.")


class VideoWriter:
    """Writes frames to an MP4 file; it takes its name when it is closed, so a file of that name is always whole.

    Args:
        path: the file.
        fps: frames per second.
        size: width and height; an odd side is padded by one row or column, as H.264 wants even ones.
    """

    def __init__(self, path: str | Path, fps: float, size: tuple[int, int], codec: str | None = None) -> None:
        self.path = Path(path)
        self.size = size
        self._temporary = self.path.with_name(f".{self.path.stem}.writing{self.path.suffix}")
        rate = Fraction(fps).limit_denominator(1001)
        try:
            self._container = av.open(str(self._temporary), "w", format="mp4")
        except (FFmpegError, OSError) as error:
            raise RotoscopeError(f"{self.path}: cannot be written ({error}). Choose another place.") from None
        stream: Any = self._container.add_stream(codec or h264_encoder(), rate=rate)
        self._stream = stream
        stream.width, stream.height = size[0] + size[0] % 2, size[1] + size[1] % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append a frame, RGB uint8 ``[H, W, 3]``."""
        if (image.shape[1], image.shape[0]) != self.size:
            raise InputError(f"{self.path}: frame is {image.shape[1]}x{image.shape[0]}, expected {self.size}.")
        if self.size[0] % 2 or self.size[1] % 2:
            image = np.pad(image, ((0, self.size[1] % 2), (0, self.size[0] % 2), (0, 0)), mode="edge")
        self._put(self._stream.encode(VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._put(self._stream.encode(None))
        self._container.close()
        os.replace(self._temporary, self.path)

    def discard(self) -> None:
        """Give up; nothing is left."""
        with suppress(FFmpegError, OSError):
            self._container.close()
        with suppress(FileNotFoundError):
            self._temporary.unlink()

    def _put(self, packets: Any) -> None:
        try:
            self._container.mux(packets)
        except (FFmpegError, OSError) as error:
            self.discard()
            raise RotoscopeError(
                f"{self.path}: cannot be written ({error}). Make room or choose another place."
            ) from None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
