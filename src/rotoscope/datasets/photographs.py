"""Photographs with object masks, and photographs without, as raw material for synthetic clips."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError, RotoscopeError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
VOID = 255


@dataclass(frozen=True)
class Photograph:
    """A photograph and the index mask of its objects (same size, 0 = background, 255 = unknown)."""

    image: Path
    mask: Path

    @property
    def kind(self) -> str:
        """What stands before the first underscore of the name, such as ``coco`` of ``coco_000000000030.jpg``."""
        return self.image.stem.split("_")[0]

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return RGB uint8 ``[H, W, 3]`` and labels uint8 ``[H, W]``."""
        image = read_rgb(self.image)
        with Image.open(self.mask) as opened:
            labels = np.asarray(opened if opened.mode in ("P", "L") else opened.convert("L"), dtype=np.uint8)
        if labels.shape != image.shape[:2]:
            raise InputError(
                f"{self.mask}: mask is {labels.shape[1]}x{labels.shape[0]} but the image is "
                f"{image.shape[1]}x{image.shape[0]}. Make them the same size."
            )
        return image, labels


@dataclass(frozen=True)
class Photographs:
    """A folder of raw material: photographs with masks, and textures without."""

    masked: tuple[Photograph, ...]
    textures: tuple[Path, ...]

    @classmethod
    def open(cls, root: str | Path) -> Photographs:
        """List what a folder holds.

        Args:
            root: holds ``images/`` and ``masks/`` (an index PNG per image, of the same stem), directly or in
                ``static/`` or ``train/static/``; and optionally ``textures/``, photographs without masks.

        Raises:
            InputError: nothing of the kind is there.
        """
        root = Path(root)
        static = next((p for p in (root / "train" / "static", root / "static", root) if (p / "masks").is_dir()), None)
        if static is None:
            raise InputError(
                f"{root}: no images/ with masks/ beside it (nor in static/ or train/static/). Give --data."
            )
        images = {p.stem: p for p in list_images(static / "images")}
        pairs = [Photograph(images[mask.stem], mask) for mask in list_images(static / "masks") if mask.stem in images]
        if not pairs:
            raise InputError(
                f"{static}: no mask has an image of the same name. Name them alike, such as 1.jpg and 1.png."
            )
        folders = (root / "textures", static.parent / "textures", static / "textures")
        textures = next((list_images(p) for p in folders if p.is_dir()), [])
        return cls(tuple(pairs), tuple(textures))

    def split(self, every: int = 20) -> tuple[Photographs, Photographs]:
        """Return a training part and a validation part that holds each ``every``-th photograph."""
        return (
            Photographs(tuple(p for i, p in enumerate(self.masked) if i % every), self.textures),
            Photographs(tuple(self.masked[::every]), self.textures),
        )


def data_root(given: str | Path | None = None) -> Path:
    """Return the folder given, else ``$ROTOSCOPE_DATA``; raise InputError if neither is there."""
    chosen = given or os.environ.get("ROTOSCOPE_DATA")
    if not chosen:
        raise InputError("no training data: pass --data FOLDER or set ROTOSCOPE_DATA.")
    if not Path(chosen).is_dir():
        raise InputError(f"{chosen}: no such folder. Pass --data FOLDER or set ROTOSCOPE_DATA.")
    return Path(chosen)


def list_images(folder: Path) -> list[Path]:
    """Images of a folder in the order of their names."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image as RGB uint8 ``[H, W, 3]``."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise RotoscopeError(f"{path}: cannot be read as an image. Remove it or repair it.")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
