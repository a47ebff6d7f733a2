"""MOSE, LVOS, BURST and VIPSeg in miniature, and the measure of MOSEv2."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli import main
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError
from rotoscope.evaluation.contour import adaptive_radius, contour_accuracy, radius
from rotoscope.evaluation.evaluate import evaluate
from rotoscope.evaluation.scores import ObjectScores

SHAPE = (48, 64)


def square(side: int, left: int = 8) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[10 : 10 + side, left : left + side] = 1
    return mask


def write(folder: Path, masks: list[np.ndarray], frames: Path | None = None) -> None:
    for t, mask in enumerate(masks):
        for place, picture in ((folder, mask), (frames, np.zeros((*SHAPE, 3), np.uint8))):
            if place is not None:
                place.mkdir(parents=True, exist_ok=True)
                suffix = "png" if place is folder else "jpg"
                Image.fromarray(picture).save(place / f"{t:05d}.{suffix}")


LAYOUTS = {
    "mose": ("valid/Annotations/v", "valid/JPEGImages/v", "v", ""),
    "lvos": ("valid/Annotations/v", "valid/JPEGImages/v", "v", "?split=valid"),
    "burst": ("annotations/val/BDD/v", "frames/val/BDD/v", "BDD/v", "?split=val"),
    "vipseg": ("Annotations/v", "JPEGImages/v", "v", "?split=val"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts_are_read_and_scored(kind: str, tmp_path: Path) -> None:
    masks, frames, name, options = LAYOUTS[kind]
    write(tmp_path / kind / masks, [square(20) * 3] * 5, tmp_path / kind / frames)
    (tmp_path / kind / "val.txt").write_text("v\n")
    write(tmp_path / "out" / name, [square(20) * 3] * 5)
    spec = f"{kind}:{tmp_path / kind}{options}"
    dataset = open_dataset(spec)
    assert [s.name for s in dataset] == [name]
    found = evaluate(tmp_path / "out", dataset, jobs=1)
    assert [(o.object_id, len(o.frames)) for o in found.objects] == [(3, 3)]
    assert found.overall()["J&F"] == 1.0
    assert ("J&Ḟ" in found.overall()) == (kind in ("mose", "lvos"))


def test_what_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "set/train/Annotations/v", [square(9)], tmp_path / "set/train/JPEGImages/v")
    with pytest.raises(InputError, match="no folder of split 'valid'; there are train"):
        open_dataset(f"mose:{tmp_path / 'set'}")
    write(tmp_path / "burst/other/v", [square(9)], tmp_path / "burst/frames/v")
    (tmp_path / "burst/annotations").mkdir()
    with pytest.raises(InputError, match="holds no index masks"):
        open_dataset(f"burst:{tmp_path / 'burst'}")
    with pytest.raises(InputError, match="no split 'val'"):
        open_dataset(f"burst:{tmp_path / 'burst'}?split=val")


def test_the_tolerance_grows_with_the_object_up_to_that_of_f() -> None:
    shape = (480, 854)
    assert radius(shape) == 8
    for side, expected in ((1, 1), (10, 1), (30, 3), (75, 8), (400, 8)):
        mask = np.zeros(shape, bool)
        mask[:side, :side] = True
        assert adaptive_radius(mask) == expected == min(8, math.ceil(side / 10))
    assert adaptive_radius(np.zeros(shape, bool)) == 8


def test_small_objects_are_judged_more_strictly() -> None:
    shape = (480, 854)
    truth, off = np.zeros(shape, bool), np.zeros(shape, bool)
    truth[100:112, 100:112] = True
    off[104:116, 104:116] = True
    assert contour_accuracy(off, truth) == 1.0
    assert contour_accuracy(off, truth, adaptive_radius(truth)) < 0.5


def scored(present: str, j: tuple[float, ...]) -> ObjectScores:
    shown = tuple(letter == "x" for letter in present)
    return ObjectScores("v", 1, None, None, 1, None, tuple(present), j, j, (), j, shown)


@pytest.mark.parametrize(
    ("present", "values", "away", "back"),
    [
        ("xx--x", (1.0, 1.0, 0.2, 0.4, 0.8), 0.3, 0.8),
        ("x-x--x", (1.0, 0.5, 0.1, 0.0, 0.0, 0.3), 0.25, 0.2),  # means of stretches, not of frames
        ("--x", (0.0, 0.0, 0.6), None, 0.6),  # an object that was never there is not away
        ("xxx", (0.5, 0.5, 0.5), None, None),
    ],
)
def test_absence_and_return(present: str, values: tuple[float, ...], away: float | None, back: float | None) -> None:
    for found, expected in zip(scored(present, values).absences, (away, back), strict=True):
        assert math.isnan(found) if expected is None else found == pytest.approx(expected)


def test_the_command_prints_the_measure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = np.zeros(SHAPE, np.uint8)
    truth = [square(6), square(6), empty, square(6), square(6)]
    write(tmp_path / "set/valid/Annotations/v", truth, tmp_path / "set/valid/JPEGImages/v")
    write(tmp_path / "out/v", [square(6), square(6, 9), square(6), empty, square(6)])
    assert main(["evaluate", str(tmp_path / "out"), "--dataset", f"mose:{tmp_path / 'set'}"]) == 0
    shown = capsys.readouterr().out.split("\n")
    assert any("J&Ḟ away" in line and "J&Ḟ back" in line for line in shown)
    overall = evaluate(tmp_path / "out", f"mose:{tmp_path / 'set'}", jobs=1).overall()
    assert overall["J&Ḟ away"] == 0.0  # something was predicted where nothing is
    assert overall["J&Ḟ back"] == 0.0  # and nothing once it is back
    assert 0 < overall["J&Ḟ"] < 0.5
