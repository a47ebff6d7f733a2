"""COCO annotations: run lengths and polygons, checked before pycocotools sees them, which trusts what it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from rotoscope.errors import InputError, shown
from rotoscope.limits import check_limit
from rotoscope.masks.foreign import WAY_OUT, foreign_json
from rotoscope.video.limits import check_pixels


@dataclass(frozen=True)
class AnnotatedImage:
    """The annotations of one image of a COCO file.

    Attributes:
        key: the image's id, or None where the file names no image.
        name: its file name without folder and suffix; empty where the file says none.
        size: height and width; None where the file says none.
        annotations: with their positions in the file, which errors name.
    """

    key: Any
    name: str
    size: tuple[int, int] | None
    annotations: tuple[tuple[int, dict[str, Any]], ...]


def images_of_json(data: Any, path: Path) -> list[AnnotatedImage]:
    """Take apart a COCO file, a list of annotations, one annotation or one run length; an image each that has some.

    Raises:
        InputError: none of these.
    """
    images: list[dict[str, Any]] = []
    if isinstance(data, dict) and "annotations" in data:
        annotations = data["annotations"]
        images = data.get("images") or []
        if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
            raise InputError(f"{path}: its images are no list of objects. Give COCO annotations.")
    elif other := foreign_json(data):
        raise InputError(f"{path}: is {other}, which is not read. {WAY_OUT}")
    elif isinstance(data, dict):
        annotations = [data if "segmentation" in data else {"segmentation": data}]
    else:
        annotations = data
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise InputError(f"{path}: not COCO annotations; these are a list of objects with a segmentation.")
    known: dict[Any, dict[str, Any]] = {}
    for image in images:
        if known.setdefault(_key(image.get("id")), image) != image:
            raise InputError(f"{path}: two images have the id {shown(image.get('id'), 40)}. Give each its own.")
    sizes = {key: _size(image, f"{path}: image {shown(key, 40)}") for key, image in known.items()}
    groups: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
    for number, annotation in enumerate(annotations):
        groups.setdefault(_key(annotation.get("image_id")), []).append((number, annotation))
    only = next(iter(known), None) if len(known) == 1 else None
    annotated = []
    for key, members in groups.items():
        check_limit("objects", len(members), f"{path}: image {shown(key, 40)}")
        image = known.get(key, known.get(only, {}) if key is None or len(groups) == 1 else {})
        name = image.get("file_name")
        stem = Path(name.replace("\\", "/")).stem if isinstance(name, str) and "\0" not in name else ""
        annotated.append(AnnotatedImage(key, stem, sizes.get(key, sizes.get(only)), tuple(members)))
    return annotated


def masks_of_json(data: Any, path: Path) -> tuple[dict[int, NDArray[Any]], list[str]]:
    """Read a COCO file of one image, a list of annotations, one annotation, or one run length.

    Raises:
        InputError: none of these, or several images.
    """
    images = images_of_json(data, path)
    if len(images) > 1:
        raise InputError(
            f"{path}: annotations of {len(images)} images; give those of one frame, or the file as --mask of a video "
            "whose frames bear the images' names."
        )
    if not images:
        raise InputError(f"{path}: holds no annotation. Give at least one.")
    return masks_of_annotations(images[0], path)


def masks_of_annotations(image: AnnotatedImage, path: Path) -> tuple[dict[int, NDArray[Any]], list[str]]:
    """Decode the annotations of one image, and the account.

    Raises:
        InputError: an annotation that cannot be read; it is named by its position.
    """
    masks: list[NDArray[Any]] = []
    kinds: set[str] = set()
    for number, annotation in image.annotations:
        where = f"{path}: annotation {number}"
        segmentation = annotation.get("segmentation", annotation if "counts" in annotation else None)
        try:
            mask, kind = decode(segmentation, image.size or _size(annotation, where), where)
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
            raise InputError(f"{where} cannot be read ({shown(error)}). Correct it, or leave it out.") from None
        masks.append(mask)
        kinds.add(kind)
        check_limit("masks", len(masks) * mask.size, where)
    ids = [_id(annotation) for _, annotation in image.annotations]
    account = [f"{len(masks)} annotation(s), {' and '.join(sorted(kinds))}"]
    if len(set(ids)) != len(ids) or not all(0 < i < 65536 for i in ids):
        ids = list(range(1, len(masks) + 1))
        account.append("ids missing or unusable: numbered in order")
    return dict(zip(ids, masks, strict=True)), account


def decode(segmentation: Any, size: tuple[int, int] | None, where: str = "") -> tuple[NDArray[Any], str]:
    """One segmentation to bool ``[H, W]``, and what it was; ``size`` is height and width, which polygons need.

    Raises:
        ValueError: it cannot be read; the message says why.
        InputError: it is too large.
    """
    if isinstance(segmentation, list):
        if size is None:
            raise ValueError("polygons without the size of the image")
        return coco.decode(coco.merge(coco.frPyObjects(_rings(segmentation, size), *size))).astype(bool), "polygons"
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError("neither run lengths nor polygons")
    height, width = _whole_size(*segmentation["size"])
    check_pixels(width, height, where)
    if size is not None and size != (height, width):
        raise ValueError(f"run lengths of {width}x{height}, but its image is {size[1]}x{size[0]}")
    counts = segmentation["counts"]
    compressed = not isinstance(counts, list)
    runs = _runs(counts) if compressed else counts
    if not all(isinstance(run, int) and not isinstance(run, bool) and run >= 0 for run in runs):
        raise ValueError("run lengths that are no whole numbers from 0 on")
    if sum(runs) != height * width:
        raise ValueError(f"run lengths add up to {sum(runs)}, not {height}x{width}")
    flat = np.repeat(np.arange(len(runs)) % 2, np.array(runs, np.int64))
    mask = flat.reshape(width, height).T.astype(bool)
    return mask, "compressed run lengths" if compressed else "run lengths"


def encode(mask: NDArray[Any]) -> dict[str, Any]:
    """Bool ``[H, W]`` to a compressed run length, as JSON holds it."""
    runs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(v) for v in runs["size"]], "counts": runs["counts"].decode("ascii")}


def _runs(counts: Any) -> list[int]:
    """Run lengths of COCO's compressed text: five bits a character, from the third on as differences."""
    if not isinstance(counts, (str, bytes)):
        raise ValueError("run lengths that are neither a text nor a list")
    data = counts.encode("ascii") if isinstance(counts, str) else counts
    runs: list[int] = []
    position = 0
    while position < len(data):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(data) or shift > 40:
                raise ValueError("compressed run lengths that are cut short or damaged")
            bits = data[position] - 48
            if not 0 <= bits < 64:
                raise ValueError("compressed run lengths with characters that are none of theirs")
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            position, shift = position + 1, shift + 5
            if not more and bits & 16:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs


def _rings(segmentation: list[Any], size: tuple[int, int]) -> list[list[float]]:
    """Polygons as pycocotools takes them: of three corners or more, coordinates kept near the image."""
    rings = segmentation if segmentation and isinstance(segmentation[0], list) else [segmentation]
    height, width = size
    kept = []
    for ring in rings:
        if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
            raise ValueError("a polygon of fewer than three corners" if segmentation else "an empty segmentation")
        for value in ring:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(float(value)):
                raise ValueError(f"a polygon with {value!r} for a coordinate")
        corners = np.clip(np.array(ring, np.float64).reshape(-1, 2), -1e9, 1e9)  # so that no product overflows
        inside = (corners >= -1).all() and (corners <= (width + 1, height + 1)).all()
        kept.append((corners if inside else _clipped(corners, width, height)).ravel().tolist())
    return [ring if len(ring) >= 6 else [0.0] * 6 for ring in kept]


def _clipped(corners: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """A polygon ``[K, 2]`` cut at the four sides of its image, a pixel outside (Sutherland and Hodgman)."""
    for axis, limit, sign in ((0, -1.0, 1), (0, width + 1.0, -1), (1, -1.0, 1), (1, height + 1.0, -1)):
        cut: list[NDArray[np.float64]] = []
        for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            a, b = sign * (here[axis] - limit), sign * (there[axis] - limit)
            if a >= 0:
                cut.append(here)
            if (a >= 0) != (b >= 0):
                crossing = here + (there - here) * (a / (a - b))
                crossing[axis] = limit
                cut.append(crossing)
        corners = np.array(cut).reshape(-1, 2)
        if not len(corners):
            break
    return np.clip(corners, -1.0, (width + 1.0, height + 1.0)) if len(corners) else corners


def _key(value: Any) -> Any:
    """An image's id as a key; what cannot be one is told by its text."""
    return value if isinstance(value, (int, str, float, type(None))) else repr(value)


def _id(annotation: dict[str, Any]) -> int:
    value = annotation.get("object_id", annotation.get("id", 0))
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _size(holder: dict[str, Any], where: str) -> tuple[int, int] | None:
    """Height and width that an image or an annotation names; None if it names neither.

    Raises:
        InputError: what it names is no size, or too large.
    """
    if holder.get("height") is None or holder.get("width") is None:
        return None
    try:
        height, width = _whole_size(holder["height"], holder["width"])
    except ValueError as error:
        raise InputError(f"{where}: {shown(error)}. Correct its height and width.") from None
    check_pixels(width, height, where)
    return height, width


def _whole_size(*size: Any) -> tuple[int, int]:
    """Height and width as whole numbers."""
    if len(size) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in size):
        raise ValueError(f"{size} are no height and width")
    if any(not math.isfinite(float(v)) or v != int(v) or v < 1 for v in size):
        raise ValueError(f"{size} are no height and width")
    return int(size[0]), int(size[1])
