"""Read any mask, and say what was understood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.limits import check_limit
from rotoscope.masks.arrays import masks_of_array_file
from rotoscope.masks.coco import masks_of_json
from rotoscope.masks.folders import IMAGES, has_images, masks_of_folder
from rotoscope.masks.foreign import WAY_OUT, foreign_text
from rotoscope.masks.images import masks_of_image
from rotoscope.masks.outlines import outlines_of, read_json
from rotoscope.masks.sheets import Sheet, masks_of_sheets

Masks = dict[int, NDArray[Any]]


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
    one file per object, COCO run-length or polygon JSON, NPY and NPZ; outlines of CVAT, LabelMe, VIA, Label Studio and
    YOLO.

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
    with enough_memory(path):
        masks, account, kind = _read(path, size)
        reading = checked(masks, account, kind, str(path), size=size, resize=resize)
    if object_id is None:
        return reading
    if len(reading.masks) != 1:
        raise InputError(f"{path}: holds {len(reading.masks)} objects; an id can only be given to one.")
    return replace(reading, masks={object_id: next(iter(reading.masks.values()))})


@contextmanager
def enough_memory(where: str | Path) -> Iterator[None]:
    """Tell of a file that takes more memory than there is.

    Raises:
        InputError: there was not enough in the block.
    """
    try:
        yield
    except MemoryError:
        raise InputError(f"{where}: takes more memory to read than there is. Make it smaller.") from None


def checked(
    masks: Masks,
    account: Sequence[str],
    kind: str,
    where: str,
    *,
    size: tuple[int, int] | None = None,
    resize: bool = False,
) -> MaskReading:
    """What was read of a frame's masks, if it can be used; see :func:`read_masks`. ``where`` names it in errors.

    Raises:
        InputError: an id that is none, no object, masks of several sizes, or of another size than the video.
    """
    bad = [i for i in masks if not 0 < i < 65536]
    if bad:
        raise InputError(f"{where}: object id {bad[0]} is not allowed; ids are whole numbers from 1 to 65535.")
    check_limit("objects", len(masks), where)
    masks = {i: mask for i, mask in masks.items() if mask.any()}
    if not masks:
        raise InputError(f"{where}: mask without any object. Mark at least one pixel.")
    shapes = {mask.shape for mask in masks.values()}
    if len(shapes) > 1:
        told = " and ".join(f"{w}x{h}" for h, w in sorted(shapes)[:2])
        raise InputError(f"{where}: its masks have different sizes, such as {told}. Make them one size.")
    height, width = shapes.pop()
    lines = list(account)
    if size is not None and (width, height) != size:
        if not resize:
            raise InputError(
                f"{where}: mask is {width}x{height} but the video is {size[0]}x{size[1]}. "
                "Resize it, or pass --resize-masks."
            )
        masks = {i: resized(mask, size) for i, mask in masks.items()}
        lines.append(f"resized from {width}x{height} to {size[0]}x{size[1]}")
        width, height = size
        if not any(mask.any() for mask in masks.values()):
            raise InputError(f"{where}: nothing is left of the mask at {size[0]}x{size[1]}.")
    return MaskReading(masks, (width, height), tuple(lines), kind)


def _read(path: Path, size: tuple[int, int] | None) -> tuple[Masks, list[str], str]:
    if path.is_dir() and not has_images(path) and (outlines := outlines_of(path)):
        return _drawn(*outlines, path, size)
    if path.is_dir():
        return masks_of_folder(path)
    if not path.is_file():
        raise InputError(f"{path}: is no file. Give a mask file or a folder of them.")
    suffix = path.suffix.lower()
    if suffix in (".json", ".xml", ".txt") and (outlines := outlines_of(path)):
        return _drawn(*outlines, path, size)
    if suffix == ".json":
        masks, account = masks_of_json(read_json(path), path)
        return masks, account, "COCO JSON"
    if suffix in (".npz", ".npy"):
        return masks_of_array_file(path)
    if suffix in IMAGES:
        return masks_of_image(path)
    if other := foreign_text(path):
        raise InputError(f"{path}: is {other}, which is not read. {WAY_OUT}")
    raise InputError(f"{path}: not a mask format known here. Use PNG, COCO JSON, NPZ, NPY, or a folder of PNGs.")


def _drawn(
    sheets: Sequence[Sheet], kind: str, path: Path, size: tuple[int, int] | None
) -> tuple[Masks, list[str], str]:
    """The masks of the one frame that an annotation tool's file is about."""
    if len(sheets) > 1:
        raise InputError(
            f"{path}: {kind}, outlines of {len(sheets)} frames; give one frame's, or the file as --mask of its video."
        )
    masks, account = masks_of_sheets(sheets, size, str(path))
    return dict(masks[0]), account, kind


def resized(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A mask brought to a width and height: bool by nearest neighbour, soft ones linearly."""
    if mask.dtype == bool:
        return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), dtype=bool)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
