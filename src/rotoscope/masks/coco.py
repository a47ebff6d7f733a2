"""COCO annotations: run lengths and polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from rotoscope.errors import InputError


def masks_of_json(data: Any, path: Path) -> tuple[dict[int, NDArray[Any]], list[str]]:
    """Read a COCO file of one image, a list of annotations, one annotation, or one run length.

    Raises:
        InputError: none of these, or several images.
    """
    sizes: dict[Any, tuple[int, int]] = {}
    if isinstance(data, dict) and "annotations" in data:
        annotations = data["annotations"]
        sizes = {image["id"]: (image["height"], image["width"]) for image in data.get("images", []) if "id" in image}
        images = {annotation.get("image_id") for annotation in annotations}
        if len(images) > 1:
            raise InputError(f"{path}: annotations of {len(images)} images; give those of one frame.")
    elif isinstance(data, dict):
        annotations = [data if "segmentation" in data else {"segmentation": data}]
    else:
        annotations = data
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise InputError(f"{path}: not COCO annotations.")
    masks: list[NDArray[Any]] = []
    kinds: set[str] = set()
    for number, annotation in enumerate(annotations):
        segmentation = annotation.get("segmentation", annotation if "counts" in annotation else None)
        size = sizes.get(annotation.get("image_id")) or (next(iter(sizes.values())) if len(sizes) == 1 else None)
        try:
            mask, kind = decode(segmentation, size or _size(annotation))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise InputError(f"{path}: annotation {number} cannot be read ({error}).") from None
        masks.append(mask)
        kinds.add(kind)
    ids = [_id(annotation) for annotation in annotations]
    account = [f"{len(masks)} annotation(s), {' and '.join(sorted(kinds))}"]
    if len(set(ids)) != len(ids) or not all(0 < i < 65536 for i in ids):
        ids = list(range(1, len(masks) + 1))
        account.append("ids missing or unusable: numbered in order")
    return dict(zip(ids, masks, strict=True)), account


def decode(segmentation: Any, size: tuple[int, int] | None) -> tuple[NDArray[Any], str]:
    """One segmentation to bool ``[H, W]``, and what it was; ``size`` is height and width, which polygons need."""
    if isinstance(segmentation, list):
        if size is None:
            raise ValueError("polygons without the size of the image")
        rings = segmentation if segmentation and isinstance(segmentation[0], list) else [segmentation]
        merged = coco.merge(coco.frPyObjects(rings, *size))
        return coco.decode(merged).astype(bool), "polygons"
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError("neither run lengths nor polygons")
    counts = segmentation["counts"]
    height, width = (int(v) for v in segmentation["size"])
    if isinstance(counts, list):
        if sum(counts) != height * width:
            raise ValueError(f"run lengths add up to {sum(counts)}, not {height}x{width}")
        runs = np.repeat(np.arange(len(counts)) % 2, counts)
        return runs.reshape(width, height).T.astype(bool), "run lengths"
    encoded = {"size": [height, width], "counts": counts.encode() if isinstance(counts, str) else counts}
    if int(coco.area(encoded)) > height * width:
        raise ValueError("run lengths go beyond the image")
    return coco.decode(encoded).astype(bool), "compressed run lengths"


def encode(mask: NDArray[Any]) -> dict[str, Any]:
    """Bool ``[H, W]`` to a compressed run length, as JSON holds it."""
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(v) for v in found["size"]], "counts": found["counts"].decode("ascii")}


def _id(annotation: dict[str, Any]) -> int:
    value = annotation.get("object_id", annotation.get("id", 0))
    return value if isinstance(value, int) else 0


def _size(annotation: dict[str, Any]) -> tuple[int, int] | None:
    if "height" in annotation and "width" in annotation:
        return int(annotation["height"]), int(annotation["width"])
    return None
