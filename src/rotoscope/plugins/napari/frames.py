"""Frames between napari's layers and our videos, in both directions, one at a time."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rotoscope.app.cache import ByteCache
from rotoscope.errors import InputError
from rotoscope.video import Video, open_video
from rotoscope.video.arrays import ArrayVideo, as_bytes

KEPT_BYTES = 128 << 20
"""Decoded frames that a layer keeps, so that going to and fro over a few does not decode them again."""


class ImageLayer(Protocol):
    """What is asked of napari's Image layer."""

    data: Any
    rgb: bool
    ndim: int
    name: str
    contrast_limits: Any


class VideoFrames:
    """A video file as napari takes an array: uint8 ``[T, H, W, 3]``, decoded frame by frame when it is looked at.

    Args:
        path: a file that :func:`rotoscope.open_video` reads.

    Raises:
        InputError: it is no video.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.video = open_video(self.path)
        width, height = self.video.size
        self.shape = (len(self.video), height, width, 3)
        self._kept: ByteCache[NDArray[np.uint8]] = ByteCache(KEPT_BYTES, lambda image: image.nbytes)

    @property
    def size(self) -> int:
        """Number of values in all frames."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """What NumPy's indexing gives, for numbers, slices and lists of frames; only these frames are decoded."""
        head, *rest = key if isinstance(key, tuple) else (key,)
        if head is Ellipsis:
            rest = [slice(None)] * (self.ndim - len(rest)) + rest
            head, rest = rest[0], rest[1:]
        inside = tuple(rest)
        if isinstance(head, (slice, list, np.ndarray)):
            wanted = np.arange(len(self))[head]
            if not len(wanted):
                return np.empty((0, *self.shape[1:]), np.uint8)[(slice(None), *inside)]
            return np.stack([self._frame(int(index))[inside] for index in wanted])
        index = operator.index(head)
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of a video of {len(self)} frames")
        return self._frame(index % len(self))[inside]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it; napari itself never asks for that."""
        return self[:].astype(dtype or self.dtype, copy=False)

    def _frame(self, index: int) -> NDArray[np.uint8]:
        return self._kept.get(index, lambda: as_bytes(self.video.at(index).image))


class LayerFrames:
    """An Image layer of any kind as a video takes an array: frames ``[H, W, 3]`` or grey ``[H, W, 1]``, uint8.

    Grey values become 0 to 255 as the layer's contrast limits show them, or the method would see another picture than
    the person does. One frame at a time is computed, so layers of dask or zarr are not read whole.
    """

    ndim = 4

    def __init__(self, layer: ImageLayer) -> None:
        self._data, self._rgb = layer.data, bool(layer.rgb)
        self._limits = tuple(float(limit) for limit in layer.contrast_limits)
        count, height, width = self._data.shape[:3]
        self.shape = (int(count), int(height), int(width), 3 if self._rgb else 1)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        image = np.asarray(self._data[index])
        if self._rgb:
            return as_bytes(image[..., :3].astype(np.float32) if image.dtype.kind == "f" else image[..., :3])
        low, high = self._limits
        share = (image.astype(np.float32) - low) / max(high - low, 1e-12)
        return np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)[..., None]


def check_layer(layer: ImageLayer | None) -> ImageLayer:
    """Refuse an Image layer that is no clip.

    Raises:
        InputError: with what a clip is.
    """
    if layer is None:
        raise InputError("no clip is chosen. Open a video, or an image stack whose first axis is time.")
    if layer.ndim != 3:
        raise InputError(f"layer {layer.name!r} has {layer.ndim} axes; a clip has three: time, height, width.")
    return layer


def video_of(layer: ImageLayer, start: int = 0, end: int | None = None) -> Video:
    """The frames of a layer as a video of their own, which another thread may read.

    Args:
        layer: an Image layer of time, height and width, in colour or grey.
        start: first frame to give.
        end: the frame after the last; None for all.

    Raises:
        InputError: the layer is no clip, or the video's file is gone.
    """
    check_layer(layer)
    if isinstance(layer.data, VideoFrames):
        return open_video(layer.data.path, start=start, end=end)
    frames: Any = LayerFrames(layer)
    video = ArrayVideo(frames, start=start, end=end)
    video.name = layer.name
    return video
