"""Write a video with the times, colours, pixel shape, timecode and sound of its source, whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from rotoscope.errors import WriteError, shown
from rotoscope.files import new_file_beside, sync
from rotoscope.video.base import Video
from rotoscope.video.clock import Clock
from rotoscope.video.codings import Coding
from rotoscope.video.matroska import set_aspect
from rotoscope.video.nature import Nature
from rotoscope.video.pictures import Picture, frame_of
from rotoscope.video.sound import Sound

RGB = 0
"""FFmpeg's number for the matrix of pixels that are RGB."""


class Encoder:
    """Writes pictures beside the sound of their source.

    The file takes its name when it is closed, so a file of that name is always whole. The same pictures give the same
    file, byte for byte, where the encoder does (all but H.264's on several threads).

    Args:
        path: the file.
        coding: how it is coded.
        video: the source.
        nature: of the source.
        comment: a line about the file that is kept in it.

    Attributes:
        notes: what could not be kept, known when the file is closed; one line each.
    """

    def __init__(self, path: Path, coding: Coding, video: Video, nature: Nature, comment: str) -> None:
        self.path = path
        self.coding = coding
        self.nature = nature
        self.full = nature.colours.full and coding.ranged
        self.pixels = coding.deep if nature.deep and coding.deep else coding.pixels
        self.notes: list[str] = []
        self._colours = self._told()
        self._clock = Clock(nature.rate, nature.tick, nature.start)
        self._sound: Sound | None = None
        try:
            self._temporary = new_file_beside(path)
            place, how = str(self._temporary.absolute()), {"fflags": "+bitexact"}
            if coding.container in ("mov", "mp4"):  # else a late start is rounded to a millisecond
                how["movie_timescale"] = str(nature.tick.denominator)
            self._container = av.open(place, "w", format=coding.container, options=how)
        except (FFmpegError, OSError) as error:
            raise WriteError(f"{path}: cannot be written ({shown(error)}). Choose another place.") from None
        try:
            self._stream = self._open_stream(coding.coded_size(video.size))
            self._container.metadata["comment"] = comment
            self._sound = Sound(video, self._container, nature.start, nature.stop)
        except BaseException:
            self.discard()
            raise

    def write(self, picture: Picture, values: NDArray[Any]) -> None:
        """Append a picture.

        Args:
            picture: the source's, for its time.
            values: ``[C, H, W]`` uint16 with 10 bits: Y, U, V and, where the coding has it, alpha; or, for RGB codings,
                ``[H, W, 4]`` RGBA, uint8 or uint16.
        """
        frame = self._frame(values)
        frame.pts, frame.time_base = self._clock.next(picture.time), self.nature.tick
        frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = self._colours
        assert self._sound is not None
        for packet in self._sound.until(picture.time) if picture.time is not None else ():
            self._put(packet)
        self._put(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._put(self._stream.encode(None))
        assert self._sound is not None
        for packet in self._sound.until(None):
            self._put(packet)
        self._sound.close()
        try:
            self._container.close()
            self._say_aspect()
            sync(self._temporary)
            os.replace(self._temporary, self.path)
        except (FFmpegError, OSError) as error:
            self._give_up(error)

    def _say_aspect(self) -> None:
        if self.nature.aspect and self.coding.container in ("matroska", "webm"):
            try:
                set_aspect(self._temporary, (self._stream.width, self._stream.height), self.nature.aspect)
            except ValueError as error:
                self.notes.append(f"{self.path.name}: does not tell that its pixels are {self.nature.aspect} ({error})")

    def discard(self) -> None:
        """Give up; nothing is left."""
        with suppress(FFmpegError, OSError):
            self._container.close()
        if self._sound is not None:
            self._sound.close()
        with suppress(FileNotFoundError):
            self._temporary.unlink()

    def _open_stream(self, size: tuple[int, int]) -> Any:
        nature = self.nature
        stream: Any = self._container.add_stream(
            str(self.coding.encoder), rate=nature.standard_rate if nature.timecode else nature.rate
        )
        stream.width, stream.height = size
        stream.pix_fmt, stream.options = self.pixels, dict(self.coding.options)
        context = stream.codec_context
        context.time_base = nature.tick
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = self._colours
        if nature.aspect:
            context.sample_aspect_ratio = nature.aspect
        if nature.timecode:
            stream.metadata["timecode"] = nature.timecode
        if self.coding.container == "webm":
            stream.metadata["alpha_mode"] = "1"  # else browsers do not look for it
        return stream

    def _told(self) -> tuple[int, int, int, int]:
        """Matrix, range, primaries and transfer that the file tells."""
        colours = self.nature.colours
        if self.pixels.startswith(("bgra", "rgba")):
            return RGB, 2, colours.primaries, colours.transfer
        return colours.matrix, 2 if self.full else 1, colours.primaries, colours.transfer

    def _frame(self, values: NDArray[Any]) -> VideoFrame:
        if self.pixels == "bgra":
            return VideoFrame.from_ndarray(np.ascontiguousarray(values[..., [2, 1, 0, 3]]), format="bgra")
        if self.pixels == "rgba64le":
            return VideoFrame.from_ndarray(np.ascontiguousarray(values), format="rgba64le")
        if self.coding.even and (values.shape[1] % 2 or values.shape[2] % 2):
            values = np.pad(values, ((0, 0), (0, values.shape[1] % 2), (0, values.shape[2] % 2)), mode="edge")
        frame = frame_of(list(values), "yuva444p10le" if len(values) == 4 else "yuv444p10le")
        _, frame.color_range, *_ = self._colours
        return frame if self.pixels == frame.format.name else frame.reformat(format=self.pixels)

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
