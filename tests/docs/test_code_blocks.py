"""The examples of the pages run, from top to bottom of each page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import rotoscope
from rotoscope.cli import main
from rotoscope.datasets import demo
from rotoscope.masks.saving import save_labels
from rotoscope.video.writer import VideoWriter

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if "```python" in page.read_text(encoding="utf-8") and page.parent.name != "tutorials"
)
TUTORIALS = sorted(page.stem for page in (ROOT / "docs/tutorials").glob("*.md"))
SMALLER = {"00030": "00005", "@30": "@5", "30:": "5:", "300x160x4x4": "2x48x3x1", "--plan": "--plan --device cpu"}
"""What is changed in the tutorials' examples: frames that the clip of the tests lacks, and a long training."""
ELSEWHERE = ("pip install", "cd demo", "rotoscope demo --clip-only -o demo")
"""Commands that are not run here; the clip that they make is a smaller one."""
CLIPS = {"README.md": (121, (64, 48)), "docs/methods/prompts.md": (58, (512, 416))}
"""Frames and size of the clip that a page's examples need; eight small ones unless listed."""


def write_data(folder: Path, size: tuple[int, int]) -> None:
    """What examples name: a finished run ``out``, and ``results`` beside their truth, ``data`` or ``DAVIS``."""
    data, results = folder / "data", folder / "results/ball"
    for made in (data / "JPEGImages/480p/ball", data / "Annotations/480p/ball", data / "ImageSets/480p", results):
        made.mkdir(parents=True)
    (folder / "DAVIS").symlink_to(data)
    (folder / "out").mkdir()
    for t in range(8):
        labels = drawn(t, size)
        save_labels(folder / f"out/{t:05d}.png", labels, (1, 2))
        save_labels(results / f"{t:05d}.png", labels % 2, (1,))
        cv2.imwrite(str(data / f"Annotations/480p/ball/{t:05d}.png"), labels % 2 * 255)
        cv2.imwrite(str(data / f"JPEGImages/480p/ball/{t:05d}.jpg"), cv2.cvtColor(labels, cv2.COLOR_GRAY2BGR))
    line = "/JPEGImages/480p/ball/00000.jpg /Annotations/480p/ball/00000.png\n"
    (data / "ImageSets/480p/val.txt").write_text(line)
    save_labels(folder / "first.png", drawn(0, size) % 2, (1,))


def drawn(t: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A ball that moves, object 1, and a box that stays, object 2."""
    labels = np.zeros((size[1], size[0]), np.uint8)
    cv2.circle(labels, (24 + t % 16, 20), 11, 1, -1)
    cv2.rectangle(labels, (50, 36), (60, 46), 2, -1)
    return labels


def write_clip(path: Path, count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A clip of them; returns its first frame."""
    back = np.random.default_rng(1).integers(0, 90, (size[1], size[0], 3), dtype=np.uint8)
    colours = np.array([(0, 0, 0), (250, 180, 30), (20, 90, 240)], np.uint8)
    images = [np.where(drawn(t, size)[..., None] > 0, colours[drawn(t, size)], back) for t in range(count)]
    with VideoWriter(path, 25, size) as writer:
        for image in images:
            writer.write(image)
    return images[0]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom; arrays and the open session that an example only names are there before it."""
    count, size = CLIPS.get(page, (8, (64, 48)))
    write_data(tmp_path, size)
    image = write_clip(tmp_path / "clip.mp4", count, size)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {
        "image": image, "ball": drawn(120, size) == 1, "mask": drawn(0, size) == 1, "other": drawn(0, size) == 2,
        "session": rotoscope.load("stcn-small").session(), "width": size[0], "height": size[1],
    }  # fmt: skip
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}, example {number}", "exec"), names)


def test_rows_of_an_evaluation_are_its_scores(tmp_path: Path) -> None:
    write_data(tmp_path, (64, 48))
    scores = rotoscope.evaluate(tmp_path / "results", f"davis16:{tmp_path / 'data'}?split=val")
    (row,) = scores.rows()
    assert row["sequence"] == "ball"
    assert row["J mean"] == scores.overall()["J mean"] == 1


def small_demo() -> demo.DemoClip:
    """What stands for the built-in clip: eight frames of two objects."""
    labels = np.stack([drawn(t, (96, 64)) for t in range(8)])
    noise = np.random.default_rng(1).integers(0, 90, (8, 64, 96, 3), dtype=np.uint8)
    colours = np.array([(0, 0, 0), (250, 180, 30), (20, 90, 240)], np.uint8)
    return demo.DemoClip(np.where(labels[..., None] > 0, colours[labels], noise), labels)


def blocks_of(page: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each example of a tutorial, made smaller."""
    for kind, text in re.findall(r"```(\w+)\n(.*?)```", page, re.S):
        for long, short in SMALLER.items():
            text = text.replace(long, short)
        yield kind, text


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands too, as the command line gets them; each must end with 0."""
    demo.write_clip(small_demo(), tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    ran = 0
    for kind, text in blocks_of((ROOT / f"docs/tutorials/{name}.md").read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(text, f"{name}, example", "exec"), names)
            continue
        assert kind == "bash"
        for line in text.splitlines():
            if not line.startswith(ELSEWHERE):
                command = shlex.split(line, comments=True)
                assert command[0] == "rotoscope", line
                assert main(command[1:]) == 0, line
                ran += 1
    assert ran


def test_the_files_of_the_built_in_clip_are_the_clip_and_its_truth(tmp_path: Path) -> None:
    clip = demo.demo_clip(2)
    demo.write_clip(clip, tmp_path)
    with rotoscope.open_video(tmp_path / "clip.mp4") as video:
        images = [frame.image.astype(int) for frame in video]
    assert len(images) == 2
    assert max(float(np.abs(image - frame).mean()) for image, frame in zip(images, clip.frames, strict=True)) < 12
    assert set(rotoscope.read_masks(tmp_path / "first.png").masks) == {1, 2}
    np.testing.assert_array_equal(rotoscope.read_masks(tmp_path / "2.png").masks[1], clip.labels[0] == 2)
    scores = rotoscope.evaluate(
        tmp_path / "data/Annotations/480p", f"davis17:{tmp_path / 'data'}?split=val", frames="all"
    )
    assert scores.overall()["J mean"] == 1
    with pytest.raises(rotoscope.InputError, match="is there already"):
        demo.write_clip(clip, tmp_path)


def test_the_command_writes_the_clip_and_replaces_it_only_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "demo_clip", small_demo)
    command = ["demo", "--clip-only", "-o", str(tmp_path / "demo")]
    assert main(command) == 0
    before = (tmp_path / "demo/clip.mp4").stat().st_mtime_ns
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "demo/clip.mp4").stat().st_mtime_ns == before
    assert main([*command, "--overwrite"]) == 0
