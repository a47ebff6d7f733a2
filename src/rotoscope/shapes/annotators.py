"""Writers for annotation tools: CVAT, YouTube-VIS, LabelMe, Label Studio and YOLO."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from rotoscope.masks.coco import encode
from rotoscope.masks.polygons import Ring, fill, joined, signed_area
from rotoscope.shapes.outlined import OutlinedClip, parts

Files = Iterator[tuple[str, bytes]]
"""Names of files, and what they hold."""


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode()


def cvat(clip: OutlinedClip, every: int) -> Files:
    """``annotations.xml``, CVAT for video 1.1: a track for each part of each object; parts of one object are grouped.

    Tracks of CVAT hold one line without holes, so a hole is tied to the outer line by a cut without width.
    """
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    for name, text in (("name", clip.name), ("size", len(clip.frames)), ("mode", "interpolation")):
        SubElement(task, name).text = str(text)
    SubElement(task, "start_frame").text = "0"
    SubElement(task, "stop_frame").text = str(len(clip.frames) - 1)
    labels = SubElement(task, "labels")
    for called in dict.fromkeys(clip.names.values()):
        SubElement(SubElement(labels, "label"), "name").text = called
    original = SubElement(task, "original_size")
    SubElement(original, "width").text, SubElement(original, "height").text = map(str, clip.size)
    for number, part in enumerate(parts(clip)):
        about = {"id": number, "label": clip.names[part.object_id], "source": "file", "group_id": part.object_id}
        track = SubElement(root, "track", {name: str(value) for name, value in about.items()})
        first = min(part.polygons)
        for frame, polygon in part.polygons.items():
            if (frame - first) % every == 0 or frame == part.last:
                _polygon(track, frame, polygon.joined())
        if part.last + 1 < len(clip.frames):
            _polygon(track, part.last + 1, part.polygons[part.last].joined(), outside="1")
    ElementTree.indent(root)
    file = io.BytesIO()
    ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
    yield "annotations.xml", file.getvalue()


def _polygon(track: Element, frame: int, ring: Ring, outside: str = "0") -> None:
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in ring)
    about = {
        "frame": str(frame),
        "keyframe": "1",
        "outside": outside,
        "occluded": "0",
        "points": points,
        "z_order": "0",
    }
    SubElement(track, "polygon", about)


def ytvis(clip: OutlinedClip, every: int) -> Files:
    """``instances.json``: one video and an annotation per object, as YouTube-VIS and other video sets in COCO's form.

    Run lengths where outlines are exact, else polygons; null on frames without the object.
    """
    width, height = clip.size
    annotations = []
    for number, object_id in enumerate(clip.names, 1):
        segmentations: list[Any] = []
        boxes: list[Any] = []
        areas: list[Any] = []
        for frame in clip.frames:
            shown = frame.objects.get(object_id)
            if not shown:
                segmentations.append(None)
                boxes.append(None)
                areas.append(None)
                continue
            corners = [polygon.box for polygon in shown]
            left, top = min(c[0] for c in corners), min(c[1] for c in corners)
            boxes.append([left, top, max(c[2] for c in corners) - left, max(c[3] for c in corners) - top])
            areas.append(sum(abs(signed_area(p.outer)) - sum(abs(signed_area(h)) for h in p.holes) for p in shown))
            if clip.exact:
                segmentations.append(encode(fill([ring for p in shown for ring in p.rings], clip.size)))
            else:
                segmentations.append([np.round(p.joined(), 2).ravel().tolist() for p in shown])
        annotations.append(
            {"id": number, "video_id": 1, "category_id": object_id, "iscrowd": 0, "width": width, "height": height,
             "length": len(clip.frames), "segmentations": segmentations, "bboxes": boxes, "areas": areas}
        )  # fmt: skip
    files = [f"{clip.name}/{frame.name}{clip.suffix}" for frame in clip.frames]
    video = {"id": 1, "width": width, "height": height, "length": len(files), "file_names": files}
    categories = [{"id": i, "name": called, "supercategory": "object"} for i, called in clip.names.items()]
    yield "instances.json", _json({"videos": [video], "annotations": annotations, "categories": categories})


def labelme(clip: OutlinedClip, every: int) -> Files:
    """``NAME.json`` a frame; an object's parts bear its id as their group."""
    width, height = clip.size
    for frame in clip.frames[::every]:
        shapes = [
            {"label": clip.names[i], "points": np.round(p.joined(), 2).tolist(), "group_id": i, "description": "",
             "shape_type": "polygon", "flags": {}}
            for i, shown in frame.objects.items() for p in shown
        ]  # fmt: skip
        picture = f"{frame.name}{clip.suffix}"
        about: dict[str, Any] = {
            "version": "5.4.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": picture,
            "imageData": None,
        }
        yield f"{frame.name}.json", _json({**about, "imageHeight": height, "imageWidth": width})


def label_studio(clip: OutlinedClip, every: int) -> Files:
    """``tasks.json``: a task per frame, to import where the pictures are; one line around all parts of an object."""
    width, height = clip.size
    tasks = []
    for frame in clip.frames[::every]:
        results = [
            {"id": f"{frame.name}-{i}", "type": "polygonlabels", "from_name": "label", "to_name": "image",
             "original_width": width, "original_height": height, "image_rotation": 0,
             "value": {"points": (_shares(shown, clip.size) * 100).tolist(), "closed": True,
                       "polygonlabels": [clip.names[i]]}}
            for i, shown in frame.objects.items()
        ]  # fmt: skip
        tasks.append({"data": {"image": f"{frame.name}{clip.suffix}"}, "annotations": [{"result": results}]})
    yield "tasks.json", _json(tasks)


def yolo(clip: OutlinedClip, every: int) -> Files:
    """``labels/NAME.txt`` a frame, and ``data.yaml``: classes are the objects, in order of their ids."""
    places = {i: number for number, i in enumerate(clip.names)}
    for frame in clip.frames[::every]:
        lines = []
        for i, shown in frame.objects.items():
            points = " ".join(f"{value:.6f}" for value in _shares(shown, clip.size).ravel())
            lines.append(f"{places[i]} {points}\n")
        yield f"labels/{frame.name}.txt", "".join(lines).encode()
    names = "".join(f"  {places[i]}: {json.dumps(called)}\n" for i, called in clip.names.items())
    yield "data.yaml", f"path: .\ntrain: images\nval: images\nnames:\n{names}".encode()


def _shares(shown: Any, size: tuple[int, int]) -> Ring:
    """One line around all parts, in shares of width and height."""
    return np.round(joined(list(shown)) / size, 6)
