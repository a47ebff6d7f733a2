"""What annotation files of other tools are, so that a message can say so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

WAY_OUT = "Export masks as PNG, or COCO JSON with polygons or run lengths, from the tool that made it."
"""What to do with a file that is known and not read."""
LOOKED_AT = 65536
"""Bytes of a text file that are looked at."""
_YOLO = re.compile(r"\d+(\s+-?[\d.]+(e-?\d+)?){4,}")
"""A line of a label file of YOLO: a class, and a box or a polygon in shares of the picture."""


def foreign_json(data: Any) -> str:
    """What a JSON file is that another tool wrote, such as ``a LabelMe file``; empty if nothing known.

    Args:
        data: what the file holds.
    """
    if isinstance(data, list):
        tasks = [item for item in data if isinstance(item, dict) and "data" in item]
        made = tasks and all("annotations" in item or "predictions" in item for item in tasks)
        return "a file of Label Studio" if made else ""
    if not isinstance(data, dict):
        return ""
    if "shapes" in data and "imagePath" in data:
        return f"a LabelMe file{_labels(data['shapes'])}"
    if "_via_img_metadata" in data or any(isinstance(v, dict) and "regions" in v for v in data.values()):
        return "a file of the VGG Image Annotator (VIA)"
    if data.get("type") == "FeatureCollection":
        return "GeoJSON"
    if "frames" in data or "videos" in data:
        return "a file of a data set or of another tool"
    return ""


def foreign_text(path: Path) -> str:
    """What a text file is that another tool wrote, such as ``a label file of YOLO``; empty if nothing known.

    Args:
        path: a file; only those that end in ``.txt``, ``.xml``, ``.csv`` or ``.yaml`` are looked into.
    """
    suffix = path.suffix.lower()
    if suffix not in (".txt", ".xml", ".csv", ".yaml", ".yml") or not path.is_file():
        return ""
    with path.open("rb") as file:
        text = file.read(LOOKED_AT).decode("utf-8-sig", "replace")
    if suffix == ".xml":
        if re.search(r"<annotations>", text) and re.search(r"<(image|track|meta)\b", text):
            return "a file of CVAT"
        return "a file of Pascal VOC" if re.search(r"<annotation\b.*<object>", text, re.S) else ""
    if suffix == ".txt":
        lines = [line.strip() for line in text.splitlines()[:100] if line.strip()]
        return "a label file of YOLO" if lines and all(_YOLO.fullmatch(line) for line in lines) else ""
    if suffix == ".csv":
        return "a file of the VGG Image Annotator (VIA)" if "region_shape_attributes" in text else ""
    keys = set(re.findall(r"^(\w+)\s*:", text, re.M))
    return "the description of a YOLO data set" if "names" in keys and keys & {"train", "val", "path"} else ""


def foreign_folder(path: Path) -> str:
    """What a folder without images is that another tool wrote; empty if nothing known.

    Args:
        path: a folder; its first hundred files are looked at.
    """
    files = sorted(p for p in path.iterdir() if p.is_file())[:100]
    kinds = {kind for file in files if (kind := foreign_text(file))}
    if not kinds:
        return ""
    return f"a folder with {kinds.pop()}" if len(kinds) == 1 else "a folder with files of other tools"


def _labels(shapes: Any) -> str:
    """Which objects a LabelMe file names."""
    if not isinstance(shapes, list):
        return ""
    named = [str(shape["label"]) for shape in shapes if isinstance(shape, dict) and shape.get("label")]
    shown = ", ".join(list(dict.fromkeys(named))[:5])
    return f" ({len(shapes)} shapes{': ' + shown if shown else ''})"
