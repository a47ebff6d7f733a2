"""Runs that are killed, and runs of several processes."""

from __future__ import annotations

import csv
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("runs.py")


class Runs:
    """Processes of runs, forked by one that has imported what they need, which takes far longer than their steps."""

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, *arguments: str, step_by_step: bool = False) -> int:
        """Begin a run; the number of its process."""
        self.say(json.dumps([step_by_step, *arguments]))
        return int(self.hear())

    def say(self, line: str = "") -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(line + "\n")
        self.server.stdin.flush()

    def hear(self) -> str:
        assert self.server.stdout is not None
        return self.server.stdout.readline().strip()

    def end(self) -> int:
        """Exit status of the run, once it has ended; what it still writes is let go by."""
        while not (line := self.hear()).startswith("status"):
            assert line, "the process that forks has ended"
        return int(line.split()[1])

    def finish(self, *arguments: str) -> None:
        """A whole run."""
        self.begin(*arguments)
        assert self.end() == 0


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    runs = Runs()
    yield runs
    assert runs.server.stdin is not None
    runs.server.stdin.close()
    assert runs.server.wait(timeout=60) == 0


def losses(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_ten_kills_change_nothing(tmp_path: Path, photographs_folder: Path, runs: Runs) -> None:
    """Each process is killed after its first step, somewhere on the way to the end of its second, and never later:
    it waits to be told to go on. So ten of them come no further than step 20 of 24, however busy the machine is."""
    longer = "stages=12x48x3x2,12x48x3x2:stills"
    runs.finish(str(photographs_folder), str(tmp_path / "whole"), longer)
    chance = random.Random(0)
    begun = []
    for _ in range(10):
        process = runs.begin(str(photographs_folder), str(tmp_path / "cut"), longer, step_by_step=True)
        begun.append(int(runs.hear()))  # a step is done, and its checkpoint is written
        runs.say()
        time.sleep(chance.uniform(0, 0.05))
        os.kill(process, signal.SIGKILL)
        assert runs.end() == -signal.SIGKILL
    assert all(
        0 < after - before <= 2 for before, after in itertools.pairwise([0, *begun])
    )  # each went on from the last
    runs.finish(str(photographs_folder), str(tmp_path / "cut"), longer)
    whole, cut = (load_file(tmp_path / name / "tiny.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


def test_two_processes_learn_what_one_with_twice_the_batch_does(
    tmp_path: Path, photographs_folder: Path, runs: Runs
) -> None:
    common = ("frozen_norms=true", "loss.dropout=0")
    two = ("stages=6x48x3x2,6x48x3x2:stills", *common)
    one = ("stages=6x48x3x4,6x48x3x4:stills", *common)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    done = subprocess.run(
        [*launcher, str(photographs_folder), str(tmp_path / "two"), *two], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    runs.finish(str(photographs_folder), str(tmp_path / "one"), *one)
    assert len(losses(tmp_path / "one")) == 12
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-3)
    first, second = (load_file(tmp_path / name / "tiny.safetensors") for name in ("one", "two"))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name].float(), tensor.float(), atol=5e-3, rtol=1e-2)


def test_accumulated_parts_equal_the_whole_batch(tmp_path: Path, photographs_folder: Path, runs: Runs) -> None:
    common = ("frozen_norms=true", "loss.dropout=0", "stages=4x48x3x4,2x48x3x4:stills")
    runs.finish(str(photographs_folder), str(tmp_path / "whole"), *common)
    runs.finish(str(photographs_folder), str(tmp_path / "parts"), *common, "accumulate=2")
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=2e-3)
