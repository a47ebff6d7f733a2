"""Arrays and iterators of arrays as a video."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from rotoscope.errors import InputError
from rotoscope.video.base import Video
from rotoscope.video.frame import Frame
from rotoscope.video.prefetch import DEPTH


class ArrayVideo(Video):
    """An array ``[T, H, W, 3]``, uint8 in [0, 255] or float in [0, 1]."""

    def __init__(self, array: NDArray[Any], prefetch_depth: int = 0, start: int = 0, end: int | None = None) -> None:
        super().__init__(0, start, end)  # nothing to decode ahead
        if array.ndim != 4 or array.shape[3] not in (1, 3, 4) or 0 in array.shape:
            raise InputError(f"a video array has shape {array.shape}; give [T, H, W, 3] with at least one frame.")
        self.array = array
        self.name = "array"
        self.length = len(array)
        self._check_range()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.array.shape[2], self.array.shape[1]

    def fingerprint(self, contents: bool = False) -> str | None:
        """Of all that the array holds."""
        digest = hashlib.blake2b(f"{self.array.shape} {self.array.dtype}".encode(), digest_size=16)
        for image in self.array:
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield frames as views."""
        indices = range(start, min(len(self.array), stop if stop is not None else len(self.array)))
        for index in reversed(indices) if reverse else indices:
            yield self.at(index)

    def at(self, index: int) -> Frame:
        """One frame."""
        return Frame(index, as_rgb(self.array[index], index))


class IteratorVideo(Video):
    """Arrays or frames that come one by one, once."""

    indexable = False
    length_is_exact = False

    def __init__(
        self, source: Iterable[Any], prefetch_depth: int = DEPTH, start: int = 0, end: int | None = None
    ) -> None:
        super().__init__(prefetch_depth, start, end)
        self.name = "stream"
        iterator = iter(source)
        first = next(iterator, None)
        if first is None:
            raise InputError("the iterator gives no frame. Give at least one.")
        self._first = self._frame(first, 0)
        self._rest: Iterator[Any] | None = chain([first], iterator)
        self._check_range()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first frame."""
        return self._first.size

    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield what the iterator gives; a second pass is refused."""
        if self._rest is None:
            raise InputError(f"{self.name}: an iterator can be read once. Give a list or a file to read it again.")
        source, self._rest = self._rest, None
        for index, item in enumerate(source):
            if stop is not None and index >= stop:
                return
            if index >= start:
                yield self._frame(item, index)

    def at(self, index: int) -> Frame:
        """Never: not indexable."""
        raise InputError(f"{self.name}: frames come in order only.")

    @staticmethod
    def _frame(item: Any, index: int) -> Frame:
        if isinstance(item, Frame):
            return item
        return Frame(index, as_rgb(item, index))


def as_rgb(image: Any, index: int) -> NDArray[np.uint8]:
    """An array or Pillow image, grey, RGB or RGBA, to RGB: uint8, or float32 in [0, 1], which sessions take too.

    Raises:
        InputError: another shape, or values outside of what the type says: floats are in [0, 1] and numbers.
    """
    if isinstance(image, Image.Image):
        image = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    if hasattr(image, "asnumpy"):  # decord's own arrays
        image = image.asnumpy()
    if hasattr(image, "detach"):  # a tensor, whose channels may come first
        image = image.detach().cpu().numpy()
        if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3, 4):
            image = image.transpose(1, 2, 0)
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        raise InputError(f"frame {index} has shape {image.shape}; give [H, W, 3].")
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]
    if image.dtype == np.uint16:
        return np.asarray(image // 257, dtype=np.uint8)
    if image.dtype == bool:
        return np.asarray(image, dtype=np.uint8) * np.uint8(255)
    if image.dtype.kind == "f":
        low, high = float(image.min()), float(image.max())
        if not np.isfinite(low) or not np.isfinite(high):
            raise InputError(
                f"frame {index} holds values that are no numbers (NaN or infinite). Give floats in [0, 1]."
            )
        if low < -1e-6 or high > 1 + 1e-6:
            raise InputError(
                f"frame {index} holds floats from {low:g} to {high:g}; give floats in [0, 1] (divide by 255), or uint8."
            )
        return np.clip(image.astype(np.float32), 0, 1)
    if image.dtype != np.uint8:
        raise InputError(f"frame {index} is {image.dtype}; give uint8 in [0, 255] or float in [0, 1].")
    return np.ascontiguousarray(image)


def as_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image, uint8 or float in [0, 1], as uint8."""
    return image if image.dtype == np.uint8 else np.round(image * 255).astype(np.uint8)
