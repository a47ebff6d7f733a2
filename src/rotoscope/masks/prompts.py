"""Masks that are given to a video: a file, a folder or what Python holds, brought to ``{frame: {object id: mask}}``."""

from __future__ import annotations

import io
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from rotoscope.errors import InputError, shown
from rotoscope.masks.arrays import masks_of_array, masks_of_array_file, one_mask
from rotoscope.masks.coco import images_of_json, masks_of_annotations
from rotoscope.masks.folders import has_images, masks_of_frames, need_one
from rotoscope.masks.images import masks_of_picture
from rotoscope.masks.outlines import number_of, outlines_of, read_json
from rotoscope.masks.reading import MaskReading, checked, enough_memory, read_masks
from rotoscope.masks.sheets import Sheet, frame_of, masks_of_sheets

Masks = dict[int, NDArray[Any]]
PLAIN = {
    "0/255 mask read as one object",
    "0/1 mask read as one object",
    "black-and-white mask read as one object",
    "grey values read as ids",
    "colours read as ids by the DAVIS palette",
    "label map",
    "stack of masks",
    "one mask",
}
"""Lines of an account that tell of no decision: the file could mean nothing else."""


class Named(Protocol):
    """What is asked of a video."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    def number_of(self, name: str) -> int | None:
        """The number of the frame of a name."""


def masks_for(source: Any, frame: int, video: Named, resize: bool, notes: list[str]) -> dict[int, Masks]:
    """The masks that one source gives, by frame; those of ``frame`` unless the source itself says which.

    Args:
        source: a path of what :func:`~rotoscope.read_masks` reads, or of a folder or COCO file of several frames' masks
            that are named after the frames; a label map, a stack or a Pillow image; or ``{object id: mask}``.
        frame: the frame it is given for.
        video: the masks' video.
        resize: bring masks of another size to the video's.
        notes: is told what was decided in reading, a line each.

    Raises:
        InputError: it cannot be read, or does not fit the video.
    """
    if isinstance(source, (str, Path)):
        with enough_memory(source):
            readings = _several_frames(Path(source), video)
        if readings is None:
            readings = {frame: read_masks(source, size=video.size, resize=resize)}
        else:
            where = str(source)
            readings = {
                number: checked(r.masks, r.account, r.format, where, size=video.size, resize=resize)
                for number, r in readings.items()
            }
        said = dict.fromkeys(line for reading in readings.values() for line in reading.account)
        notes += [f"{source}: {line}" for line in said if line not in PLAIN]
        return {number: reading.masks for number, reading in readings.items()}
    masks, account = masks_of_argument(source)
    if any(mask.any() for mask in masks.values()):
        where = f"masks for frame {frame}"
        kept = checked(masks, account, "", where, size=video.size, resize=resize)
        # A mask without a pixel is kept here: it says that its object is not there.
        height, width = kept.size[1], kept.size[0]
        masks = {i: kept.masks.get(i, np.zeros((height, width), bool)) for i in masks}
        account = list(kept.account)
    notes += [f"masks for frame {frame}: {line}" for line in account if line not in PLAIN]
    return {frame: masks}


def masks_of_argument(argument: Any) -> tuple[Masks, list[str]]:
    """Masks held by Python: ``{object id: mask}``, a label map ``[H, W]``, a stack ``[N, H, W]``, or a Pillow image.

    Raises:
        InputError: anything else, or masks with values that are no mask's.
    """
    if isinstance(argument, Mapping):
        account: list[str] = []
        return {_id(key): _single(mask, key, account) for key, mask in argument.items()}, account
    if isinstance(argument, Image.Image):
        masks, said, _ = masks_of_picture(ImageOps.exif_transpose(argument), "the mask image")
        return masks, said
    try:
        return masks_of_array(_array(argument))
    except InputError as error:
        raise InputError(f"the masks given: {error}") from None


def _single(mask: Any, key: Any, account: list[str]) -> NDArray[Any]:
    """One object's mask of a mapping; ``account`` is told what was decided."""
    try:
        if isinstance(mask, (str, Path)):
            reading = read_masks(mask)
            masks: Masks = reading.masks
            account += [f"{mask}: {line}" for line in reading.account if line not in PLAIN]
        elif isinstance(mask, Image.Image):
            masks, said = masks_of_argument(mask)
            account += [f"object {key}: {line}" for line in said if line not in PLAIN]
        else:
            array = _array(mask)
            if array.ndim != 2:
                raise InputError(f"has shape {array.shape}; give [H, W].")
            return one_mask(array)
    except InputError as error:
        raise InputError(f"mask of object {key}: {error}") from None
    if len(masks) != 1:
        raise InputError(f"mask of object {key}: holds {len(masks)} objects; give one object's.")
    return next(iter(masks.values()))


def _array(argument: Any) -> NDArray[Any]:
    """An array, or what can be taken for one: a tensor, nested lists."""
    if isinstance(argument, io.IOBase):
        raise InputError("an open file is no mask. Give its path, or open it with Pillow.")
    if hasattr(argument, "detach"):
        argument = argument.detach().cpu()
        argument = argument.float() if "float" in str(argument.dtype) else argument
    try:
        array = np.asarray(argument)
    except (TypeError, ValueError):
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        kind = type(argument).__name__
        raise InputError(f"a {kind} is no mask. Give a path, an array [H, W], or {{object id: mask}}.")
    return array


def _id(key: Any) -> int:
    try:
        return operator.index(key)
    except TypeError:
        raise InputError(f"object id {key!r} is not allowed; ids are whole numbers from 1 to 65535.") from None


def _several_frames(path: Path, video: Named) -> dict[int, MaskReading] | None:
    """Masks of several frames, by the names of the frames; None if the path holds those of one."""
    names = [f"{i:05d}" for i in range(2)]
    if path.is_dir():
        if files := sorted(path.glob("*.npz")):
            return _archives(path, files, video)
        if not has_images(path) and (outlines := outlines_of(path)):
            return _outlined(*outlines, path, video)
        read = masks_of_frames(path, video.number_of, names)
        if read is None:
            return None
        by_frame, line = read
        return {n: MaskReading(masks, (0, 0), (line, *account), "") for n, (masks, account) in by_frame.items()}
    if path.suffix.lower() not in (".json", ".xml", ".txt") or not path.is_file():
        return None
    if outlines := outlines_of(path):
        return _outlined(*outlines, path, video)
    if path.suffix.lower() != ".json":
        return None
    images = images_of_json(read_json(path), path)
    if len(images) < 2:
        return None
    readings: dict[int, MaskReading] = {}
    names_of: dict[int, str] = {}
    for image in images:
        number = video.number_of(image.name)
        if number is None:
            raise InputError(
                f"{path}: annotations of {len(images)} images, of which {shown(image.name or repr(image.key), 80)} is "
                "no frame of the video. Name them after the frames, or give one frame's."
            )
        need_one(path, number, names_of, image.name)
        masks, account = masks_of_annotations(image, path)
        line = f"masks of {len(images)} images, named as frames of the video"
        readings[number] = MaskReading(masks, (0, 0), (line, *account[1:]), "")
    return readings


def _outlined(sheets: list[Sheet], kind: str, path: Path, video: Named) -> dict[int, MaskReading] | None:
    """Outlines of an annotation tool, by the frames' names or numbers; None for one picture's, named as it may be."""
    places = [video.number_of(sheet.name) if sheet.name else None for sheet in sheets]
    places = [number_of(sheet) if place is None else place for sheet, place in zip(sheets, places, strict=True)]
    if len(sheets) == 1 and sheets[0].number is None:
        return None
    other = next((sheet for sheet, place in zip(sheets, places, strict=True) if place is None), None)
    if other is not None:
        raise InputError(
            f"{path}: {kind}, outlines of {len(sheets)} images, of which {frame_of(other)} is no frame of the video. "
            "Name them after the frames, or give one frame's."
        )
    masks, account = masks_of_sheets(sheets, video.size, str(path))
    together: dict[int, Masks] = {}
    for place, by_id in zip(places, masks, strict=True):  # a frame may have several: a sheet an object, or a person
        own = together.setdefault(place, {}) if place is not None else {}
        for object_id, mask in by_id.items():
            own[object_id] = mask | own[object_id] if object_id in own else mask
    return {
        place: MaskReading(by_id, (0, 0), tuple(account), kind)
        for place, by_id in together.items()
        if any(mask.any() for mask in by_id.values())
    }


def _archives(folder: Path, files: list[Path], video: Named) -> dict[int, MaskReading]:
    """A folder of NPZ files, one a frame, as ``--format npz`` writes."""
    readings: dict[int, MaskReading] = {}
    names_of: dict[int, str] = {}
    for file in files:
        number = video.number_of(file.stem)
        if number is None:
            raise InputError(
                f"{folder}: {file.name} is named after no frame of the video. Name the files after frames."
            )
        need_one(folder, number, names_of, file.name)
        masks, account, _ = masks_of_array_file(file)
        if any(mask.any() for mask in masks.values()):
            readings[number] = MaskReading(masks, (0, 0), tuple(account), "")
    return readings
