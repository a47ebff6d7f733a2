"""The examples of the pages run, from top to bottom of each page."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import rotoscope
from rotoscope.masks.saving import save_labels
from rotoscope.video.writer import VideoWriter

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if "```python" in page.read_text(encoding="utf-8")
)
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
