"""--point, --not-point and --box, and the command ``prompt``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli import main


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def labels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.array(opened)


def test_segment_begins_with_points(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--point", "8,20", "--point", "0.9,0.9=2", "--not-point", "60,5@6", "--mask", mask_file]
    asked = ["segment", folder, *given, "--prompter", "flood", "--weights", tiny_weights]
    assert run(*asked, "-o", tmp_path / "out") == 0
    first = labels(tmp_path / "out" / "shot0.png")
    assert set(np.unique(first)) <= {0, 1, 2, 7}
    assert sorted(p.name for p in (tmp_path / "out" / "points").iterdir()) == [
        "shot0-1.png",
        "shot0-2.png",
        "shot6-1.png",
    ]
    shown = capsys.readouterr().err
    assert "object 1 on frame 0: points give a mask of 8." in shown


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--point", "64,3"], "the point 64,3 is outside the picture, which is 64x48"),
        (["--point", "0.5,0.5", "--point", "32,24=2"], "objects 1 and 2 have the same point 32,24"),
        (["--box", "5,5,5,9"], "the box 5,5,5,9 has no area"),
        (["--box", "1,1,9,9@2", "--box", "1,1,8,8@2"], "has a box on that frame already"),
        (["--point", "here"], "--point here: write X,Y"),
        (["--box", "1,2"], "--box 1,2: write X1,Y1,X2,Y2"),
        (["--point", "1,2@x"], "write X,Y"),
        (["--not-point", "1,2"], "only says where it is not"),
        (["--point", "1,2", "--not-point", "1,2"], "wanted and not wanted"),
        (["--point", "1,2@50"], "has frames 0 to 11"),
        (["--point", "1,2=0"], "object id 0"),
        (["--point", "1,2=7", "--mask", "MASK"], "object 7 has two masks on frame 0"),
        (["--point", "1,2", "--prompter", "magic"], "neither a file nor what answers clicks"),
        (["--point", "1,2", "--method", "cosnet-small"], "finds objects by itself"),
        (["--point", "1,2", "--then", "stcn-small", "--method", "cosnet-small"], "points out, or --then"),
    ],
)
def test_wrong_points_get_one_line(
    given: list[str],
    words: str,
    folder: Path,
    mask_file: Path,
    tiny_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(mask_file) if text == "MASK" else text for text in given]
    weights = [] if "--method" in given else ["--weights", tiny_weights]
    prompter = [] if "--prompter" in given else ["--prompter", "flood"]
    assert run("segment", folder, *given, *weights, *prompter, "-o", tmp_path / "out") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert words in lines[0]
    assert not (tmp_path / "out").exists()


def test_prompt_makes_a_mask_of_a_picture(
    folder: Path, mask_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, mask, show = folder / "shot0.png", tmp_path / "mask.png", tmp_path / "show.png"
    asked = ["prompt", picture, "--prompter", "flood", "-o", mask]
    assert run(*asked, "--point", "8,20", "--show", show) == 0
    found = labels(mask)
    assert found.shape == (48, 64)
    assert (found[12:28, :16] == 1).mean() > 0.9
    assert labels(show).shape == (48, 64, 3)
    capsys.readouterr()
    assert run(*asked, "--box", "0.0,0.25,0.25,0.6=3", "--mask", mask_file, "--not-point", "60,40=7", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [entry["object"] for entry in record["objects"]] == [7, 3]
    assert record["objects"][0]["pixels"] > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "nothing is pointed at"),
        (["--point", "8,20@3"], "Leave @FRAME out"),
        (["--point", "80,20"], "outside the picture"),
        (["--point", "8,20", "--show", "OUT"], "is the file of the mask"),
        (["--point", "8,20", "--show", "PICTURE"], "is the picture itself"),
        (["--point", "8,20", "--show", "a.jpg"], "ends in .png"),
        (["--point", "8,20", "--show", "no/such/a.png"], "its folder is not there"),
    ],
)
def test_wrong_requests_of_prompt_get_one_line(
    given: list[str], words: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"OUT": str(tmp_path / "mask.png"), "PICTURE": str(folder / "shot0.png")}
    given = [named.get(text, text) for text in given]
    assert run("prompt", folder / "shot0.png", *given, "--prompter", "flood", "-o", tmp_path / "mask.png") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "mask.png").exists()
    assert run("prompt", tmp_path / "none.png", "--point", "1,1", "-o", tmp_path / "mask.png") == 2
    assert "no such picture" in capsys.readouterr().err
