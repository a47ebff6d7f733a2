"""Outlines of annotation tools are read as masks: of one picture, of many frames; odd ones are refused in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.masks import read_masks
from rotoscope.masks.prompts import masks_for

SIZE = (64, 48)
SQUARE, HOLE = [[10, 5], [30, 5], [30, 25], [10, 25]], [[40, 30], [50, 30], [50, 40], [40, 40]]


class Clip:
    """A video's name and frames, ``frame_000000`` on."""

    name = "clip"
    size = SIZE

    def number_of(self, name: str) -> int | None:
        return int(name[6:]) if name.startswith("frame_") else None


def square(x0: int = 10, y0: int = 5, x1: int = 30, y1: int = 25) -> np.ndarray[Any, Any]:
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def pairs(ring: list[list[int]]) -> str:
    return ";".join(f"{x}.0,{y}.0" for x, y in ring)


def labelme(*shapes: dict[str, Any], name: str = "a.jpg") -> dict[str, Any]:
    return {"version": "5.4.1", "imagePath": name, "imageWidth": 64, "imageHeight": 48, "shapes": list(shapes)}


def shape(ring: Any = SQUARE, label: str = "cup", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": ring, "shape_type": "polygon", **more}


REGION = {
    "shape_attributes": {"name": "polygon", "all_points_x": [10, 30, 30, 10], "all_points_y": [5, 5, 25, 25]},
    "region_attributes": {"class": "cup"},
}
STUDIO = {
    "type": "polygonlabels",
    "original_width": 64,
    "original_height": 48,
    "value": {"points": [[100 * x / 64, 100 * y / 48] for x, y in SQUARE], "polygonlabels": ["cup"]},
}
XML = '<annotations><image id="0" name="a.jpg" width="64" height="48">{}</image></annotations>'
PICTURES: dict[str, tuple[str, Any]] = {
    "LabelMe": ("a.json", labelme(shape())),
    "VIA": ("a.json", {"a.jpg99": {"filename": "a.jpg", "size": 99, "regions": [REGION]}}),
    "VIA of an early version": ("a.json", {"a.jpg99": {"filename": "a.jpg", "size": 99, "regions": {"0": REGION}}}),
    "VIA project": ("a.json", {"_via_img_metadata": {"a": {"filename": "a.jpg", "regions": [REGION]}}}),
    "Label Studio": ("a.json", [{"data": {"image": "/data/a.jpg"}, "annotations": [{"result": [STUDIO]}]}]),
    "YOLO": ("a.txt", "0 " + " ".join(f"{x / 64} {y / 48}" for x, y in SQUARE) + "\n"),
    "YOLO, with a byte order mark": ("a.txt", "\ufeff0 " + " ".join(f"{x / 64} {y / 48}" for x, y in SQUARE) + "\n"),
    "CVAT": ("a.xml", XML.format(f'<polygon label="cup" points="{pairs(SQUARE)}"/>')),
    "CVAT mask": ("a.xml", XML.format('<mask label="cup" rle="0,400" left="10" top="5" width="20" height="20"/>')),
}


def written(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", PICTURES)
def test_the_outline_of_a_picture(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, data = PICTURES[kind]
    path = written(tmp_path / name, data)
    reading = read_masks(path, size=SIZE)
    assert list(reading.masks) == [1]
    np.testing.assert_array_equal(reading.masks[1], square())
    assert main(["check", str(path)]) == 0
    assert "cup is object 1" in capsys.readouterr().out.replace("class 1", "cup")


def test_shapes_of_a_group_are_one_object_and_others_are_their_own(tmp_path: Path) -> None:
    grouped = labelme(shape(group_id=4), shape(HOLE, group_id=4), shape(HOLE, "saucer"))
    reading = read_masks(written(tmp_path / "a.json", grouped))
    assert list(reading.masks) == [1, 2]
    np.testing.assert_array_equal(reading.masks[1], square() | square(40, 30, 50, 40))
    alone = read_masks(written(tmp_path / "b.json", labelme(shape(), shape(HOLE))))
    assert [int(mask.sum()) for mask in alone.masks.values()] == [400, 100]
    numbered = read_masks(written(tmp_path / "c.json", labelme(shape(label="object 7"), shape(HOLE, "object 3"))))
    assert list(numbered.masks) == [7, 3]


def test_what_is_no_area_is_left_out_and_told(tmp_path: Path) -> None:
    box = {"label": "cup", "points": [[1, 1], [5, 5]], "shape_type": "rectangle"}
    reading = read_masks(written(tmp_path / "a.json", labelme(shape(), box)))
    assert any("1 rectangle" in line for line in reading.account)


def test_tracks_of_cvat_over_a_video(tmp_path: Path) -> None:
    track = '<track id="{}" label="{}" group_id="{}">{}</track>'
    one = "".join(f'<polygon frame="{t}" outside="{int(t == 9)}" points="{pairs(SQUARE)}"/>' for t in (0, 4, 9))
    two = f'<polygon frame="4" outside="0" points="{pairs(HOLE)}"/>'
    tracks = track.format(0, "cup", 0, one) + track.format(1, "car", 5, two) + track.format(2, "car", 5, one)
    path = written(tmp_path / "annotations.xml", f"<annotations><version>1.1</version>{tracks}</annotations>")
    notes: list[str] = []
    masks = masks_for(path, 0, Clip(), False, notes)
    assert sorted(masks) == [0, 4]
    assert sorted(masks[4]) == [1, 2]
    np.testing.assert_array_equal(masks[4][2], square() | square(40, 30, 50, 40))
    assert any("cup is object 1, car is object 2" in note for note in notes)


def test_folders_of_a_file_a_frame(tmp_path: Path) -> None:
    for kind in ("labelme", "yolo"):
        (tmp_path / kind).mkdir()
    for number in (2, 5):
        name = f"frame_{number:06d}"
        written(tmp_path / "labelme" / f"{name}.json", labelme(shape(), name=f"{name}.jpg"))
        written(tmp_path / "yolo" / f"{name}.txt", PICTURES["YOLO"][1])
    for kind in ("labelme", "yolo"):
        masks = masks_for(tmp_path / kind, 0, Clip(), False, [])
        assert sorted(masks) == [2, 5]
        np.testing.assert_array_equal(masks[5][1], square())
    again = labelme(shape(), shape(HOLE), name="frame_000005.jpg")
    written(tmp_path / "labelme" / "frame_000005.json", again)
    with pytest.raises(InputError, match="drawn several times on frame_000005"):
        masks_for(tmp_path / "labelme", 0, Clip(), False, [])


LINE = '<polygon label="a" points="{}"/>'
ODD: dict[str, tuple[str, Any, str]] = {
    "two corners": ("a.json", labelme(shape([[1, 1], [2, 2]])), "three corners"),
    "corners of words": ("a.json", labelme(shape([["a", 1], [2, 2], [3, 3]])), "three corners"),
    "no number": ("a.json", labelme(shape([[1e300, 1], [2, 2], [3, 3]])), "no place in a picture"),
    "nothing drawn": ("a.json", labelme(), "without an outline"),
    "only a box": ("a.json", labelme({"points": [[1, 1], [2, 2]], "shape_type": "rectangle"}), "no areas"),
    "a huge size": ("a.json", {**labelme(shape()), "imageWidth": 10**7, "imageHeight": 10**7}, "more pixels"),
    "a size of words": ("a.json", {**labelme(shape()), "imageWidth": "wide"}, "says a size"),
    "shapes that are none": ("a.json", {**labelme(), "shapes": [1, 2]}, "no list of objects"),
    "x without y": ("a.txt", "0 0.1 0.1 0.9 0.1 0.5 0.9 0.4\n", "an x without its y"),
    "a class of a fraction": ("a.txt", "0 0 0 1 0 0 1\n0.5 0 0 1 0 0 1\n", "known here|a number"),
    "XML cut short": ("a.xml", '<annotations><image id="0" name="a"><polygon', "not XML"),
    "entities": ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]>' + XML.format(""), "declares entities"),
    "points of words": ("a.xml", XML.format(LINE.format("a,b;c,d;e,f")), "a number that is none"),
    "a point of three": ("a.xml", XML.format(LINE.format("1,2,3;1,2;4,5")), "three corners"),
    "run lengths that end early": (
        "a.xml", XML.format('<mask label="a" rle="0,3" left="1" top="1" width="9" height="9"/>'), "do not fill its box"
    ),
    "run lengths of a huge box": (
        "a.xml", XML.format('<mask label="a" rle="0,3" left="1" top="1" width="9e9" height="9e9"/>'), "more pixels"
    ),
    "a frame that is none": (
        "a.xml", '<annotations><track id="0" label="a"><polygon frame="x" points="1,1;9,1;5,9"/></track></annotations>',
        "no number of a frame",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_odd_outlines_are_refused_in_a_line(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, data, message = ODD[kind]
    path = written(tmp_path / name, data)
    with pytest.raises(InputError, match=message) as caught:
        read_masks(path, size=SIZE)
    assert "\n" not in str(caught.value)
    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
