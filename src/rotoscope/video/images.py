"""Folders and globs of images as a video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rotoscope.errors import InputError
from rotoscope.video.base import Video
from rotoscope.video.frame import Frame

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key under which ``frame2`` comes before ``frame10``."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part.lower()) for part in parts if part]


def is_image(path: Path) -> bool:
    """Whether the name says image and is not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as upright RGB, uint8 ``[H, W, 3]``; 16 bits are scaled to 8, alpha is dropped.

    Raises:
        OSError: it is missing, damaged, or no image.
    """
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I") or image.mode == "F":
            values = np.asarray(image, dtype=np.float64)
            scale = 257.0 if values.max(initial=0) > 255 else 1.0
            grey = np.clip(values / scale, 0, 255).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        return np.array(image.convert("RGB"))


class ImageSequence(Video):
    """Images in natural order of their names; all of one size."""

    fps = None

    def __init__(
        self, paths: Sequence[Path], name: str, prefetch_depth: int = 8, start: int = 0, end: int | None = None
    ) -> None:
        super().__init__(prefetch_depth, start, end)
        self.paths = sorted(paths, key=natural_key)
        self.name = name
        self.length = len(self.paths)
        self._size: tuple[int, int] | None = None
        stems = [path.stem for path in self.paths]
        self._names = stems if len(set(stems)) == len(stems) else [path.name.replace(".", "_") for path in self.paths]
        self._check_range()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first image that can be read."""
        if self._size is None:
            for path in self.paths:
                try:
                    image = read_image(path)
                except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
                    continue  # reported when it is its turn
                self._size = image.shape[1], image.shape[0]
                break
            else:
                raise InputError(f"{self.name}: none of its {len(self.paths)} images can be read.")
        return self._size

    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield the images that can be read; the others go to ``problems``."""
        indices = range(start, min(len(self.paths), stop if stop is not None else len(self.paths)))
        for index in reversed(indices) if reverse else indices:
            try:
                yield self.at(index)
            except (OSError, SyntaxError, ValueError) as error:
                reason = "is gone" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
                self.problems.append(f"{self.paths[index]}: frame {index} {reason}")

    def at(self, index: int) -> Frame:
        """One image.

        Raises:
            OSError: it cannot be read.
            InputError: it has another size than the first.
        """
        path = self.paths[index]
        image = read_image(path)
        size = image.shape[1], image.shape[0]
        if size != self.size:
            raise InputError(
                f"{path}: is {size[0]}x{size[1]} but the first image is {self.size[0]}x{self.size[1]}. "
                "Make all images one size."
            )
        return Frame(index, image, name=self._names[index])
