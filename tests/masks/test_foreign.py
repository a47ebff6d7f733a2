"""Annotation files of other tools that are not read are named, not guessed at, wherever they are given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.masks import read_masks


def dump(data: Any) -> str:
    return json.dumps(data)


FILES: dict[str, tuple[str, str, str]] = {
    "VIA project": ("a.json", dump({"_via_settings": {}, "_via_img_metadata": {}}), "(VIA)"),
    "VIA table": (
        "a.csv",
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n",
        "(VIA)",
    ),
    "Pascal VOC": ("a.xml", "<annotation>\n<folder>x</folder>\n<object><name>a</name></object></annotation>", "VOC"),
    "YOLO data set": ("data.yaml", "path: ../set\ntrain: images/train\nval: images/val\nnames:\n  0: car\n", "YOLO"),
    "GeoJSON": ("a.json", dump({"type": "FeatureCollection", "features": []}), "GeoJSON"),
}  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(kind: str) -> Path:
        name, text, _ = FILES[kind]
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize("kind", FILES)
def test_check_and_masks_say_what_it_is(
    kind: str, written: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, message = written(kind), FILES[kind][2]
    assert main(["check", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Export masks as PNG, or COCO JSON" in error
    assert error.count("\n") == 1
    with pytest.raises(InputError) as caught:
        read_masks(path)
    assert message in str(caught.value)


def test_check_says_it_of_a_folder(written: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = written("Pascal VOC").parent
    assert main(["check", str(folder)]) == 2
    assert "is a folder with a file of Pascal VOC" in capsys.readouterr().err
    written("YOLO data set")
    assert main(["check", str(folder)]) == 2
    assert "is a folder with files of other tools" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.txt", "hello"), ("b.txt", ""), ("c.xml", "<svg/>"), ("d.csv", "a,b"), ("e.yaml", "a: 1"), ("f.txt", "1 2\n")],
)
def test_other_texts_are_nothing_known(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="not a mask format known here"):
        read_masks(tmp_path / name)


def test_what_is_ours_is_read_beside_them(written: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = written("Pascal VOC").parent
    for number in range(2):
        Image.fromarray(np.full((48, 64, 3), 90 * number, np.uint8)).save(folder / f"{number}.png")
    assert main(["check", str(folder)]) == 0
    assert "video, 64x48, 2 frames" in capsys.readouterr().out
