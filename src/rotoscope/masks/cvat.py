"""Files of CVAT (version 1.1): tracks of polygons over a video's frames, or shapes on images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, shown
from rotoscope.limits import check_limit
from rotoscope.masks.polygons import Ring, polygons_of
from rotoscope.masks.sheets import Shape, Sheet, ring_of, size_of, stem_of
from rotoscope.video.limits import check_pixels

AREAS = ("polygon", "mask", "ellipse")
OTHERS = ("box", "polyline", "points", "cuboid", "skeleton")
LAST = 10_000_000
"""No frame has a higher number."""


def sheets_of_cvat(path: Path) -> list[Sheet]:
    """Read ``annotations.xml``; frames without a shape are left out.

    Raises:
        InputError: it is no such file, or a shape in it cannot be read.
    """
    root = _root(path)
    if root.tag != "annotations":
        raise InputError(f"{path}: is XML, but no file of CVAT.")
    images = [_of_image(image, path) for image in root.iter("image")]
    return [sheet for sheet in (*images, *_of_tracks(root, path)) if sheet.shapes or sheet.left_out]


def _root(path: Path) -> Element:
    check_limit("json", path.stat().st_size, path)
    data = path.read_bytes()
    if re.search(rb"<!\s*(DOCTYPE|ENTITY)", data.replace(b"\0", b""), re.I):
        raise InputError(f"{path}: declares entities, which annotations have no use for; it is not read.")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise InputError(f"{path}: not XML ({shown(error)}).") from None


def _of_image(image: Element, path: Path) -> Sheet:
    where = f"{path}: image {shown(image.get('name', ''), 60)}"
    size = size_of(image.get("width"), image.get("height"), where)
    shapes, left_out = [], []
    for number, drawn in enumerate(image):
        if drawn.tag in AREAS:
            rings = _rings(drawn, f"{where}, shape {number}")
            shapes.append(Shape(drawn.get("label", ""), _group(drawn.get("group_id")), rings))
        elif drawn.tag in OTHERS:
            left_out.append(drawn.tag)
    name = stem_of(image.get("name"))
    return Sheet(name, None if name else _frame(image.get("id"), where), size, tuple(shapes), left_out=tuple(left_out))


def _of_tracks(root: Element, path: Path) -> Iterator[Sheet]:
    size = None
    original = root.find("meta//original_size")
    if original is not None:
        size = size_of(original.findtext("width"), original.findtext("height"), str(path))
    shapes: dict[int, list[Shape]] = {}
    left_out: dict[int, list[str]] = {}
    for number, track in enumerate(root.iter("track")):
        group = _group(track.get("group_id")) or f"track {track.get('id', number)}"
        for drawn in track:
            where = f"{path}: track {shown(track.get('id', number), 20)}"
            if drawn.tag in AREAS and drawn.get("outside") != "1":
                frame = _frame(drawn.get("frame"), where)
                rings = _rings(drawn, f"{where}, frame {frame}")
                shapes.setdefault(frame, []).append(Shape(track.get("label", ""), group, rings))
            elif drawn.tag in OTHERS and drawn.get("outside") != "1":
                left_out.setdefault(_frame(drawn.get("frame"), where), []).append(drawn.tag)
    for frame in sorted(shapes.keys() | left_out.keys()):
        yield Sheet("", frame, size, tuple(shapes.get(frame, ())), left_out=tuple(left_out.get(frame, ())))


def _group(text: str | None) -> str:
    """CVAT writes 0 for a shape that is in no group."""
    return f"group {text}" if text and text != "0" else ""


def _frame(text: str | None, where: str) -> int:
    if text is None or not re.fullmatch(r"\d{1,8}", text) or int(text) > LAST:
        raise InputError(f"{where}: {shown(text, 20)} is no number of a frame. Correct it.")
    return int(text)


def _rings(drawn: Element, where: str) -> tuple[Ring, ...]:
    try:
        if drawn.tag == "polygon":
            pairs = [pair.split(",") for pair in drawn.get("points", "").split(";") if pair.strip()]
            return (ring_of([[float(x) for x in pair] for pair in pairs], where),)
        if drawn.tag == "ellipse":
            centre, radii = [[float(drawn.get(name, "")) for name in names] for names in (("cx", "cy"), ("rx", "ry"))]
            turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
            return (ring_of(np.stack([np.cos(turn), np.sin(turn)], axis=1) * radii + centre, where),)
        return _of_run_lengths(drawn, where)
    except ValueError:
        raise InputError(f"{where}: holds a number that is none. Correct it, or leave it out.") from None


def _of_run_lengths(drawn: Element, where: str) -> tuple[Ring, ...]:
    """A painted mask: run lengths, of what is not painted first, row by row within a box."""
    left, top, width, height = (int(float(drawn.get(name, ""))) for name in ("left", "top", "width", "height"))
    if min(width, height) < 1:
        raise InputError(f"{where}: a mask without size. Correct it, or leave it out.")
    check_pixels(width, height, where)
    runs = [int(run) for run in drawn.get("rle", "").split(",")]
    if min(runs) < 0 or sum(runs) != width * height:
        raise InputError(f"{where}: its run lengths do not fill its box of {width}x{height}. Correct it.")
    painted: NDArray[np.bool_] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return tuple(ring + np.array((left, top)) for polygon in polygons_of(painted, 0) for ring in polygon.rings)
