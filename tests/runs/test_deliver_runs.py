"""Formats for other programs in whole runs: what is written, kept, resumed, replaced and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import first_mask, moving
from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.masks.mattes import Delivery
from rotoscope.methods.base import Method
from rotoscope.runs.report import Report
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import VideoWriter, open_video

FORMATS = "prores,webm,ffv1,matte,greenscreen,blur,png,exr"


def run(out: Path, model: Method, formats: str, delivery: Delivery | None = None, **more: bool) -> Report:
    with open_video(moving(4)) as video:
        masks = {0: {1: first_mask()}}
        return segment_to_folder(video, masks, model, out, output_formats=formats, delivery=delivery, **more)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_all_formats_of_one_run(tmp_path: Path, tiny_stcn: Method) -> None:
    run(tmp_path, tiny_stcn, FORMATS, Delivery.of(refine=True))
    pictures = {f"{kind}/{n:05d}.{kind}" for kind in ("png", "exr") for n in range(4)}
    videos = {"prores.mov", "webm.webm", "ffv1.mkv", "matte.mov", "greenscreen.mp4", "blur.mp4"}
    assert names(tmp_path) == pictures | videos | {"run.json"}


def test_a_run_replaces_the_videos_and_pictures_of_the_one_before(tmp_path: Path, tiny_stcn: Method) -> None:
    run(tmp_path, tiny_stcn, "prores,png,exr", Delivery.of("each"))
    assert names(tmp_path) >= {"prores-1.mov", "png/1/00003.png", "exr/00003.exr"}
    (tmp_path / "prores-mine.mov").write_text("mine")
    (tmp_path / "matte.mov").write_text("mine")
    with pytest.raises(InputError, match="holds the masks of another run"):
        run(tmp_path, tiny_stcn, "ffv1")
    run(tmp_path, tiny_stcn, "ffv1", overwrite=True)
    assert names(tmp_path) == {"ffv1.mkv", "run.json", "prores-mine.mov", "matte.mov"}
    assert (tmp_path / "matte.mov").read_text() == "mine"


def test_a_run_is_resumed_with_the_same_delivery_only(tmp_path: Path, tiny_stcn: Method) -> None:
    run(tmp_path, tiny_stcn, "matte")
    with pytest.raises(InputError, match="differs in its delivery"):
        run(tmp_path, tiny_stcn, "matte", Delivery.of(alpha="premultiplied"), resume=True)
    assert run(tmp_path, tiny_stcn, "matte", resume=True).frames == 0


def test_the_command_says_what_is_wrong_and_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoWriter(tmp_path / "clip.mp4", 25, (64, 48)) as writer:
        for image in moving(2)[:, :48, :64]:
            writer.write(image)
    Image.fromarray(np.pad(np.ones((20, 20), np.uint8), ((5, 23), (5, 39)))).save(tmp_path / "mask.png")
    start = ["segment", str(tmp_path / "clip.mp4"), "--mask", str(tmp_path / "mask.png"), "-o", str(tmp_path / "out")]
    for words, said in (
        (["--format", "prores", "--objects", "9"], "object 9 is to be shown"),
        (["--format", "prores", "--objects", "a"], "give all, each, or ids"),
        (["--format", "prores", "--alpha", "thick"], "alpha 'thick' is not known"),
        (["--format", "coco", "--refine"], "--refine has no effect on coco"),
        (["--format", "matte", "--alpha", "straight"], "--alpha has no effect on matte"),
    ):
        assert main([*start, *words]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len([line for line in lines if "error" in line]) == 1
        assert said in lines[-1]
    monkeypatch.setattr("av.codecs_available", {"h264"})
    assert main([*start, "--format", "webm"]) == 2
    assert "FFmpeg here has no encoder libvpx-vp9" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
