"""Masks in image files: which pixel values mean which object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rotoscope.errors import InputError
from rotoscope.masks.palette import davis_palette

Masks = dict[int, NDArray[Any]]
VOID = 255
MOST_OBJECTS = 200
"""More distinct values than this are a photograph, not labels."""


def masks_of_image(path: Path) -> tuple[Masks, list[str], str]:
    """Read one image: masks, account, kind.

    Raises:
        InputError: it cannot be read, or is no mask.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            mode, array = opened.mode, np.array(opened)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error}).") from None
    if mode == "P":
        return _palette(array)
    if mode == "1":
        return {1: array.astype(bool)}, ["black-and-white mask read as one object"], "1-bit image"
    if array.ndim == 3 and array.shape[2] in (2, 4):
        alpha, rest = array[..., -1], array[..., :-1]
        if alpha.min() < 255:
            masks, account = _grey(alpha)
            return masks, ["alpha channel read as the mask", *account], "image with alpha"
        array = rest
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 3:
        if (array == array[..., :1]).all():
            array = array[..., 0]
        else:
            return _colours(array[..., :3].astype(np.uint8), path)
    if array.dtype != np.uint8:
        if array.dtype.kind == "f":
            raise InputError(f"{path}: floating-point image; give integer labels, or NPZ for soft masks.")
        return _deep(array.astype(np.int64), path)
    masks, account = _grey(array)
    return masks, account, "grey image"


def _palette(array: NDArray[Any]) -> tuple[Masks, list[str], str]:
    ids = [int(v) for v in np.unique(array) if v]
    if ids == [VOID]:
        return {1: array == VOID}, ["0/255 mask read as one object"], "palette image"
    account = []
    if VOID in ids:
        ids.remove(VOID)
        account.append("value 255 left out: it marks unknown pixels")
    return {i: array == i for i in ids}, account, "palette image"


def _deep(array: NDArray[np.int64], path: Path) -> tuple[Masks, list[str], str]:
    """A 16-bit image: labels if it holds few values, else one soft mask."""
    values = [int(v) for v in np.unique(array) if v]
    kind = "16-bit image"
    if values == [65535]:
        return {1: array == 65535}, ["0/65535 mask read as one object"], kind
    if max(values, default=0) > 60000 and len(values) > 8:
        return {1: (array / 65535).astype(np.float32)}, ["16-bit soft mask of one object"], kind
    if len(values) > MOST_OBJECTS:
        raise InputError(f"{path}: {len(values)} different values; too many to be objects.")
    return {v: array == v for v in values}, [], kind


def _grey(array: NDArray[Any]) -> tuple[Masks, list[str]]:
    """8-bit grey: labels, 0/255, or a soft edge about 255."""
    values, counts = np.unique(array, return_counts=True)
    present = [int(v) for v in values if v]
    if present in ([255], [1]):
        line = "0/255 mask read as one object" if present == [255] else "0/1 mask read as one object"
        return {1: array > 0}, [line]
    between = [v for v in present if v != 255]
    if 255 in present and between:
        full = array == 255
        edge = (array > 0) & ~full
        share = edge.sum() / max(int(full.sum()), 1)
        high = (array >= 128).astype(np.uint8)
        window = np.ones((7, 7), np.uint8)
        border = cv2.dilate(high, window) > cv2.erode(high, window)
        hugging = float((edge & border).sum() / max(int(edge.sum()), 1))
        labels = dict(zip(values.tolist(), counts.tolist(), strict=True))
        if hugging > 0.8 and (len(between) > 6 or share < 0.25):
            merged = f"{len(between)} soft-edge value{'s' if len(between) > 1 else ''} merged"
            return {1: (array / 255).astype(np.float32)}, [f"0/255 mask read as one object, {merged}"]
        if max(between) <= MOST_OBJECTS and len(between) <= 32:
            line = f"value 255 left out: it marks unknown pixels ({labels[255]} of them)"
            return {v: array == v for v in between}, [line]
    if len(present) > 32:
        return {1: (array / 255).astype(np.float32)}, [f"soft mask of one object ({len(present)} grey values)"]
    return {v: array == v for v in present}, ["grey values read as ids"]


def _colours(array: NDArray[np.uint8], path: Path) -> tuple[Masks, list[str], str]:
    """RGB: each main colour an object, black the background; mixed colours of soft edges go to the nearest."""
    flat = array.reshape(-1, 3).astype(np.int32)
    codes = flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2]
    values, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1)
    grid = codes.reshape(array.shape[:2]).astype(np.float32)  # 24 bits fit a float32 exactly
    window = np.ones((3, 3), np.uint8)
    inside = np.unique(codes.reshape(grid.shape)[cv2.erode(grid, window) == cv2.dilate(grid, window)])
    # A colour with pixels that lie among their like is a region; those of soft edges lie between others.
    main = [i for i in np.argsort(-counts) if values[i] in inside or len(values) <= 8]
    if not 1 <= len(main) <= MOST_OBJECTS or counts[main].sum() < 0.6 * len(codes):
        raise InputError(f"{path}: {len(values)} different colours; this is a photograph, not a mask.")
    account = []
    palette = davis_palette().astype(np.int32)
    known = {tuple(colour): index for index, colour in enumerate(palette.tolist())}
    objects = [i for i in main if colours[i].any()]
    if all(tuple(colours[i].tolist()) in known for i in objects):
        ids = {i: known[tuple(colours[i].tolist())] for i in objects}
        account.append("colours read as ids by the DAVIS palette")
    else:
        first = sorted(objects, key=lambda i: int(np.argmax(inverse.ravel() == i)))
        ids = {i: number for number, i in enumerate(first, 1)}
        account.append("colours numbered in the order they appear, from the top left")
    anchors = list(main) if any(not colours[i].any() for i in main) else [*main, None]
    points = np.array([colours[i] if i is not None else (0, 0, 0) for i in anchors])
    nearest = ((colours[:, None] - points[None]) ** 2).sum(axis=2).argmin(axis=1)
    table = np.array([ids.get(anchors[n], 0) if anchors[n] is not None else 0 for n in nearest])
    mixed = len(values) - len(main)
    if mixed:
        account.append(f"{mixed} soft-edge colour{'s' if mixed > 1 else ''} merged into the nearest")
    labels = table[inverse.ravel()].reshape(array.shape[:2])
    return {i: labels == i for i in sorted(set(ids.values()))}, account, "colour image"
