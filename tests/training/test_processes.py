"""Runs that are killed, and runs of several processes."""

from __future__ import annotations

import csv
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("runs.py")


def finish(*arguments: str, processes: int = 1) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def losses(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_ten_kills_change_nothing(tmp_path: Path, photographs_folder: Path) -> None:
    """Each process is killed after its first step, somewhere on the way to the end of its second, and never later:
    it waits to be told to go on. So ten of them come no further than step 20 of 24, however busy the machine is."""
    longer = "stages=12x48x3x2,12x48x3x2:stills"
    finish(str(photographs_folder), str(tmp_path / "whole"), longer)
    chance = random.Random(0)
    begun = []
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(photographs_folder), str(tmp_path / "cut"), longer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "STEP_BY_STEP": "1"},
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        begun.append(int(process.stdout.readline()))  # a step is done, and its checkpoint is written
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert all(
        0 < after - before <= 2 for before, after in itertools.pairwise([0, *begun])
    )  # each went on from the last
    finish(str(photographs_folder), str(tmp_path / "cut"), longer)
    whole, cut = (load_file(tmp_path / name / "tiny.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


def test_two_processes_learn_what_one_with_twice_the_batch_does(tmp_path: Path, photographs_folder: Path) -> None:
    common = ("frozen_norms=true", "loss.dropout=0")
    two = ("stages=6x48x3x2,6x48x3x2:stills", *common)
    one = ("stages=6x48x3x4,6x48x3x4:stills", *common)
    finish(str(photographs_folder), str(tmp_path / "two"), *two, processes=2)
    finish(str(photographs_folder), str(tmp_path / "one"), *one)
    assert len(losses(tmp_path / "one")) == 12
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-3)
    first, second = (load_file(tmp_path / name / "tiny.safetensors") for name in ("one", "two"))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name].float(), tensor.float(), atol=5e-3, rtol=1e-2)


def test_accumulated_parts_equal_the_whole_batch(tmp_path: Path, photographs_folder: Path) -> None:
    common = ("frozen_norms=true", "loss.dropout=0", "stages=4x48x3x4,2x48x3x4:stills")
    finish(str(photographs_folder), str(tmp_path / "whole"), *common)
    finish(str(photographs_folder), str(tmp_path / "parts"), *common, "accumulate=2")
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=2e-3)
