"""JSON of LabelMe, the VGG Image Annotator (VIA) and Label Studio, and label files of YOLO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rotoscope.errors import InputError, shown
from rotoscope.limits import check_limit
from rotoscope.masks.polygons import Ring
from rotoscope.masks.sheets import Shape, Sheet, ring_of, size_of, stem_of


def sheets_of_json(data: Any, path: Path) -> list[Sheet] | None:
    """Outlines of a JSON file of one of the three tools; None if it is none of theirs.

    Args:
        data: what the file holds.
        path: names it in errors.

    Raises:
        InputError: it is, and cannot be read.
    """
    if isinstance(data, list) and data and all(isinstance(t, dict) and "data" in t for t in data):
        return [_of_label_studio(task, path, number) for number, task in enumerate(data)]
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("shapes"), list) and "imagePath" in data:
        return [_of_labelme(data, path)]
    images = data.get("_via_img_metadata", data)
    if isinstance(images, dict) and images and all(isinstance(i, dict) and "regions" in i for i in images.values()):
        return [_of_via(image, path) for image in images.values()]
    return None


def _of_labelme(data: Mapping[str, Any], path: Path) -> Sheet:
    size = size_of(data.get("imageWidth"), data.get("imageHeight"), str(path))
    shapes, left_out = [], []
    for number, drawn in enumerate(_objects(data["shapes"], path)):
        where = f"{path}: shape {number}"
        kind, points = drawn.get("shape_type") or "polygon", drawn.get("points")
        if kind == "polygon":
            ring = ring_of(points, where)
        elif kind == "circle" and isinstance(points, list) and len(points) == 2:
            ring = _circle(points, where)
        else:
            left_out.append(str(kind))
            continue
        group = drawn.get("group_id")
        shapes.append(Shape(_text(drawn.get("label")), "" if group is None else f"group {group}", (ring,)))
    return Sheet(stem_of(data["imagePath"]) or path.stem, None, size, tuple(shapes), left_out=tuple(left_out))


def _circle(points: list[Any], where: str) -> Ring:
    """A circle by its middle and a point on it."""
    middle, rim = ring_of([*points, points[0]], where)[:2]
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1) * np.hypot(*(rim - middle)) + middle


def _of_via(image: Mapping[str, Any], path: Path) -> Sheet:
    regions = image["regions"]
    shapes, left_out = [], []
    for number, region in enumerate(_objects(regions.values() if isinstance(regions, dict) else regions, path)):
        drawn, about = region.get("shape_attributes") or {}, region.get("region_attributes") or {}
        kind = drawn.get("name") if isinstance(drawn, dict) else None
        if kind != "polygon":
            left_out.append(str(kind))
            continue
        where = f"{path}: region {number} of {shown(image.get('filename', ''), 60)}"
        xs, ys = drawn.get("all_points_x"), drawn.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise InputError(f"{where}: is no outline. Correct it, or leave it out.")
        labels = [value for value in about.values() if isinstance(value, str)] if isinstance(about, dict) else []
        shapes.append(Shape(labels[0] if labels else "object", "", (ring_of([*zip(xs, ys, strict=True)], where),)))
    return Sheet(stem_of(image.get("filename")), None, None, tuple(shapes), left_out=tuple(left_out))


def _of_label_studio(task: Mapping[str, Any], path: Path, number: int) -> Sheet:
    where = f"{path}: task {number}"
    made = task.get("annotations") or task.get("predictions") or []
    results = made[0].get("result", []) if isinstance(made, list) and made and isinstance(made[0], dict) else []
    shapes: list[Shape] = []
    left_out = ["annotation of another person"] * (len(made) - 1 if isinstance(made, list) else 0)
    size = None
    for drawn in _objects(results, path):
        value = drawn.get("value")
        if drawn.get("type") != "polygonlabels" or not isinstance(value, dict):
            left_out.append(str(drawn.get("type")))
            continue
        size = size or size_of(drawn.get("original_width"), drawn.get("original_height"), where)
        labels = value.get("polygonlabels")
        ring = ring_of(value.get("points"), where) / 100
        shapes.append(Shape(_text(labels[0]) if isinstance(labels, list) and labels else "object", "", (ring,)))
    data = task["data"]
    names = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    return Sheet(stem_of(names[0]) if names else "", None, size, tuple(shapes), True, tuple(left_out))


def sheets_of_yolo(path: Path) -> list[Sheet]:
    """Outlines of a label file of YOLO: a line ``CLASS x y x y ...`` per object, in shares of the picture.

    Classes count from 0; object ids are one more.

    Raises:
        InputError: a line that cannot be read.
    """
    check_limit("json", path.stat().st_size, path)
    shapes, left_out = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) == 5:
            left_out.append("box")
            continue
        where = f"{path}: line {number}"
        try:
            values = [float(word) for word in words]
            label = int(words[0])
        except ValueError:
            raise InputError(f"{where}: holds a number that is none. Correct it, or leave it out.") from None
        if len(values) % 2 == 0:
            raise InputError(f"{where}: an x without its y. Correct it, or leave it out.")
        shapes.append(Shape(f"class {label + 1}", "", (ring_of(np.reshape(values[1:], (-1, 2)), where),)))
    return [Sheet(path.stem, None, None, tuple(shapes), True, tuple(left_out))]


def _objects(items: Any, path: Path) -> list[dict[str, Any]]:
    listed = list(items) if isinstance(items, Iterable) and not isinstance(items, (str, dict)) else None
    if listed is None or not all(isinstance(item, dict) for item in listed):
        raise InputError(f"{path}: what is drawn is no list of objects. Export it again.")
    check_limit("objects", len(listed), path)
    return listed


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else "object"
