"""A pipe, a folder or a socket where a file is expected: a line at once, and nothing is waited for."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import first_mask, moving
from rotoscope.cli import main

NAMES = ["p.png", "p.json", "p.npz", "p.npy", "p.mp4", "p.m3u8", "p.pth", "p.safetensors", "p"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Pipes of all kinds of names that nobody writes to, a socket, folders; and a clip with a mask."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROTOSCOPE_CACHE", str(tmp_path / "cache"))
    for name in NAMES:
        os.mkfifo(tmp_path / name)
        (tmp_path / f"d{name}").mkdir()
    for folder in ("frames", "yt/valid/JPEGImages", "davis/JPEGImages/480p/a", "davis/Annotations/480p/a", "out"):
        (tmp_path / folder).mkdir(parents=True)
    os.mkfifo(tmp_path / "yt" / "valid" / "meta.json")
    os.mkfifo(tmp_path / "out" / "run.json")
    for t, image in enumerate(moving(2)):
        Image.fromarray(image).save(tmp_path / "frames" / f"{t:05d}.png")
    Image.fromarray(first_mask().astype(np.uint8)).save(tmp_path / "m.png")
    with socket.socket(socket.AF_UNIX) as heard:
        heard.bind("s.mp4")
        signal.alarm(100)  # ends the tests if anything waits
        yield tmp_path
        signal.alarm(0)


@pytest.mark.parametrize("name", [*NAMES, *(f"d{name}" for name in NAMES), "s.mp4", os.devnull])
def test_check_says_at_once_what_is_no_file(place: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", name]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert name in told


@pytest.mark.parametrize(
    "arguments",
    [
        *(["segment", "frames", "-o", "new", "--mask", name] for name in (*NAMES[:4], "p", "s.mp4")),
        *(["segment", "frames", "-o", "new", "--mask", "m.png", "--weights", name] for name in NAMES[-3:]),
        ["segment", "p.mp4", "-o", "new", "--mask", "m.png"],
        ["segment", "frames", "-o", "p", "--mask", "m.png"],
        ["segment", "frames", "-o", "m.png", "--mask", "m.png"],
        ["segment", "frames", "-o", "out", "--mask", "m.png", "--overwrite"],
        ["convert", "p.pth", "-o", "x.safetensors"],
        ["evaluate", "p", "--dataset", "davis17:davis"],
        ["evaluate", "frames", "--dataset", "youtubevos:yt?split=valid"],
        ["evaluate", "frames", "--dataset", "davis17:p"],
        ["fetch", "stcn", "--from", "p.pth"],
    ],
    ids=" ".join,
)
def test_commands_say_at_once_what_is_no_file(
    place: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("rotoscope: error: ") == 1
    assert not (place / "new").exists()
