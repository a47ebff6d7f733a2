"""Read any mask, and say what was understood."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.masks.coco import masks_of_json
from rotoscope.masks.images import masks_of_image

Masks = dict[int, NDArray[Any]]
IMAGES = {".png", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jpg", ".jpeg", ".pgm"}


@dataclass(frozen=True, eq=False)
class MaskReading:
    """What a mask file says.

    Attributes:
        masks: ``{object_id: [H, W]}``, bool, or float32 in [0, 1] where the file holds soft masks.
        size: width and height in pixels.
        account: what was understood, one line each.
        format: kind of file, such as ``palette PNG``.
    """

    masks: Masks
    size: tuple[int, int]
    account: tuple[str, ...]
    format: str

    def explain(self) -> list[str]:
        """Lines for a person: kind, size, each object, and the account."""
        lines = [f"{self.format}, {self.size[0]}x{self.size[1]}, {len(self.masks)} object(s)"]
        for object_id, mask in self.masks.items():
            share = 100 * float(mask.mean())
            kind = "" if mask.dtype == bool else ", soft"
            lines.append(f"object {object_id}: {share:.2f} % of the picture{kind}")
        return lines + list(self.account)


def read_masks(
    path: str | Path, *, size: tuple[int, int] | None = None, resize: bool = False, object_id: int | None = None
) -> MaskReading:
    """Read the masks of one frame.

    Understands palette and grey index images (16 bits too), 0/255 and soft images, RGB colours, alpha, a folder with
    one file per object, COCO run-length or polygon JSON, NPY and NPZ.

    Args:
        path: the file or folder.
        size: width and height of the video; another size is an error unless ``resize``.
        resize: bring the masks to ``size``: labels by nearest neighbour, soft masks linearly.
        object_id: the id to give to the one object read.

    Raises:
        InputError: missing, not a mask, without an object, or of another size than the video.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such mask file or folder.")
    masks, account, kind = _read(path)
    bad = [i for i in masks if not 0 < i < 65536]
    if bad:
        raise InputError(f"{path}: object id {bad[0]} is not allowed; ids are whole numbers from 1 to 65535.")
    masks = {i: mask for i, mask in masks.items() if mask.any()}
    if not masks:
        raise InputError(f"{path}: mask without any object. Mark at least one pixel.")
    shapes = {mask.shape for mask in masks.values()}
    if len(shapes) > 1:
        raise InputError(
            f"{path}: its masks have different sizes, such as {' and '.join(map(str, sorted(shapes)[:2]))}."
        )
    height, width = shapes.pop()
    lines = list(account)
    if size is not None and (width, height) != size:
        if not resize:
            raise InputError(
                f"{path}: mask is {width}x{height} but the video is {size[0]}x{size[1]}. "
                "Resize it, or pass --resize-masks."
            )
        masks = {i: _resized(mask, size) for i, mask in masks.items()}
        lines.append(f"resized from {width}x{height} to {size[0]}x{size[1]}")
        width, height = size
        if not any(mask.any() for mask in masks.values()):
            raise InputError(f"{path}: nothing is left of the mask at {size[0]}x{size[1]}.")
    if object_id is not None:
        if len(masks) != 1:
            raise InputError(f"{path}: holds {len(masks)} objects; an id can only be given to one.")
        masks = {object_id: next(iter(masks.values()))}
    return MaskReading(masks, (width, height), tuple(lines), kind)


def _read(path: Path) -> tuple[Masks, list[str], str]:
    if path.is_dir():
        return _read_folder(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: not JSON ({error}).") from None
        masks, account = masks_of_json(data, path)
        return masks, account, "COCO JSON"
    if suffix in (".npz", ".npy"):
        return _read_array(path)
    if suffix in IMAGES:
        return masks_of_image(path)
    raise InputError(f"{path}: not a mask format known here. Use PNG, COCO JSON, NPZ, NPY, or a folder of PNGs.")


def _read_folder(folder: Path) -> tuple[Masks, list[str], str]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES and not p.name.startswith("."))
    if not files:
        raise InputError(f"{folder}: a folder without mask images.")
    numbers = [re.findall(r"\d+", p.stem) for p in files]
    ids = [int(found[-1]) if found else 0 for found in numbers]
    named = len(set(ids)) == len(ids) and all(0 < i < 65536 for i in ids)
    if not named:
        ids = list(range(1, len(files) + 1))
    masks: Masks = {}
    for object_id, file in zip(ids, files, strict=True):
        found, _, _ = masks_of_image(file)
        soft = [mask for mask in found.values() if mask.dtype != bool]
        if soft:
            masks[object_id] = np.maximum.reduce([mask.astype(np.float32) for mask in found.values()])
        elif found:
            masks[object_id] = np.logical_or.reduce(list(found.values()))
    source = "ids from the file names" if named else "numbered in the order of their names"
    return masks, [f"one file per object, {source}"], "folder of images"


def _read_array(path: Path) -> tuple[Masks, list[str], str]:
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {"masks": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path}: truncated, or not an array file ({error}).") from None
    kind = path.suffix[1:].upper()
    named = {name: array for name, array in arrays.items() if re.search(r"\d+$", name) and array.ndim == 2}
    if named and len(named) == len([a for n, a in arrays.items() if n != "ids"]):
        masks = {int(re.findall(r"\d+$", name)[0]): _as_mask(array, path) for name, array in named.items()}
        return masks, ["one array per object, ids from their names"], kind
    candidates = [array for name, array in arrays.items() if name != "ids" and array.ndim in (2, 3)]
    if len(candidates) != 1:
        raise InputError(f"{path}: holds arrays {list(arrays)}; give one label map [H, W] or one stack [N, H, W].")
    array = candidates[0]
    if array.ndim == 2 and array.dtype.kind in "iu":
        values = [int(v) for v in np.unique(array) if v]
        if values == [255]:
            return {1: array == 255}, ["0/255 mask read as one object"], kind
        return {v: array == v for v in values}, ["label map"], kind
    if array.ndim == 2:
        return {1: _as_mask(array, path)}, ["one mask"], kind
    ids = [int(i) for i in arrays["ids"]] if "ids" in arrays else list(range(1, len(array) + 1))
    if len(ids) != len(array):
        raise InputError(f"{path}: {len(array)} masks but {len(ids)} ids.")
    return {i: _as_mask(mask, path) for i, mask in zip(ids, array, strict=True)}, ["stack of masks"], kind


def _as_mask(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.dtype == bool:
        return array
    if array.dtype.kind in "iu":
        return np.asarray(array > 0)
    values = array.astype(np.float32)
    if not (np.isfinite(values).all() and values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
        raise InputError(f"{path}: soft masks must lie in [0, 1].")
    return values if ((values > 0) & (values < 1)).any() else values > 0


def _resized(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if mask.dtype == bool:
        return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), dtype=bool)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
