"""``benchmarks/full_size_steps.py`` as a person calls it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import full_size_steps

ROOT = Path(__file__).parents[2]


def words(folder: Path) -> list[str]:
    script = [str(ROOT / "benchmarks" / "full_size_steps.py"), "--threads", "1"]
    return [*script, "--recipe", "rsis", "--stage", "1", "--steps", "1", "--clips", "1", "--json", str(folder)]


def called(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        "ROTOSCOPE_CACHE": str(folder / "cache"),
        "TORCH_HOME": str(folder / "torch"),
    }
    return subprocess.run(
        [sys.executable, *words(folder)], capture_output=True, text=True, env=environment, timeout=900
    )


def test_a_stage_is_taken_at_its_size_from_a_stand_in_and_is_not_taken_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = called(tmp_path)
    assert first.returncode == 0, first.stderr
    (row,) = json.loads((tmp_path / "full_size_steps.json").read_text())["rows"]
    assert (row["recipe"], row["stage"], row["size"], row["clips, paper's"], row["steps"]) == (
        "rsis",
        1,
        "256x256",
        28,
        1,
    )
    assert math.isfinite(row["first loss"])
    assert row["begins as"].startswith("encoder: in place of imagenet-resnet101; skips, ")
    assert "step 1, loss" in first.stderr
    monkeypatch.setattr(sys, "argv", words(tmp_path))
    assert full_size_steps.main() == 0
    again = capsys.readouterr()
    assert "step 1, loss" not in again.err
    assert "256x256" in again.out
