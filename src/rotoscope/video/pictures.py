"""Frames as their source stores them: in its colours, depth and times, for what is made of a video beside masks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from rotoscope.video.base import Video
from rotoscope.video.files import VideoFile
from rotoscope.video.frame import Frame
from rotoscope.video.orientation import apply_matrix, display_matrix, upright
from rotoscope.video.prefetch import prefetch

AHEAD = 3
"""Pictures that are decoded ahead."""
UNTOLD = 2
"""FFmpeg's number for a matrix, primaries or a transfer that a file does not tell."""
ITU709 = 1
WORK = "yuv444p10le"
"""What pictures are worked on in: 10 bits, chroma at full size."""


class Picture:
    """One frame as it is stored, and as it is to be shown.

    Attributes:
        index: position in the video, from 0.
        name: what masks of the frame are called.
        time: seconds from the source's start, exact; None where it has no times.
        frame: as the decoder gives it, not turned.
    """

    def __init__(self, index: int, name: str, time: Fraction | None, frame: VideoFrame) -> None:
        self.index = index
        self.name = name
        self.time = time
        self.frame = frame
        self._planes: dict[bool, NDArray[np.uint16]] = {}
        self._rgb: NDArray[np.uint8] | None = None

    @property
    def deep(self) -> bool:
        """Whether it has more than 8 bits a channel."""
        return max(component.bits for component in self.frame.format.components) > 8

    def rgb(self) -> NDArray[np.uint8]:
        """RGB uint8 ``[H, W, 3]``, upright: as sessions see the frame."""
        if self._rgb is None:
            self._rgb = upright(self.frame)
        return self._rgb

    def deep_rgb(self) -> NDArray[np.uint16]:
        """RGB uint16 ``[H, W, 3]`` up to 65,535, upright."""
        return self._turned(self.frame.to_ndarray(format="rgb48le"))

    def planes(self, full: bool) -> NDArray[np.uint16]:
        """Y, U and V with 10 bits, ``[3, H, W]``, upright, by the source's own matrix: nothing but depth changes.

        RGB and grey sources are converted by BT.709.

        Args:
            full: values are of full range, 0 to 1023; else of video range, 64 to 940 (960 for U and V).
        """
        if full not in self._planes:
            target = ColorRange.JPEG if full else ColorRange.MPEG
            frame = self.frame if has_matrix(self.frame) else VideoFrame.from_ndarray(self.rgb(), format="rgb24")
            how: dict[str, Any] = {"format": WORK, "dst_color_range": target}
            if not has_matrix(self.frame):
                if self.deep:
                    frame = VideoFrame.from_ndarray(self.deep_rgb(), format="rgb48le")
                how |= {"dst_colorspace": Colorspace.ITU709, "src_color_range": ColorRange.JPEG}
            planes = np.stack(arrays_of(frame.reformat(**how)))
            turned = self._turned(planes.transpose(1, 2, 0)) if has_matrix(self.frame) else planes.transpose(1, 2, 0)
            self._planes[full] = np.ascontiguousarray(turned.transpose(2, 0, 1))
        return self._planes[full]

    def _turned(self, image: Any) -> Any:
        matrix = display_matrix(self.frame)
        return image if matrix is None else apply_matrix(image, matrix)


def has_matrix(frame: VideoFrame) -> bool:
    """Whether a frame is stored as luma and chroma, and not as RGB, grey or a palette."""
    form = frame.format
    return not form.is_rgb and not form.has_palette and len(form.components) >= 3


def is_full(frame: VideoFrame) -> bool:
    """Whether a frame's luma and chroma use the full range."""
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")


def arrays_of(frame: VideoFrame) -> list[NDArray[Any]]:
    """The planes of a planar frame, ``[H, W]`` each, uint8 or uint16."""
    kind = np.dtype(np.uint16 if frame.format.components[0].bits > 8 else np.uint8)
    arrays = []
    planes: Any = frame.planes
    for plane in planes:
        lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
        arrays.append(lines[:, : plane.width * kind.itemsize].copy().view(kind))
    return arrays


def frame_of(planes: list[NDArray[Any]], form: str) -> VideoFrame:
    """A planar frame of planes, ``[H, W]`` each, the first of full size."""
    height, width = planes[0].shape
    frame = VideoFrame(width, height, form)
    for plane, values in zip(frame.planes, planes, strict=True):
        lines = np.zeros((plane.height, plane.line_size), np.uint8)
        row = np.ascontiguousarray(values).view(np.uint8)
        lines[:, : row.shape[1]] = row
        plane.update(lines)  # type: ignore[arg-type]
    return frame


def pictures(video: Video) -> Iterator[Picture]:
    """Yield the pictures of the part of a video that is read, decoded ahead in a thread."""
    if isinstance(video, VideoFile):
        source = _of_file(video)
    else:
        source = (_of_frame(frame, video.fps) for frame in video.decode(video.start, video.end, reverse=False))
    return prefetch(source, AHEAD)


def _of_file(video: VideoFile) -> Iterator[Picture]:
    rate = Fraction(video.fps or 24).limit_denominator(1001)
    for index, frame in video.stored(video.start, video.end):
        time = index / rate
        if video.timed and frame.pts is not None and frame.time_base is not None:
            time = frame.pts * frame.time_base
        yield Picture(index, video.name_of(index), time, frame)


def _of_frame(frame: Frame, fps: float | None) -> Picture:
    time = None if frame.time is None else Fraction(frame.time).limit_denominator(120000)
    if time is None:
        time = frame.index / Fraction(fps or 24).limit_denominator(1001)
    image = np.ascontiguousarray(frame.image)
    return Picture(frame.index, frame.name, time, VideoFrame.from_ndarray(image, format="rgb24"))
