"""What is there twice: masks of one frame from two places are joined or refused, and never the earlier ones lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from rotoscope.errors import InputError
from rotoscope.masks.prompts import masks_for
from rotoscope.video import open_video

A = np.zeros((64, 96), bool)
A[10:30, 10:40] = True
B = np.zeros((64, 96), bool)
B[35:60, 50:90] = True
SQUARES = {"cup": [[10, 10], [40, 10], [40, 30], [10, 30]], "ball": [[50, 35], [90, 35], [90, 60], [50, 60]]}


@pytest.fixture
def video(tmp_path: Path) -> Any:
    (tmp_path / "frames").mkdir()
    for t in range(6):
        Image.fromarray(np.full((64, 96, 3), 20 * t, np.uint8)).save(tmp_path / "frames" / f"{t:05d}.png")
    return open_video(tmp_path / "frames")


def given(source: Any, video: Any) -> dict[int, dict[int, np.ndarray]]:
    return masks_for(source, 0, video, False, [])


def white(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def written(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def labelme(folder: Path) -> Path:
    for name, (label, points) in zip("ab", SQUARES.items(), strict=True):
        shape = {"label": label, "points": points, "shape_type": "polygon", "group_id": None}
        size = {"imageWidth": 96, "imageHeight": 64}
        written(folder / f"{name}.json", {"shapes": [shape], "imagePath": "00000.png", "version": "5", **size})
    return folder


def via(folder: Path) -> Path:
    images = {}
    for label, points in SQUARES.items():
        xs, ys = zip(*points, strict=True)
        drawn = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
        region = {"shape_attributes": drawn, "region_attributes": {"what": label}}
        images[label] = {"filename": "00000.png", "size": 1, "regions": [region]}
    return written(folder / "via.json", images)


def studio(folder: Path) -> Path:
    tasks = []
    for label, points in SQUARES.items():
        value = {"points": [[100 * x / 96, 100 * y / 64] for x, y in points], "polygonlabels": [label]}
        drawn = {"type": "polygonlabels", "value": value, "original_width": 96, "original_height": 64}
        tasks.append({"data": {"image": "/data/00000.png"}, "annotations": [{"result": [drawn]}]})
    return written(folder / "studio.json", tasks)


@pytest.mark.parametrize("make", [labelme, via, studio])
def test_outlines_of_one_frame_from_several_entries_are_joined(
    tmp_path: Path, video: Any, make: Callable[[Path], Path]
) -> None:
    found = given(make(tmp_path / "drawn"), video)
    assert list(found) == [0]
    assert sorted(found[0]) == [1, 2]
    assert {bool((mask & A).any()) for mask in found[0].values()} == {True, False}
    assert all((mask ^ true).mean() < 0.02 for mask, true in zip(found[0].values(), (A, B), strict=True))


def test_of_two_people_who_drew_one_picture_the_account_tells(tmp_path: Path, video: Any) -> None:
    path = studio(tmp_path / "drawn")
    tasks = json.loads(path.read_text())
    tasks[0]["annotations"] += tasks[1]["annotations"]
    notes: list[str] = []
    masks_for(written(path, tasks[:1]), 0, video, False, notes)
    assert any("annotation of another person" in note for note in notes)


def coco_file(path: Path, images: list[tuple[int, str]]) -> Path:
    annotations = []
    for number, mask in zip((1, 2), (A, B), strict=True):
        rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
        annotations.append({"id": number, "image_id": number, "category_id": number, "segmentation": segmentation})
    listed = [{"id": key, "file_name": name, "width": 96, "height": 64} for key, name in images]
    return written(path, {"images": listed, "annotations": annotations})


def test_images_of_a_coco_file_that_are_one_frame(tmp_path: Path, video: Any) -> None:
    alike = coco_file(tmp_path / "a.json", [(1, "x/00000.jpg"), (2, "y/00000.jpg")])
    with pytest.raises(InputError, match="are both of frame 0"):
        given(alike, video)
    again = coco_file(tmp_path / "b.json", [(1, "00000.jpg"), (1, "00003.jpg"), (2, "00005.jpg")])
    with pytest.raises(InputError, match="two images have the id 1"):
        given(again, video)
    same = coco_file(tmp_path / "c.json", [(1, "00000.jpg"), (1, "00000.jpg"), (2, "00005.jpg")])
    assert list(given(same, video)) == [0, 5]


def test_files_of_one_frame(tmp_path: Path, video: Any) -> None:
    for t in range(3):
        white(tmp_path / f"masks/{t:05d}.png", np.roll(A, t, axis=1))
    white(tmp_path / "masks/00001.bmp", B)
    with pytest.raises(InputError, match=r"00001.bmp and 00001.png are both of frame 1"):
        given(tmp_path / "masks", video)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("01/00000.png", "the folder 0?1/ cannot be an object's: another has that id"),
        ("70000/00000.png", "the folder 70000/ cannot be an object's: ids are 1 to 65535"),
        ("a.png", "holds both mask images, such as a.png, and folders of objects, such as 1/"),
    ],
)
def test_folders_of_objects_beside_something_else(tmp_path: Path, video: Any, more: str, message: str) -> None:
    for object_id, mask in ((1, A), (2, B)):
        white(tmp_path / f"masks/{object_id}/00000.png", mask)
    assert sorted(given(tmp_path / "masks", video)[0]) == [1, 2]
    white(tmp_path / "masks" / more, B)
    with pytest.raises(InputError, match=message):
        given(tmp_path / "masks", video)
