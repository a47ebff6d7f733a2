"""Masks in image files: which of palette, colours, grey values and alpha says what the objects are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from rotoscope.errors import InputError, shown
from rotoscope.masks.colours import masks_of_colours
from rotoscope.masks.palette import davis_palette
from rotoscope.masks.values import IDS, MOST_OBJECTS, VOID, Values, masks_of_deep_values, masks_of_values
from rotoscope.video.limits import UNREADABLE, open_picture, page_count

Masks = dict[int, NDArray[Any]]
Reading = tuple[Masks, list[str], str]
"""Masks, the account of what was decided, and the kind of file."""
OPAQUE = 250
"""Alpha from here on shows the colour as it is."""


def masks_of_image(path: Path) -> Reading:
    """Read one image file, turned as its EXIF data says.

    Raises:
        InputError: it cannot be read, holds several pictures, or is no mask.
    """
    try:
        with open_picture(path) as opened:
            pages = page_count(opened)
            if pages > 1:
                raise InputError(f"{path}: holds {pages} pictures (animation or pages). Give one frame's as a file.")
            lossy = opened.format in ("JPEG", "MPO", "AVIF", "JPEG2000") or _is_lossy_webp(opened, path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = ImageOps.exif_transpose(opened)
                image.load()
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as an image ({shown(error)}).") from None
    return masks_of_picture(image, str(path), lossy)


def soft_of_image(path: Path) -> NDArray[np.float32] | None:
    """A 16-bit image that is known to hold one object, ``[H, W]`` in [0, 1]; None if it is no such image.

    Where the folder says that there is one object in the file, its values are no ids, however few they are.
    """
    try:
        with open_picture(path) as opened:
            if not opened.mode.startswith("I"):
                return None
            values = np.asarray(ImageOps.exif_transpose(opened)).astype(np.float32)
    except UNREADABLE:
        return None  # whoever reads it as any other image says what is wrong
    present = np.unique(values[values > 0])
    steps = len(present) > 1 or (len(present) == 1 and present[0] % 257 == 0)
    return np.asarray(values / 65535, np.float32) if steps and present[-1] >= 257 else None


def masks_of_picture(image: Image.Image, where: str, lossy: bool = False) -> Reading:
    """Read a decoded Pillow image, see :func:`masks_of_image`; ``where`` names it in errors.

    Raises:
        InputError: it is no mask.
    """
    try:
        return _read(image, lossy)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _read(image: Image.Image, lossy: bool) -> Reading:
    if image.mode == "P":
        return _palette(image)
    if image.mode == "1":
        return {1: np.array(image).astype(bool)}, ["black-and-white mask read as one object"], "1-bit image"
    if image.mode in ("PA", "La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    array = np.array(image)
    if image.mode in ("LA", "RGBA"):
        return _with_alpha(array[..., :-1], array[..., -1], lossy)
    if array.ndim == 3:
        return _opaque(array, lossy)
    if array.dtype == np.uint8:
        masks, account = masks_of_values(array, lossy)
        return masks, account, "grey image"
    if array.dtype.kind == "f":
        return *_floats(array), "floating-point image"
    if image.info.get(IDS[0]) == IDS[1]:
        return {int(i): array == i for i in np.unique(array) if i}, ["grey values read as ids"], "16-bit image"
    return *masks_of_deep_values(array.astype(np.int64)), "16-bit image"


def _opaque(array: NDArray[np.uint8], lossy: bool) -> Reading:
    """Grey or colours ``[H, W, 1 or 3]``."""
    if (array == array[..., :1]).all():
        masks, account = masks_of_values(np.ascontiguousarray(array[..., 0]), lossy)
        return masks, account, "grey image"
    wide = array.astype(np.int16)
    if lossy and (wide.max(axis=2) - wide.min(axis=2)).max() < 24:  # grey, but for what compression did
        masks, account = masks_of_values(wide.mean(axis=2).round().astype(np.uint8), lossy)
        return masks, account, "grey image"
    masks, account = masks_of_colours(array, lossy)
    return masks, account, "colour image"


def _with_alpha(array: NDArray[np.uint8], alpha: NDArray[np.uint8], lossy: bool) -> Reading:
    """The mask is in the alpha channel, or in the colours that show; whichever of them says more than one thing."""
    if alpha.min() >= OPAQUE:
        note = [] if alpha.min() == VOID else [f"alpha, {alpha.min()} and more, shows all of the picture: left out"]
        masks, account, kind = _opaque(array, lossy)
        return masks, [*account, *note], kind
    if not alpha.any():
        masks, account, kind = _opaque(array, lossy)
        return masks, [*account, "alpha, 0 everywhere, would show nothing: left out"], kind
    shown = alpha > int(alpha.max()) // 2
    seen = array[shown].reshape(-1, array.shape[2])
    if (seen == seen[0]).all():
        return _alpha(alpha)
    over_black = np.where(shown[..., None], array, 0).astype(np.uint8)
    try:
        masks, account, kind = _opaque(over_black, lossy)
    except InputError:
        return _alpha(alpha)  # a cut-out photograph
    if not masks or (kind == "grey image" and any(mask.dtype != bool for mask in masks.values())):
        return _alpha(alpha)
    return masks, [*account, "transparent pixels read as the background"], f"{kind} with alpha"


def _alpha(alpha: NDArray[np.uint8]) -> Reading:
    values = np.unique(alpha)
    if len(values) == 2 and values[0] == 0:
        return {1: alpha > 0}, ["alpha channel read as the mask", "one object where it is not 0"], "image with alpha"
    top = int(alpha.max())
    soft = (alpha / top).astype(np.float32)
    return {1: soft}, ["alpha channel read as the mask", f"soft mask of one object, full at {top}"], "image with alpha"


def _palette(image: Image.Image) -> Reading:
    """Indices are ids, unless the palette's colours say that index 0 is an object and another is the background."""
    array = np.array(image)
    kind = "palette image"
    table = _table(image)
    used = [int(v) for v in np.unique(array)]
    if (table[used] == np.array(used)[:, None]).all() and max(used, default=0) > 1:
        masks, account = masks_of_values(array)  # a grey image that is stored with a palette
        return masks, account, kind
    clear = image.info.get("transparency")
    clear = [clear] if isinstance(clear, int) else [v for v, alpha in enumerate(clear or b"") if not alpha]
    if any(v in used and v for v in clear):  # index 0 is the background anyway
        pixels = np.array(image.convert("RGBA"))
        masks, account, _ = _with_alpha(pixels[..., :3], pixels[..., 3], lossy=False)
        return masks, account, kind
    by_colour = _by_colour(array, table, used)
    if by_colour:
        masks, account, _ = _opaque(table.astype(np.uint8)[array], lossy=False)
        return masks, [*account, by_colour], kind
    ids = [v for v in used if v]
    if ids == [VOID]:
        return {1: array == VOID}, ["0/255 mask read as one object"], kind
    account = []
    if 0 in used and table[0].any():
        colour = ",".join(map(str, table[0]))
        account.append(f"index 0, of colour {colour}, read as the background")
    elif 0 not in used:
        account.append("no pixel has index 0, so every pixel belongs to an object and none to the background")
    if 0 in used and _lining(array) not in (0, VOID):
        line = f"index {_lining(array)} lines the picture and is read as an object"
        account.append(f"{line}: if it is the background, give it index 0")
    if VOID in ids:
        ids.remove(VOID)
        account.append(f"value 255 left out: it marks unknown pixels ({(array == VOID).sum()} of them)")
    return {i: array == i for i in ids}, account, kind


def _mixed_edges(array: NDArray[Any], table: NDArray[Any], used: list[int]) -> str:
    """Whether most indices are the mixed colours of soft edges, as a picture of few colours has that was smoothed."""
    if len(used) < 9 or (table[used] == davis_palette()[used]).all():
        return ""
    values = Values(np.ascontiguousarray(array))
    loose = sum(not values.forms_regions(v) for v in used if v)
    return f"read by the palette's colours: {loose} indices are of soft edges" if loose > len(used) // 2 else ""


def _lining(array: NDArray[Any]) -> int:
    """The most frequent index along the edges of the picture."""
    rim = np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])
    return int(np.bincount(rim.astype(np.int64), minlength=256).argmax())


def _table(image: Image.Image) -> NDArray[np.int64]:
    """A palette image's colours, ``[256, 3]``; black where it has fewer."""
    table = np.array(image.getpalette("RGB") or [0, 0, 0], np.int64).reshape(-1, 3)
    return np.concatenate([table, np.zeros((max(256 - len(table), 0), 3), np.int64)])


def palette_by_colour(image: Image.Image, array: NDArray[Any]) -> str:
    """Why a palette image, of the indices ``array``, is read by its colours; empty if by its indices."""
    table = _table(image)
    return _by_colour(array, table, [int(v) for v in np.unique(array)]) if table[0].any() else ""


def _by_colour(array: NDArray[Any], table: NDArray[Any], used: list[int]) -> str:
    """Why a palette image is read by its colours; empty if by its indices."""
    if 0 in used and not table[0].any():
        return _mixed_edges(array, table, used)
    black = [v for v in used if v and not table[v].any()]
    if black:
        return f"read by the palette's colours: index {black[0]} is black and so the background, not index 0"
    most = _lining(array)
    if most and (table[most] == 255).all():
        return f"read by the palette's colours: index {most} is white and lines the picture, so it is the background"
    return ""


def _floats(array: NDArray[Any]) -> tuple[Masks, list[str]]:
    if not np.isfinite(array).all() or array.min() < 0:
        raise InputError("floating-point image with values below 0 or that are no numbers. Give integer labels.")
    if array.max() <= 1:
        return {1: array.astype(np.float32)}, ["floating-point mask of one object, 1 is full"]
    if (array == np.round(array)).all() and array.max() <= MOST_OBJECTS:
        return {int(v): array == v for v in np.unique(array) if v}, ["whole numbers read as ids"]
    raise InputError("floating-point image of other values than 0 to 1 or whole ids. Give integer labels.")


def _is_lossy_webp(opened: Image.Image, path: Path) -> bool:
    """Whether a WebP file holds a lossy picture (chunk ``VP8 ``; ``VP8L`` is lossless)."""
    if opened.format != "WEBP":
        return False
    with path.open("rb") as file:
        return b"VP8 " in file.read(4096)
