"""Folders of mask images: a file an object, a file a frame, or a folder an object with a file a frame in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, shown
from rotoscope.limits import check_limit
from rotoscope.masks.images import masks_of_image, soft_of_image

Masks = dict[int, NDArray[Any]]
IMAGES = {".png", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jpg", ".jpeg", ".pgm"}
ALIKE = 0.2
"""Masks of two files that share this much of their union are one object's on two frames, not two objects'."""
FEW = 6
"""Files of a folder that are looked at to tell what it holds."""


@dataclass(frozen=True)
class Layout:
    """What a folder of masks holds.

    Attributes:
        kind: ``objects``: a file per object, of one frame; ``frames``: a file per frame; ``either``: one object in each
            file, and nothing tells which; ``folders``: a folder per object, as ``--format objects`` and ``soft`` write.
        files: by object for ``folders`` (the object's files), else all files under the key 0.
        why: what decided.
    """

    kind: str
    files: dict[int, list[Path]]
    why: str


def mask_files(folder: Path) -> list[Path]:
    """The visible image files of a folder, in order of their names."""
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in IMAGES and not p.name.startswith(".") and p.is_file()
    )


def has_images(folder: Path) -> bool:
    """Whether a folder holds a mask image, or folders that are named as objects are."""
    return bool(mask_files(folder)) or any(p.is_dir() and p.name.isdecimal() for p in folder.iterdir())


def need_one(where: Path, number: int, names: dict[int, str], name: str) -> None:
    """Refuse masks of a frame that has some already, of which one or the other would be lost.

    Args:
        where: holds both.
        number: the frame's.
        names: of what there is so far, by frame; ``name`` is put in.
        name: of what comes now.

    Raises:
        InputError: there are masks of the frame.
    """
    if number in names:
        raise InputError(
            f"{where}: {shown(names[number], 60)} and {shown(name, 60)} are both of frame {number}. Leave one out, or "
            "put both in one."
        )
    names[number] = name


def layout(folder: Path) -> Layout:
    """Look at a folder of masks and tell what it holds.

    Raises:
        InputError: it holds no masks, or one that cannot be read.
    """
    files = mask_files(folder)
    inner = sorted((p for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()), key=lambda p: int(p.name))
    inner = [p for p in inner if mask_files(p)]
    if files and inner:
        raise InputError(
            f"{folder}: holds both mask images, such as {files[0].name}, and folders of objects, such as "
            f"{inner[0].name}/. Give one or the other."
        )
    if inner:
        by_object: dict[int, list[Path]] = {}
        for path in inner:
            if not 0 < int(path.name) < 65536 or int(path.name) in by_object:
                why = "another has that id" if int(path.name) in by_object else "ids are 1 to 65535"
                raise InputError(f"{folder}: the folder {path.name}/ cannot be an object's: {why}. Rename it.")
            by_object[int(path.name)] = mask_files(path)
        return Layout("folders", by_object, "a folder per object, a file per frame in it")
    if not files:
        raise InputError(f"{folder}: a folder without mask images. Give a mask file, or a folder of them.")
    looked = {file: masks_of_image(file)[0] for file in files[:: max(1, len(files) // FEW)][:FEW]}
    return Layout(*_of_files(looked, files))


def _of_files(looked: dict[Path, Masks], files: list[Path]) -> tuple[str, dict[int, list[Path]], str]:
    """What a folder of files holds, by some of them."""
    several = next((file for file, masks in looked.items() if len(masks) > 1), None)
    if several is not None:
        return "frames", {0: files}, f"{several.name} holds {len(looked[several])} objects, so a file is a frame"
    ids = [next(iter(masks)) for masks in looked.values() if masks]
    named = [str(i) in re.findall(r"[1-9]\d*", file.stem)[-1:] for file, masks in looked.items() for i in masks]
    if not all(named) and any(i != 1 and ids.count(i) > 1 for i in ids):
        return "frames", {0: files}, "files hold the same id, so a file is a frame"
    wholes = [next(iter(masks.values())) > 0.5 for masks in looked.values() if masks]
    for a, b in pairwise(wholes):
        if a.shape == b.shape and (a & b).sum() > ALIKE * max((a | b).sum(), 1):
            return "either", {0: files}, "one object in each file, and they lie on each other"
    return "objects", {0: files}, "one object in each file, apart from each other"


def masks_of_folder(folder: Path) -> tuple[Masks, list[str], str]:
    """Read a folder as the masks of one frame: a file per object, or the first frame of a folder per object.

    Raises:
        InputError: it holds masks of several frames, or cannot be read.
    """
    held = layout(folder)
    if held.kind == "frames":
        raise InputError(
            f"{folder}: holds the masks of {len(held.files[0])} frames ({held.why}). Give one of its files, or the "
            "folder as --mask of a video whose frames bear their names."
        )
    if held.kind == "folders":
        stems = sorted({file.stem for files in held.files.values() for file in files})
        account = [f"{held.why}: {len(stems)} frames, of which {stems[0]} is read"]
        return masks_of_object_folders(held, stems[0]), account, "folder per object"
    account = [f"one file per object, {_naming(held.files[0])[1]}"]
    if held.kind == "either":
        account.append("they lie on each other: if they are one object on several frames, give one of the files")
    return _per_object(held.files[0]), account, "folder of images"


def masks_of_frames(
    folder: Path, number: Callable[[str], int | None], names: Sequence[str]
) -> tuple[dict[int, tuple[Masks, list[str]]], str] | None:
    """Read a folder as masks of the frames of a video; None if it is one frame's, a file per object.

    Args:
        folder: holds files, or a folder per object.
        number: gives the number of the frame of a name; None if the video has none of that name.
        names: some frames' names, for errors.

    Returns: masks and account by number of the frame, and a line on what decided.

    Raises:
        InputError: it holds several frames' masks, but their names are no frames'; or nothing tells what it holds.
    """
    held = layout(folder)
    stems = sorted({file.stem for files in held.files.values() for file in files})
    numbers = {stem: number(stem) for stem in stems}
    matching = [stem for stem in stems if numbers[stem] is not None]
    if held.kind == "objects" and len(matching) == len(stems):
        if not any(stem.startswith("0") for stem in stems):  # no id is written so
            raise InputError(
                f"{folder}: {held.why}, and named as frames of the video: it may be a file per object or per frame. "
                f"Name the files object_{stems[0]}.png and so on, or give each as MASK@FRAME."
            )
    elif held.kind == "objects" or (held.kind == "either" and not matching):
        return None
    if len(matching) < len(stems):
        other = next(stem for stem in stems if numbers[stem] is None)
        raise InputError(
            f"{folder}: holds masks of frames ({held.why}), but {other} is no frame of the video, whose frames are "
            f"{', '.join(names)}, …. Name the files after the frames, or give one as MASK@FRAME."
        )
    masks = _read_frames(held, {stem: place for stem, place in numbers.items() if place is not None})
    if not masks:
        raise InputError(f"{folder}: masks without any object.")
    return masks, f"masks of {len(masks)} frame(s), named as the video's: {held.why}"


def _read_frames(held: Layout, numbers: dict[str, int]) -> dict[int, tuple[Masks, list[str]]]:
    """Masks and account of the frames that show an object, by number; ``numbers`` gives those of the files' names."""
    masks: dict[int, tuple[Masks, list[str]]] = {}
    by_stem = {file.stem: file for file in held.files.get(0, ())}
    for own in held.files.values():
        names_of: dict[int, str] = {}
        for file in own:
            need_one(file.parent, numbers[file.stem], names_of, file.name)
    for stem, place in numbers.items():
        account: list[str] = []
        if held.kind == "folders":
            read = masks_of_object_folders(held, stem)
        else:
            read, account, _ = masks_of_image(by_stem[stem])
        read = {i: mask for i, mask in read.items() if mask.any()}
        if read:
            masks[place] = read, account
    return masks


def masks_of_object_folders(held: Layout, stem: str) -> Masks:
    """The masks of one frame, from a folder per object."""
    check_limit("objects", len(held.files), next(iter(held.files.values()))[0].parent.parent)
    masks: Masks = {}
    for object_id, files in held.files.items():
        file = next((f for f in files if f.stem == stem), None)
        if file is not None:
            soft = soft_of_image(file)
            merged = soft if soft is not None else _merged(masks_of_image(file)[0])
            if merged is not None:
                masks[object_id] = merged
    return masks


def _per_object(files: list[Path]) -> Masks:
    check_limit("objects", len(files), files[0].parent)
    masks: Masks = {}
    for object_id, file in zip(_naming(files)[0], files, strict=True):
        merged = _merged(masks_of_image(file)[0])
        if merged is not None:
            masks[object_id] = merged
    return masks


def _naming(files: list[Path]) -> tuple[list[int], str]:
    """Ids of files that hold an object each, and where they come from."""
    digits = [re.findall(r"\d+", p.stem) for p in files]
    ids = [int(numbers[-1]) if numbers else 0 for numbers in digits]
    if len(set(ids)) == len(ids) and all(0 < i < 65536 for i in ids):
        return ids, "ids from the file names"
    return list(range(1, len(files) + 1)), "numbered in the order of their names"


def _merged(masks: Masks) -> NDArray[Any] | None:
    """All masks of a file as one; soft if one is."""
    if not masks:
        return None
    if any(mask.dtype != bool for mask in masks.values()):
        return np.asarray(np.maximum.reduce([mask.astype(np.float32) for mask in masks.values()]))
    return np.asarray(np.logical_or.reduce(list(masks.values())))
