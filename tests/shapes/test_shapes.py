"""Outlines out: every format is read back, with its holes and parts; what is wrong is found before a file is made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco

from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.masks.polygons import fill
from rotoscope.masks.prompts import masks_for
from rotoscope.masks.saving import save_labels
from rotoscope.shapes import FORMATS, export_shapes

SIZE = (160, 120)
COUNT = 6


def labels(frame: int) -> NDArray[np.uint8]:
    """Object 3: a ring that wanders, in two parts from frame 2 on. Object 7: a box that is gone on frame 3."""
    picture = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    cv2.circle(picture, (60 + 4 * frame, 60), 34, 3, -1)
    cv2.circle(picture, (63 + 4 * frame, 56), 14, 0, -1)
    if frame >= 2:
        cv2.ellipse(picture, (130, 60), (14, 34), 20, 0, 360, 3, -1)
    if frame != 3:
        picture[4:20, 5 + frame : 60 + frame] = 7
    return picture


class Clip:
    """A video whose frames are named as the masks are."""

    name = "clip"
    size = SIZE

    def number_of(self, name: str) -> int | None:
        return int(name) if name.isdecimal() else None


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    for frame in range(COUNT):
        save_labels(folder / f"{frame:05d}.png", labels(frame), (3, 7))
    return folder


def same(found: dict[int, dict[int, NDArray[Any]]], least: float) -> None:
    """Every object of every frame overlaps its truth by so much, and no other is there."""
    for frame in range(COUNT):
        there = {i: labels(frame) == i for i in (3, 7) if (labels(frame) == i).any()}
        assert {i for i, mask in found.get(frame, {}).items() if mask.any()} == there.keys()
        for i, truth in there.items():
            mask = np.asarray(found[frame][i]) > 0.5
            assert (mask & truth).sum() / (mask | truth).sum() >= least


def by_ytvis(folder: Path) -> dict[int, dict[int, NDArray[Any]]]:
    data = json.loads((folder / "instances.json").read_text())
    found: dict[int, dict[int, NDArray[Any]]] = {frame: {} for frame in range(COUNT)}
    for annotation in data["annotations"]:
        for frame, drawn in enumerate(annotation["segmentations"]):
            if drawn is not None:
                runs = coco.merge(coco.frPyObjects(drawn, SIZE[1], SIZE[0])) if isinstance(drawn, list) else drawn
                found[frame][annotation["category_id"]] = coco.decode(runs)
                assert abs(annotation["areas"][frame] - coco.area(runs)) < 0.02 * coco.area(runs)
    return found


def by_svg(folder: Path) -> dict[int, dict[int, NDArray[Any]]]:
    found: dict[int, dict[int, NDArray[Any]]] = {}
    for frame in range(COUNT):
        text = (folder / f"{frame:05d}.svg").read_text()
        for i, path in re.findall(r'id="object-(\d+)" d="([^"]*)"', text):
            rings = [
                np.array([pair.split(",") for pair in ring.strip(" M").split()], float) for ring in path.split("Z")[:-1]
            ]
            found.setdefault(frame, {})[int(i)] = fill(rings, SIZE)
    return found


def by_prompts(name: str) -> Callable[[Path], dict[int, dict[int, NDArray[Any]]]]:
    return lambda folder: masks_for(folder / name, 0, Clip(), False, [])


READERS: dict[str, Callable[[Path], dict[int, dict[int, NDArray[Any]]]]] = {
    "cvat": by_prompts("annotations.xml"),
    "ytvis": by_ytvis,
    "labelme": by_prompts(""),
    "label-studio": by_prompts("tasks.json"),
    "svg": by_svg,
}


@pytest.mark.parametrize(("tolerance", "least"), [(0.0, 1.0), (1.0, 0.99)])
@pytest.mark.parametrize("format", READERS)
def test_what_is_written_is_read_back(format: str, tolerance: float, least: float, masks: Path, tmp_path: Path) -> None:
    made = export_shapes(masks, tmp_path, format, tolerance=tolerance)
    assert made.frames == COUNT
    assert dict(made.objects) == {3: "object 3", 7: "object 7"}
    same(READERS[format](tmp_path), least)


def test_larger_objects_keep_ninety_nine_hundredths_at_a_pixel(tmp_path: Path) -> None:
    picture = np.zeros((480, 854), np.uint8)
    cv2.ellipse(picture, (400, 240), (220, 150), 15, 0, 360, 1, -1)
    cv2.circle(picture, (420, 240), 60, 0, -1)
    (tmp_path / "masks").mkdir()
    save_labels(tmp_path / "masks/0.png", picture, (1,))
    for format in ("cvat", "labelme"):
        export_shapes(tmp_path / "masks", tmp_path / format, format)
        clip = Clip()
        clip.size = (854, 480)
        found = masks_for(tmp_path / format / ("annotations.xml" if format == "cvat" else "0.json"), 0, clip, False, [])
        mask = np.asarray(found[0][1]) > 0.5
        assert (mask & (picture > 0)).sum() / (mask | (picture > 0)).sum() >= 0.99


def test_yolo_numbers_its_classes_from_nothing(masks: Path, tmp_path: Path) -> None:
    export_shapes(masks, tmp_path, "yolo", tolerance=0, names={7: 'a "box"'})
    assert '1: "a \\"box\\""' in (tmp_path / "data.yaml").read_text()
    found = masks_for(tmp_path / "labels", 0, Clip(), False, [])
    same({frame: {{1: 3, 2: 7}[i]: mask for i, mask in shown.items()} for frame, shown in found.items()}, 1.0)


def test_key_frames_of_a_track(masks: Path, tmp_path: Path) -> None:
    export_shapes(masks, tmp_path, "cvat", every=4)
    frames = re.findall(
        r'<polygon frame="(\d)" keyframe="1" outside="(\d)"', (tmp_path / "annotations.xml").read_text()
    )
    found = [f"{frame}{outside}" for frame, outside in frames]
    ring, second, box, again = ["00", "40", "50"], ["20", "40", "51"], ["00", "20", "31"], ["40", "50"]
    assert found == ring + second + box + again


def test_the_script_for_blender_is_whole(masks: Path, tmp_path: Path) -> None:
    export_shapes(masks, tmp_path, "blender", names={3: 'it\'s \\ "odd" {name}'})
    text = (tmp_path / "masks.py").read_text()
    compile(text, "masks.py", "exec")
    line = next(line for line in text.splitlines() if line.startswith("CLIP = "))
    clip = eval(line.removeprefix("CLIP = "), {"json": json})
    assert [name for name, _ in clip["objects"]] == ['it\'s \\ "odd" {name}', "object 7"]
    for name, frames in clip["objects"]:
        for number, rings in frames:
            i = 7 if name == "object 7" else 3
            drawn = fill([np.array(ring) for ring in rings], SIZE)
            truth = labels(number) == i
            assert (drawn & truth).sum() / (drawn | truth).sum() > 0.98


def test_every_format_of_a_finished_run_is_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clip").mkdir()
    for frame in range(5):
        save_labels(tmp_path / f"clip/{frame}.png", np.full((SIZE[1], SIZE[0]), 40 * frame, np.uint8), ())
    save_labels(tmp_path / "first.png", labels(2), (3, 7))
    files: list[str] = []
    for format in ("palette", "objects", "soft", "npz", "coco", "palette,objects"):
        run = ["segment", str(tmp_path / "clip"), "--mask", str(tmp_path / "first.png"), "--method", "flow"]
        assert main([*run, "-o", str(tmp_path / format), "--format", format]) == 0, capsys.readouterr().err
        out = tmp_path / f"{format}-out"
        assert main(["shapes", str(tmp_path / format), "-o", str(out), "--format", "labelme"]) == 0
        files = sorted(path.name for path in out.iterdir())
        assert len(files) == 5
    texts = {(tmp_path / f"{f}-out" / files[3]).read_text() for f in ("palette", "objects", "coco", "palette,objects")}
    assert len(texts) == 1


def wrong(folder: Path, masks: Path) -> dict[str, tuple[dict[str, Any], str]]:
    (folder / "there").mkdir()
    (folder / "there/00000.json").write_text("mine")
    (folder / "none").mkdir()
    (folder / "running/.rotoscope").mkdir(parents=True)
    return {
        "format": ({"format": "cvatt"}, "did you mean"),
        "tolerance": ({"tolerance": -1}, "tolerance -1"),
        "every": ({"every": 0}, "one frame in 0"),
        "suffix": ({"suffix": "/../x"}, "suffix"),
        "name": ({"names": {3: "\x1b[31m"}}, "no name"),
        "unknown object": ({"names": {5: "cup"}}, "no object 5 to name; there are 3, 7"),
        "there already": ({"output": folder / "there", "format": "labelme"}, "is there already"),
        "no masks": ({"source": folder / "none"}, "without mask images"),
        "unfinished": ({"source": folder / "running"}, "unfinished"),
        "missing": ({"source": folder / "gone"}, "no folder or COCO file"),
    }


KINDS = (
    "format", "tolerance", "every", "suffix", "name", "unknown object", "there already", "no masks", "unfinished",
    "missing",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_is_said_before_a_file_is_made(kind: str, masks: Path, tmp_path: Path) -> None:
    changes, message = wrong(tmp_path, masks)[kind]
    asked = {"source": masks, "output": tmp_path / "out", "format": "cvat", **changes}
    with pytest.raises(InputError, match=message):
        export_shapes(asked.pop("source"), asked.pop("output"), asked.pop("format"), **asked)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "there/00000.json").read_text() == "mine"


def test_all_formats_are_tested() -> None:
    assert set(FORMATS) == {*READERS, "yolo", "blender"}
