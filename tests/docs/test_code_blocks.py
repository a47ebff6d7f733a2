"""The examples of the pages run, from top to bottom of each page."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from rotoscope.masks.saving import save_labels
from rotoscope.video.writer import VideoWriter

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("python.md", "outlines.md")
SIZE = (64, 48)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name: a clip, its first mask, a finished run, results and their truth."""
    with VideoWriter(tmp_path / "clip.mp4", 25, SIZE) as writer:
        for t in range(8):
            image = np.random.default_rng(1).integers(0, 90, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
            cv2.circle(image, (24 + t, 20), 11, (250, 180, 30), -1)
            writer.write(image)
    data, results = tmp_path / "data", tmp_path / "results/ball"
    for folder in (data / "JPEGImages/480p/ball", data / "Annotations/480p/ball", data / "ImageSets/480p", results):
        folder.mkdir(parents=True)
    (tmp_path / "out").mkdir()
    for t in range(8):
        labels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        cv2.circle(labels, (24 + t, 20), 11, 1, -1)
        cv2.rectangle(labels, (50, 36), (60, 46), 2, -1)
        save_labels(tmp_path / f"out/{t:05d}.png", labels, (1, 2))
        save_labels(results / f"{t:05d}.png", labels % 2, (1,))
        cv2.imwrite(str(data / f"Annotations/480p/ball/{t:05d}.png"), labels % 2 * 255)
        cv2.imwrite(str(data / f"JPEGImages/480p/ball/{t:05d}.jpg"), cv2.cvtColor(labels, cv2.COLOR_GRAY2BGR))
        if t == 0:
            save_labels(tmp_path / "first.png", labels % 2, (1,))
    line = "/JPEGImages/480p/ball/00000.jpg /Annotations/480p/ball/00000.png\n"
    (data / "ImageSets/480p/val.txt").write_text(line)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, here: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    assert blocks
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}, example {number}", "exec"), names)


def test_rows_of_an_evaluation_are_its_scores(here: Path) -> None:
    import rotoscope

    scores = rotoscope.evaluate("results", "davis16:data?split=val")
    (row,) = scores.rows()
    assert row["sequence"] == "ball"
    assert row["J mean"] == scores.overall()["J mean"] == 1
