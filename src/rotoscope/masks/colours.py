"""What the colours of an image mean: one object each, upon a background."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.masks.palette import davis_palette
from rotoscope.masks.values import MOST_OBJECTS, RIM, VOID

Masks = dict[int, NDArray[Any]]
NEAR = 48
"""Colours of a lossy file nearer to each other than this are one."""
CALM = 16
"""Most that a channel of a lossy file varies in a window of 3x3 pixels where it shows one colour."""
FLAT = 2
"""The same where there is no edge for some pixels around."""
THIN = 5
"""Pixels: a colour of a lossy file that is nowhere so wide may be of an edge."""
WHITE = (255, 255, 255)


def masks_of_colours(array: NDArray[np.uint8], lossy: bool = False) -> tuple[Masks, list[str]]:
    """Read an image of colours ``[H, W, 3]``: each main colour an object, mixed ones of soft edges go to the nearest.

    Black is the background; in an image without black it is white, if white lines the picture.

    Args:
        array: RGB uint8.
        lossy: the file format changes colours, as JPEG does: those near each other are one.

    Raises:
        InputError: it is a photograph.
    """
    codes = array[..., 0].astype(np.int32) << 16 | array[..., 1].astype(np.int32) << 8 | array[..., 2]
    values, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1)
    which = np.asarray(inverse).reshape(codes.shape)
    main = _main_of_lossy(array, which, colours) if lossy else _main_colours(codes, values, counts)
    if not main:
        raise InputError(f"{len(values)} different colours; this is a photograph, not a mask.")
    behind, account = _background(codes, colours, main, lossy)
    objects = [i for i in main if i != behind]
    ids, line = _ids(objects, colours, np.asarray(inverse).ravel(), lossy)
    account.append(line)
    anchors: list[int | None] = [*main] if behind is not None else [*main, None]
    nearest = _nearest(colours, np.array([colours[i] if i is not None else (0, 0, 0) for i in anchors]))
    numbers = np.array([ids.get(i, 0) if i is not None else 0 for i in anchors])
    mixed = len(values) - len(main)
    if mixed:
        account.append(f"{mixed} soft-edge colour{'s' if mixed > 1 else ''} merged into the nearest")
    labels = numbers[nearest][np.asarray(inverse).ravel()].reshape(codes.shape)
    object_ids = sorted(set(ids.values()) - {0})
    if VOID in object_ids and "DAVIS" in line:
        object_ids.remove(VOID)
        account.append("the colour of entry 255 left out: it marks unknown pixels")
    return {i: labels == i for i in object_ids}, account


def _nearest(colours: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """For each colour ``[N, 3]`` the number of the nearest point ``[M, 3]``; in parts, as there may be many colours."""
    parts = np.array_split(colours, 1 + len(colours) * len(points) // 2**20)
    return np.concatenate([((part[:, None] - points[None]) ** 2).sum(axis=2).argmin(axis=1) for part in parts])


def _main_colours(codes: NDArray[Any], values: NDArray[Any], counts: NDArray[Any]) -> list[int]:
    """Positions of the colours that form regions, the most frequent first; none if this is a photograph."""
    grid = codes.astype(np.float32)  # 24 bits fit a float32 exactly
    window = np.ones((3, 3), np.uint8)
    inside = set(np.unique(codes[cv2.erode(grid, window) == cv2.dilate(grid, window)]).tolist())
    # A colour with pixels that lie among their like is a region; those of soft edges lie between others.
    few = len(values) <= 8
    main = [int(i) for i in np.argsort(-counts, kind="stable") if few or int(values[i]) in inside]
    covered = counts[main].sum()
    return main if 1 <= len(main) <= MOST_OBJECTS and covered >= 0.6 * codes.size else []


def _main_of_lossy(array: NDArray[np.uint8], which: NDArray[Any], colours: NDArray[Any]) -> list[int]:
    """The same of a lossy file, where a region's colour varies.

    Args:
        array: the image, ``[H, W, 3]``.
        which: the position of each pixel's colour, ``[H, W]``.
        colours: RGB, ``[N, 3]``.

    Raises:
        InputError: colours run into each other, so that a region has none.
    """
    window = np.ones((3, 3), np.uint8)
    varies = (cv2.dilate(array, window) - cv2.erode(array, window)).max(axis=2)
    if (varies <= FLAT).mean() < 0.4:
        return []
    calm = varies <= CALM
    counts = np.bincount(which[calm], minlength=len(colours))
    far = np.ones(len(colours), bool)
    main: list[int] = []
    for i in np.argsort(-counts, kind="stable"):
        if len(main) > MOST_OBJECTS:
            break
        if far[i] and counts[i]:
            like = ((colours - colours[i]) ** 2).sum(axis=1) < NEAR**2
            if _is_wide(like[which]):
                main.append(int(i))
                far &= ~like
            else:
                counts[like & far] = 0
    strange = far[which]
    if not 1 <= len(main) <= MOST_OBJECTS or strange.mean() > 0.4:
        return []
    if _is_wide(strange):
        raise InputError(
            "a JPEG of colours: some of them changed so much when it was saved that objects cannot be told apart. "
            "Save as PNG."
        )
    return main


def _is_wide(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask has a square of :data:`THIN` pixels."""
    return bool(cv2.erode(mask.astype(np.uint8), np.ones((THIN, THIN), np.uint8), borderValue=0).any())


def _background(
    codes: NDArray[Any], colours: NDArray[Any], main: list[int], lossy: bool
) -> tuple[int | None, list[str]]:  # fmt: skip
    """Position of the background's colour, and what was decided; None where no colour is it."""
    slack = NEAR**2 if lossy else 0
    black = next((i for i in main if (colours[i] ** 2).sum() <= slack), None)
    if black is not None:
        return black, []
    rim = np.concatenate([codes[0], codes[-1], codes[:, 0], codes[:, -1]])
    white = next((i for i in main if ((colours[i] - WHITE) ** 2).sum() <= slack), None)
    if white is not None and len(main) > 1:
        code = int(colours[white] @ (1 << 16, 1 << 8, 1))
        if (rim == code).mean() > 0.5 or lossy:
            return white, ["no pixel is black; white, which lines the picture, read as the background"]
    colour_codes, counts = np.unique(rim, return_counts=True)
    most = colours @ (1 << 16, 1 << 8, 1) == colour_codes[counts.argmax()]
    lining = next((i for i in main if most[i]), None)
    if lining is not None and len(main) > 1 and counts.max() > RIM * rim.size:
        colour = ",".join(str(int(v)) for v in colours[lining])
        return lining, [f"no pixel is black; the colour {colour}, which lines the picture, read as the background"]
    return None, ["no pixel is black, so every pixel belongs to an object and none to the background"]


def _ids(objects: list[int], colours: NDArray[Any], inverse: NDArray[Any], lossy: bool) -> tuple[dict[int, int], str]:
    """Ids of the objects' colours: the DAVIS palette's if all are its, else numbered as they appear."""
    palette = davis_palette().astype(np.int64)
    known: dict[int, int] = {}
    for i in objects:
        distance = ((palette - colours[i]) ** 2).sum(axis=1)
        if distance.min() <= ((NEAR // 2) ** 2 if lossy else 0):
            known[i] = int(distance.argmin())
    if len(set(known.values())) == len(objects):
        return known, "colours read as ids by the DAVIS palette"
    first = sorted(objects, key=lambda i: int(np.argmax(inverse == i)))
    ids = {i: number for number, i in enumerate(first, 1)}
    return ids, "colours numbered in the order they appear, from the top left"
