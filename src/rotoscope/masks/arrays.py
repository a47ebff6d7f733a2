"""Masks in arrays: of NPY and NPZ files, and given in Python."""

from __future__ import annotations

import re
import tokenize
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, shown
from rotoscope.limits import check_limit
from rotoscope.masks.values import masks_of_values
from rotoscope.video.limits import UNREADABLE, check_pixels

Masks = dict[int, NDArray[Any]]
Reading = tuple[Masks, list[str], str]
HIGHEST_ID = 65535
DAMAGED = (*UNREADABLE, zipfile.BadZipFile, NotImplementedError, RuntimeError, RecursionError, tokenize.TokenError)
"""What NumPy, and Python under it, raise on files that are damaged, odd or no arrays."""


def masks_of_array_file(path: Path) -> Reading:
    """Read an NPY or NPZ file: a label map ``[H, W]``, a stack ``[N, H, W]``, or an array for each object.

    Raises:
        InputError: it is cut short, too large, or holds something else.
    """
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix.lower() == ".npy" else None)
        if isinstance(loaded, np.ndarray):
            check_limit("arrays", loaded.nbytes, path)
            arrays = {"masks": loaded}
        else:
            _check_members(path)
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except DAMAGED as error:
        raise InputError(f"{path}: truncated, or not an array file ({shown(error)}).") from None
    kind = path.suffix[1:].upper()
    try:
        masks, account = _of_arrays(arrays)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return masks, account, kind


def _check_members(path: Path) -> None:
    """Refuse an archive of more members, or of members that unpack to more, than masks take."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_limit("objects", len(members) - 1, path)
        check_limit("arrays", sum(member.file_size for member in members), path)


def _of_arrays(arrays: dict[str, NDArray[Any]]) -> tuple[Masks, list[str]]:
    ids = arrays.pop("ids", None)
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise InputError(f"array {name} holds {array.dtype}, not numbers. Give masks of numbers.")
        height, width = array.shape[-2:] if array.ndim > 1 else (1, array.size)
        check_pixels(width, height, f"array {name}")
    if ids is None and arrays and all(re.fullmatch(r"arr_\d+", name) for name in arrays):  # np.savez, without names
        if len(arrays) == 1:
            return masks_of_array(*arrays.values())
        masks = {number: one_mask(arrays[f"arr_{number - 1}"]) for number in range(1, len(arrays) + 1)}
        return _of_one_size(masks), ["one array per object, numbered in the order they were saved"]
    named = {name: array for name, array in arrays.items() if re.search(r"\d+$", name) and array.ndim == 2}
    if named and len(named) == len(arrays) and ids is None:
        numbers = [int(re.findall(r"\d+$", name)[0]) for name in named]
        _require_ids(numbers)
        masks = {i: one_mask(array) for i, array in zip(numbers, named.values(), strict=True)}
        return _of_one_size(masks), ["one array per object, ids from their names"]
    candidates = [array for array in arrays.values() if array.ndim in (2, 3)]
    if len(candidates) != 1:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise InputError(f"holds arrays {shown(shapes)}; give one label map [H, W] or one stack [N, H, W].")
    return masks_of_array(candidates[0], ids)


def masks_of_array(array: NDArray[Any], ids: Any = None) -> tuple[Masks, list[str]]:
    """Masks of a label map ``[H, W]``, of one soft mask ``[H, W]`` or of a stack ``[N, H, W]``, and the account.

    Args:
        array: bool, whole numbers, or floats.
        ids: of the masks of a stack; numbered from 1 unless given.

    Raises:
        InputError: another shape, values that are no mask's, or ids that are no ids.
    """
    if array.ndim == 2:
        if ids is not None and np.ravel(ids).size == 1:
            return {_require_ids(_whole(ids))[0]: one_mask(array)}, ["one mask"]
        return _flat(array)
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(f"an array of shape {array.shape} is no mask; give a label map [H, W] or a stack [N, H, W].")
    account = ["stack of masks"]
    if ids is None and array.shape[2] < 16 < 64 < array.shape[0]:
        array = np.moveaxis(array, 2, 0)
        account.append(f"read as [H, W, N]: {len(array)} masks, channels last")
    check_limit("objects", len(array), "the stack")
    check_limit("masks", array.size, "the stack")
    numbers = _whole(ids) if ids is not None else list(range(1, len(array) + 1))
    if len(numbers) != len(array):
        raise InputError(f"{len(array)} masks but {len(numbers)} ids. Give each mask its id.")
    masks = [one_mask(mask) for mask in array]
    if ids is not None and 0 in numbers and numbers.count(0) == 1:
        masks.pop(numbers.index(0))
        numbers.remove(0)
        account.append("id 0 left out: it is the background")
    elif ids is None and len(masks) > 1 and _is_background(masks):
        masks, numbers = masks[1:], numbers[:-1]
        account.append("first mask left out: the masks share out all pixels, and it is what the others leave")
    return dict(zip(_require_ids(numbers), masks, strict=True)), account


def one_mask(array: NDArray[Any]) -> NDArray[Any]:
    """One object's mask ``[H, W]``: bool, or float32 in [0, 1] where it is soft.

    Takes bool, floats in [0, 1], and whole numbers that are 0 and one other value or, in 8 bits, black to white.

    Raises:
        InputError: other values.
    """
    if array.dtype == bool:
        return np.asarray(array)
    if array.dtype.kind in "iu":
        if array.dtype == np.uint8 and array.max(initial=0) > 1:
            masks, _ = masks_of_values(np.ascontiguousarray(array))
            if len(masks) == 1:
                return next(iter(masks.values()))
        if len(np.unique(array)) > 2 or array.min(initial=0) < 0:
            raise InputError("one object's mask holds several values; give 0 and 1, or a soft mask in [0, 1].")
        return np.asarray(array > 0)
    if array.dtype.kind != "f":
        raise InputError(f"a mask of {array.dtype} cannot be read; give bool, whole numbers or floats in [0, 1].")
    values = array.astype(np.float32)
    if not (np.isfinite(values).all() and values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
        raise InputError("soft masks must lie in [0, 1] and be numbers.")
    return values if ((values > 0) & (values < 1)).any() else values > 0


def _flat(array: NDArray[Any]) -> tuple[Masks, list[str]]:
    """A label map, or one mask."""
    if array.dtype == bool:
        return {1: np.asarray(array)}, ["one mask"]
    if array.dtype.kind == "f":
        finite = bool(np.isfinite(array).all())
        if finite and array.max(initial=0) > 1 and (array == np.round(array)).all():
            array = array.astype(np.int64)
        else:
            return {1: one_mask(array)}, ["one mask"]
    if array.dtype == np.uint8 and array.max(initial=0) > 1:
        masks, account = masks_of_values(np.ascontiguousarray(array))
        return masks, ["label map" if line == "grey values read as ids" else line for line in account]
    values = [int(v) for v in np.unique(array) if v]
    if values == [255]:
        return {1: array == 255}, ["0/255 mask read as one object"]
    _require_ids(values)
    check_limit("objects", len(values), "the label map")
    check_limit("masks", len(values) * array.size, "the label map")
    return {v: array == v for v in values}, ["label map"]


def _is_background(masks: list[NDArray[Any]]) -> bool:
    """Whether the first mask is what all the others leave: each pixel is of exactly one, and it lines the picture."""
    total = np.sum([mask.astype(np.float32) for mask in masks], axis=0)
    if np.abs(total - 1).max() > 0.02:
        return False
    first = masks[0]
    rim = np.concatenate([first[0], first[-1], first[:, 0], first[:, -1]]).astype(np.float32)
    return bool(rim.mean() > 0.5)


def _whole(ids: Any) -> list[int]:
    """Ids as whole numbers."""
    array = np.ravel(ids)
    if array.dtype.kind not in "iu" and not (array.dtype.kind == "f" and (array == np.round(array)).all()):
        shown = ", ".join(str(v) for v in array[:4])
        raise InputError(f"ids are {shown}; give whole numbers from 1 to {HIGHEST_ID}.")
    return [int(v) for v in array]


def _require_ids(ids: list[int]) -> list[int]:
    for i, count in Counter(ids).items():
        if not 0 < i <= HIGHEST_ID:
            raise InputError(f"object id {i} is not allowed; ids are whole numbers from 1 to {HIGHEST_ID}.")
        if count > 1:
            raise InputError(f"id {i} is given to {count} masks. Give each object an id of its own.")
    return ids


def _of_one_size(masks: Masks) -> Masks:
    shapes = {mask.shape for mask in masks.values()}
    if len(shapes) > 1:
        raise InputError(f"masks of several sizes: {', '.join(f'{w}x{h}' for h, w in sorted(shapes))}. Give one size.")
    return masks
