"""Write a video file (H.264), whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from rotoscope.errors import InputError, WriteError, shown
from rotoscope.files import new_file_beside
from rotoscope.video.clock import Clock

TICK = Fraction(1, 12000)
"""Unit of times in the file: common rates, 24000/1001 too, come out to a frame's fraction of it."""
ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_nvenc", "h264_mf")
QUALITY = {"crf": "19", "preset": "veryfast", "mbtree": "0"}
"""What the encoder is told. Its macroblock tree is off: with AVX-512 the one of libx264 reads what other code, such as
a decoder, left in the registers, so that the same frames gave now and then another file."""


def h264_encoder() -> str:
    """Name of the H.264 encoder that this build of FFmpeg has.

    Raises:
        InputError: it has none.
    """
    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise InputError(f"FFmpeg here has no H.264 encoder ({', '.join(ENCODERS)}). Choose another format.")


class VideoWriter:
    """Writes frames to an MP4 file; it takes its name when it is closed, so a file of that name is always whole.

    Colours are converted by BT.709 to studio range, and the file says so.

    Args:
        path: the file.
        fps: frames per second, of frames that are given no time.
        size: width and height; an odd side is padded by one row or column, as H.264 wants even ones.
        codec: an encoder of FFmpeg; the H.264 encoder that is there unless given.
        aspect: width of a pixel by its height.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        codec: str | None = None,
        aspect: Fraction | None = None,
    ) -> None:
        self.path = Path(path)
        self.size = size
        self._rate = Fraction(fps).limit_denominator(1001) or Fraction(24)
        try:
            self._temporary = new_file_beside(self.path)
            self._container = av.open(str(self._temporary.absolute()), "w", format="mp4")
        except (FFmpegError, OSError) as error:
            raise WriteError(f"{self.path}: cannot be written ({shown(error)}). Choose another place.") from None
        stream: Any = self._container.add_stream(codec or h264_encoder(), rate=self._rate)
        self._stream = stream
        stream.width, stream.height = size[0] + size[0] % 2, size[1] + size[1] % 2
        stream.pix_fmt = "yuv420p"
        stream.options = dict(QUALITY)
        context = stream.codec_context
        context.time_base = TICK
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if aspect:
            context.sample_aspect_ratio = aspect
        self._clock = Clock(self._rate, TICK)

    def write(self, image: NDArray[np.uint8], time: float | None = None) -> None:
        """Append a frame, RGB uint8 ``[H, W, 3]``, shown ``time`` seconds from the source's start.

        A time that does not come after the one before counts as none: the frame follows after one by the rate.
        """
        if (image.shape[1], image.shape[0]) != self.size:
            raise InputError(f"{self.path}: frame is {image.shape[1]}x{image.shape[0]}, expected {self.size}.")
        if self.size[0] % 2 or self.size[1] % 2:
            image = np.pad(image, ((0, self.size[1] % 2), (0, self.size[0] % 2), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG, threads=1,  # more would be started anew for each frame
        )  # fmt: skip
        frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        frame.pts, frame.time_base = self._clock.next(time), TICK
        self._put(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._put(self._stream.encode(None))
        try:
            self._container.close()
            os.replace(self._temporary, self.path)
        except (FFmpegError, OSError) as error:
            self._give_up(error)

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
            self._give_up(error)

    def _give_up(self, error: Exception) -> NoReturn:
        self.discard()
        raise WriteError(
            f"{self.path}: cannot be written ({shown(error)}). Make room or choose another place."
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
