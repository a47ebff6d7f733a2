"""``rotoscope explain``: the picture that is drawn, and what is refused before any frame is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drawn import contents
from rotoscope.cli import main
from rotoscope.methods.mechanism import Grid
from rotoscope.reports.mechanisms import heat, on_frame


def test_the_cell_of_most_weight_is_where_the_picture_is_brightest() -> None:
    values = torch.zeros(3, 4)
    values[2, 1], values[0, 3] = 1.0, 0.2
    missing = torch.zeros(3, 4, dtype=torch.bool)
    missing[1, 0] = True
    image = np.full((30, 40, 3), 60, np.uint8)
    drawn = heat(image, Grid(0, "", values, (0.0, 0.0, 40.0, 30.0), missing), 1.0).astype(int).sum(axis=2)
    means = drawn.reshape(3, 10, 4, 10).mean(axis=(1, 3))
    assert np.unravel_index(means.argmax(), means.shape) == (2, 1)
    assert means[0, 3] > means[0, 0] + 30
    flat = heat(image, Grid(0, "", values, (0.0, 0.0, 40.0, 30.0), missing), 1.0)[10:20, :10].reshape(-1, 3)
    assert (flat.max(axis=1) == flat.min(axis=1)).all()  # grey


def test_cells_lie_where_they_were_computed() -> None:
    values = np.arange(6.0).reshape(2, 3) + 1
    found = on_frame(values, (-2.0, 0.0, 10.0, 8.0), (8, 8))
    assert found[0].tolist() == [1, 1, 2, 2, 2, 2, 3, 3]
    assert found[7].tolist() == [4, 4, 5, 5, 5, 5, 6, 6]
    assert not on_frame(values, (4.0, 0.0, 8.0, 8.0), (8, 8))[:, :4].any()


@pytest.fixture
def asked(tmp_path: Path, clip: np.ndarray, mask: np.ndarray, tiny_weights: Path) -> list[str]:
    """A command line but for what is asked, in a folder of its own."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(frames / f"{number:05d}.png")
    Image.fromarray(mask.astype(np.uint8) * 3).save(tmp_path / "first.png")
    return ["explain", "stcn", str(frames), "--weights", str(tiny_weights), "--mask", str(tmp_path / "first.png")]


def test_a_picture_is_written_and_told(asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.webp", "c.jpg"):
        assert main([*asked, "--frame", "4", "--at", "20,20", "-o", str(tmp_path / name)]) == 0
        with Image.open(tmp_path / name) as opened:
            assert min(opened.size) > 200
    text = capsys.readouterr().out
    assert "What a pixel of frame 4 reads in memory" in text
    assert "% of the weight" in text


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--frame", "99", "-o", "a.png"], "has frames 0 to"),
        (["--frame", "4", "-o", "a.txt"], "is no name of a picture"),
        (["--frame", "4", "-o", "none/a.png"], "cannot be written to"),
        (["--frame", "4", "--at", "900,3", "-o", "a.png"], "lies outside of frames"),
        (["--frame", "4", "--at", "x", "-o", "a.png"], "write X,Y"),
        (["--frame", "4", "--object", "5", "-o", "a.png"], "object 5 is not followed"),
        (["--frame", "0", "-o", "a.png"], "Choose a later frame"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    more: list[str], told: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    assert main([*asked, *more]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]
    assert contents(tmp_path) == before
