"""What ``--mask`` means, and what ``segment`` says of masks before and after it has run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli import main
from rotoscope.cli.segment import mask_argument
from rotoscope.errors import InputError


@pytest.mark.parametrize(
    ("text", "source", "frame", "object_id"),
    [
        ("ball.png", "ball.png", None, None),
        ("ball.png@12", "ball.png", 12, None),
        ("2:ball.png", "ball.png", None, 2),
        ("2:ball.png@12", "ball.png", 12, 2),
        ("ball.png=2", "ball.png", None, 2),
        ("ball.png@12=2", "ball.png", 12, 2),
        ("C:\\masks\\ball.png@3", "C:\\masks\\ball.png", 3, None),
        ("me@home.org/a=b.png", "me@home.org/a=b.png", None, None),
        ("a@1@2", "a@1", 2, None),
    ],
)
def test_what_the_text_of_a_mask_means(text: str, source: str, frame: int | None, object_id: int | None) -> None:
    found = mask_argument(text)
    assert (found.source, found.frame, found.object_id) == (source, frame, object_id)


def test_a_file_of_that_very_name_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("2:ball.png@12", "ball.png=2"):
        Path(name).write_bytes(b"")
        found = mask_argument(name)
        assert (found.source, found.frame, found.object_id) == (name, None, None)


def test_two_ids_are_one_too_many() -> None:
    with pytest.raises(InputError, match="has two ids"):
        mask_argument("2:ball.png@12=3")


@pytest.fixture
def common(folder: Path, tiny_weights: Path, tmp_path: Path) -> list[str]:
    return ["segment", str(folder), "-o", str(tmp_path / "out"), "--weights", str(tiny_weights), "--device", "cpu"]


@pytest.fixture
def white(tmp_path: Path) -> Path:
    """A 0/255 mask of the square as it is on frame 0, and one of something else."""
    for name, left in (("square", 0), ("ball", 40)):
        picture = np.zeros((48, 64), np.uint8)
        picture[12:28, left : left + 16] = 255
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    return tmp_path


def test_a_second_mask_with_an_id_is_a_second_object(
    common: list[str], white: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = ["--mask", f"{white}/square.png", "--mask", f"2:{white}/ball.png@5", "--json"]
    assert main([*common, *masks]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["objects"] == [1, 2]
    assert said.err == ""
    with Image.open(white / "out" / "shot5.png") as opened:
        labels = np.array(opened)
    assert (labels[12:28, 40:56] == 2).all()


def test_several_objects_of_one_frame_come_from_several_files(
    common: list[str], white: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = ["--mask", f"7:{white}/square.png", "--mask", f"{white}/ball.png=300", "--json"]
    assert main([*common, *masks]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == [7, 300]


def test_a_second_mask_without_an_id_is_told(
    common: list[str], white: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*common, "--mask", f"{white}/square.png", "--mask", f"{white}/ball.png@1"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(lines) == 1
    assert lines[0].startswith("rotoscope: warning: the mask given for object 1 on frame 1 hardly overlaps")


def test_frames_before_the_first_mask_are_told_once(
    common: list[str], white: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*common, "--mask", f"{white}/square.png@4"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "rotoscope: warning: frames 0 to 3 come before the first mask and will show no object. "
        "Direction both answers all frames."
    ]


def test_two_masks_of_one_object_are_refused(
    common: list[str], white: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*common, "--mask", f"{white}/square.png", "--mask", f"{white}/ball.png"]) == 2
    error = capsys.readouterr().err
    assert "object 1 has two masks on frame 0" in error
    assert "2:ball.png" in error
    assert not (white / "out").exists()


def test_what_was_decided_about_a_mask_is_told_and_kept(
    common: list[str], white: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = np.full((48, 64), 3, np.uint8)
    picture[12:28, :16] = 250
    Image.fromarray(picture).save(white / "noisy.png")
    assert main([*common, "--mask", f"{white}/noisy.png", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("rotoscope: warning: ")
    assert "noisy.png" in said.err
    assert any("noisy.png" in line for line in json.loads(said.out)["notes"])
