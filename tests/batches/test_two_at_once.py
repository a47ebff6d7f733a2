"""Two commands at work in one folder at the same time: no video twice, and no mixture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rotoscope.batches.run import rows_of

from .conftest import masks_of, write_clip, write_mask

CLIPS, FRAMES = 6, 12


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(CLIPS):
        write_clip(tmp_path / "clips" / f"clip{number}", FRAMES, number)
        write_mask(tmp_path / "clips" / f"clip{number}.png")
    return tmp_path


def begin(root: Path, weights: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rotoscope", "batch", str(root / "clips"), "-o", str(root / "out")]
    command += ["--method", str(weights), "--workers", "1", "--threads", "1", "--json", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def expected(root: Path, weights: Path, **options: int) -> dict[str, dict[str, bytes]]:
    import rotoscope
    from rotoscope.runs.segment import segment_to_folder
    from rotoscope.video import open_video

    model, found = rotoscope.load(weights), {}
    for number in range(CLIPS):
        name = f"clip{number}"
        with open_video(root / "clips" / name) as video:
            given = {0: root / "clips" / f"{name}.png"}
            segment_to_folder(video, given, model, root / "alone" / name, **options)
        found[name] = masks_of(root / "alone" / name)
    return found


def results(root: Path) -> dict[str, dict[str, bytes]]:
    return {f"clip{number}": masks_of(root / "out" / f"clip{number}") for number in range(CLIPS)}


def test_two_batches_at_once_do_each_video_once(root: Path, tiny_weights: Path) -> None:
    both = [begin(root, tiny_weights), begin(root, tiny_weights)]
    ended = [process.communicate(timeout=900) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    rows = rows_of(root / "out")
    assert {row.state for row in rows} == {"done"}
    assert [row.begun for row in rows] == [1] * CLIPS
    assert len({row.owner for row in rows}) == 2
    assert results(root) == expected(root, tiny_weights)
    for said, _ in ended:
        last = json.loads(said.splitlines()[-1])
        assert (last["done"], last["failed"], last["open"]) == (CLIPS, 0, 0)


def test_a_batch_with_other_options_takes_over_whole_or_not_at_all(root: Path, tiny_weights: Path) -> None:
    first = begin(root, tiny_weights)
    assert first.stdout is not None
    first.stdout.readline()  # a video is done, others are not
    refused = begin(root, tiny_weights, "--option", "top_k=3")
    assert "other inputs" in refused.communicate(timeout=900)[1]
    assert refused.returncode == 2
    second = begin(root, tiny_weights, "--option", "top_k=3", "--overwrite")
    said = [process.communicate(timeout=900) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], said
    assert {row.state for row in rows_of(root / "out")} == {"done"}
    assert results(root) == expected(root, tiny_weights, top_k=3)
