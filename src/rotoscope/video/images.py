"""Folders and globs of images as a video, and one image file of several pictures."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps, features

from rotoscope.errors import InputError, shown
from rotoscope.video.base import Video
from rotoscope.video.depth import LOOKED_AT, Scale, deep_values, is_deep, scale_of
from rotoscope.video.frame import Frame
from rotoscope.video.limits import UNREADABLE, open_picture, page_count
from rotoscope.video.prefetch import DEPTH
from rotoscope.video.source import SourceFiles

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
SUFFIXES |= {".avif"} if features.check("avif") else set()
BROKEN = (OSError, SyntaxError, ValueError)
"""What reading a damaged image raises."""


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key under which ``frame2`` comes before ``frame10``."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part.lower()) for part in parts if part]


def is_image(path: Path) -> bool:
    """Whether the name says image and is not hidden; a folder of such a name is none."""
    named = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return named and not path.is_dir() and not path.is_fifo()


def read_image(path: Path, page: int = 0, scale: Scale | None = None) -> NDArray[np.uint8]:
    """Read an image as upright RGB, uint8 ``[H, W, 3]``; alpha is dropped.

    Args:
        path: the file.
        page: which of its pictures.
        scale: of images of more than 8 bits; that of this image alone unless given.

    Raises:
        OSError: it is missing, damaged, or no image.
        InputError: it has too many pixels.
    """
    try:
        values = read_values(path, page)
    except BROKEN:
        raise
    except UNREADABLE as error:
        raise OSError(f"{type(error).__name__}: {shown(error)}") from None
    if values.dtype != np.uint8:
        values = (scale or scale_of([values])).to_bytes(values)
    return np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values


def read_values(path: Path, page: int = 0) -> NDArray[Any]:
    """An image as it is stored, upright: RGB uint8 ``[H, W, 3]``, or deeper values, then also ``[H, W]``."""
    with open_picture(path) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if page:
            opened.seek(page)
        if is_deep(opened) and not (page and opened.mode in ("RGB", "RGBA")):
            values = deep_values(path, opened)  # before EXIF is asked for: that loads a PNG, at 8 bits
            return np.ascontiguousarray(_turned(values, opened.getexif().get(0x0112, 1)))
        upright = opened if opened.getexif().get(0x0112, 1) == 1 else ImageOps.exif_transpose(opened)
        return np.array(upright if upright.mode == "RGB" else upright.convert("RGB"))  # each copy is half a millisecond


def _turned(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror ``[H, W, …]`` as the EXIF number says."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image[::-1] if orientation in (3, 4, 7, 8) else image


class ImageSequence(Video):
    """Images in natural order of their names; all of one size."""

    fps = None

    def __init__(
        self, paths: Sequence[Path], name: str, prefetch_depth: int = DEPTH, start: int = 0, end: int | None = None
    ) -> None:
        super().__init__(prefetch_depth, start, end)
        self.paths = sorted(paths, key=natural_key)
        self.name = name
        self.length = len(self.paths)
        self._files = SourceFiles(self.paths)
        self._size: tuple[int, int] | None = None
        self._scale: Scale | None = None
        stems = [path.stem for path in self.paths]
        self._names = stems if len(set(stems)) == len(stems) else [path.name.replace(".", "_") for path in self.paths]
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._check_range()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first image that can be read."""
        if self._size is None:
            for path in self.paths:
                try:
                    image = self._read(path)
                except BROKEN:
                    continue  # reported when it is its turn
                self._size = image.shape[1], image.shape[0]
                break
            else:
                raise InputError(f"{self.name}: none of its {len(self.paths)} images can be read. Look at the first.")
        return self._size

    def number_of(self, name: str) -> int | None:
        """The number of the image of a name (without suffix); None if there is none."""
        return self._numbers.get(name)

    def fingerprint(self, contents: bool = False) -> str | None:
        """Of all images: their names with sizes and times, or with contents."""
        return self._files.code(contents)

    def name_of(self, number: int) -> str:
        """The name of an image (without suffix)."""
        return self._names[number]

    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield the images that can be read; those that are damaged go to ``problems``.

        Raises:
            SourceChangedError: an image is gone, or altered, since the video was opened.
        """
        indices = range(start, min(len(self.paths), stop if stop is not None else len(self.paths)))
        for index in reversed(indices) if reverse else indices:
            try:
                yield self.at(index)
            except BROKEN as error:
                reason = "is gone" if isinstance(error, FileNotFoundError) else f"cannot be read ({shown(error)})"
                self.problems.append(f"{self.paths[index]}: frame {index} {reason}")

    def at(self, index: int) -> Frame:
        """One image.

        Raises:
            OSError: it cannot be read.
            InputError: it has another size than the first.
            SourceChangedError: it is gone, or altered, since the video was opened.
        """
        path = self.paths[index]
        try:
            image = self._read(path)
        finally:
            self._files.check(index)
        size = image.shape[1], image.shape[0]
        if size != self.size:
            raise InputError(
                f"{path}: is {size[0]}x{size[1]} but the first image is {self.size[0]}x{self.size[1]}. "
                "Make all images one size."
            )
        return Frame(index, image, name=self._names[index])

    def _read(self, path: Path) -> NDArray[np.uint8]:
        """An image; the first of more than 8 bits has the scale of all found."""
        if self._scale is None:
            with open_picture(path) as opened:
                deep = is_deep(opened)
            if not deep:
                return read_image(path)
            self._scale = scale_of([v for v in self._some_values() if v.dtype != np.uint8])
            self.notes.append(self._scale.note)
        return read_image(path, scale=self._scale)

    def _some_values(self) -> Iterator[NDArray[Any]]:
        """Images spread over the sequence, the first and the last among them, as they are stored."""
        places = np.unique(np.linspace(0, len(self.paths) - 1, LOOKED_AT).round().astype(int))
        for path in (self.paths[place] for place in places):
            try:
                yield read_values(path)
            except UNREADABLE:
                continue


class PagesVideo(Video):
    """One image file of several pictures: animated WebP, PNG or AVIF, or the pages of a TIFF."""

    def __init__(self, path: Path, prefetch_depth: int = DEPTH, start: int = 0, end: int | None = None) -> None:
        super().__init__(prefetch_depth, start, end)
        self.path = path
        self.name = path.stem
        self._file = SourceFiles([path])
        self.fps = None
        self._pages: list[int] = []
        self._times = [0.0]
        values: list[NDArray[Any]] = []
        with open_picture(path) as opened:
            shown = opened.size
            for page in range(getattr(opened, "n_frames", 1)):
                opened.seek(page)
                if opened.size != shown or int(getattr(opened, "tag_v2", {}).get(254, 0)) & 1:
                    continue  # a smaller copy of another page
                opened.load()
                self._pages.append(page)
                self._times.append(self._times[-1] + opened.info.get("duration", 0) / 1000)
                if is_deep(opened) and opened.mode not in ("RGB", "RGBA"):
                    values.append(np.asarray(opened))
        self.length = len(self._pages)
        self._scale = scale_of(values) if values else None
        self.notes += [f"{self.length} pictures in one file are its frames"]
        self.notes += [self._scale.note] if self._scale is not None else []
        if self._times[-1]:
            self.fps = self.length / self._times[-1]
        image = read_image(path, self._pages[0], self._scale)
        self._size = image.shape[1], image.shape[0]
        self._check_range()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._size

    def fingerprint(self, contents: bool = False) -> str | None:
        """Of the file: its name with size and time, or with contents."""
        return self._file.code(contents)

    def check_unchanged(self) -> None:
        """See that the file was not altered meanwhile."""
        self._file.check(0, gone=False)

    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield the pictures; one that cannot be read goes to ``problems``."""
        indices = range(start, min(len(self._pages), stop if stop is not None else len(self._pages)))
        for index in reversed(indices) if reverse else indices:
            try:
                yield self.at(index)
            except BROKEN as error:
                self.problems.append(f"{self.path}: frame {index} cannot be read ({shown(error)})")

    def at(self, index: int) -> Frame:
        """One picture."""
        image = read_image(self.path, self._pages[index], self._scale)
        return Frame(index, image, time=self._times[index] if self.fps else None)


def open_image_file(path: Path, prefetch: int, start: int, end: int | None) -> Video:
    """One image file: a video of all its pictures, or of the one there is.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    try:
        with open_picture(path) as opened:
            pages = page_count(opened)
        if pages > 1:
            return PagesVideo(path, prefetch, start, end)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as an image ({shown(error)}). Give another file.") from None
    return ImageSequence([path], path.stem, prefetch, start, end)
