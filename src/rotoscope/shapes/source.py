"""The masks of a finished run, or of any folder or file of several frames' masks, one frame at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, shown
from rotoscope.files import inside, text_of
from rotoscope.masks.arrays import masks_of_array_file
from rotoscope.masks.coco import AnnotatedImage, images_of_json, masks_of_annotations
from rotoscope.masks.folders import Layout, layout, masks_of_object_folders
from rotoscope.masks.images import masks_of_image
from rotoscope.masks.outlines import read_json

Masks = dict[int, NDArray[np.bool_]]
Reader = Callable[[], dict[int, NDArray[Any]]]
RECORD = "run.json"


@dataclass(frozen=True, eq=False)
class MaskSequence:
    """Masks of the frames of a clip.

    Attributes:
        name: of the clip.
        frames: name of each frame, in order, and what reads its masks.
    """

    name: str
    frames: tuple[tuple[str, Reader], ...]

    def masks(self) -> Iterator[tuple[str, Masks]]:
        """Name and masks of each frame, by object id.

        Raises:
            InputError: a file that cannot be read, or frames of different sizes.
        """
        size: tuple[int, ...] | None = None
        for name, read in self.frames:
            masks = {i: mask if mask.dtype == bool else mask > 0.5 for i, mask in read().items()}
            for mask in masks.values():
                if size is not None and mask.shape != size:
                    raise InputError(
                        f"{self.name}: frame {shown(name, 60)} is {mask.shape[1]}x{mask.shape[0]}, those before are "
                        f"{size[1]}x{size[0]}. Give frames of one size."
                    )
                size = mask.shape
            yield name, masks


def open_masks(path: Path) -> MaskSequence:
    """Open a folder that ``rotoscope segment`` has filled, a folder of masks, or a COCO file of many images.

    Raises:
        InputError: it is none of these, or an unfinished run.
    """
    if path.is_file() and path.suffix.lower() == ".json":
        return MaskSequence(path.stem, _of_coco(path))
    if not path.is_dir():
        raise InputError(f"{path}: no folder or COCO file of masks. Give a folder that segment has filled.")
    if (path / ".rotoscope").exists():
        raise InputError(f"{path}: holds an unfinished run. Finish it with rotoscope segment --resume.")
    record = text_of(path / RECORD)
    frames = _of_folder(path) if record is None else _of_run(path, record)
    return MaskSequence(path.resolve().name, frames)


def _of_run(folder: Path, record: str) -> tuple[tuple[str, Reader], ...]:
    """The frames of a finished run, from whichever of its formats tells most exactly which pixels are an object's."""
    try:
        data = json.loads(record)
        names = [str(name) for name in data["masks"]]
        formats = list(data["run"]["formats"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder / RECORD}: not the record of a run. Give the folder of the masks themselves."
        ) from None
    if "palette" in formats:
        here = (
            folder if (folder / f"{names[0]}.png").exists() or not (folder / "palette").is_dir() else folder / "palette"
        )
        return tuple((name, _image(inside(here, f"{name}.png"))) for name in names)
    for kind in ("objects", "soft"):
        if kind in formats:
            held = layout(folder / kind if (folder / kind).is_dir() else folder)
            return tuple((name, _folders(held, name)) for name in names)
    if "coco" in formats:
        here = folder / "coco" if (folder / "coco").is_dir() else folder
        by_name = dict(_of_coco(here / "annotations.json"))
        return tuple((name, by_name.get(name, dict)) for name in names)
    if "npz" in formats:
        here = folder / "npz" if (folder / "npz").is_dir() else folder
        return tuple((name, _archive(inside(here, f"{name}.npz"))) for name in names)
    raise InputError(
        f"{folder}: holds {', '.join(formats)}, from which masks are not read back. Segment with --format palette."
    )


def _of_folder(folder: Path) -> tuple[tuple[str, Reader], ...]:
    if archives := sorted(folder.glob("*.npz")):
        return tuple((file.stem, _archive(file)) for file in archives)
    held = layout(folder)
    if held.kind == "folders":
        stems = sorted({file.stem for files in held.files.values() for file in files})
        return tuple((stem, _folders(held, stem)) for stem in stems)
    return tuple((file.stem, _image(file)) for file in held.files[0])


def _of_coco(path: Path) -> tuple[tuple[str, Reader], ...]:
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    images = images_of_json(read_json(path), path)
    if not images:
        raise InputError(f"{path}: holds no annotation.")
    return tuple((image.name or str(image.key), _annotations(image, path)) for image in images)


def _image(file: Path) -> Reader:
    return lambda: masks_of_image(file)[0]


def _folders(held: Layout, stem: str) -> Reader:
    return lambda: masks_of_object_folders(held, stem)


def _archive(file: Path) -> Reader:
    return lambda: masks_of_array_file(file)[0]


def _annotations(image: AnnotatedImage, path: Path) -> Reader:
    return lambda: masks_of_annotations(image, path)[0]
