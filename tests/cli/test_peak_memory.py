"""What ``rotoscope segment`` takes beside PyTorch itself, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.experiments.speed import moving_frames, squares

MOST = 235
"""MiB above a process that has imported PyTorch and nothing else; about 210 were measured, and 257 before SciPy's
optimisers, random weights, and frames and masks that nobody needed any more were left out."""
PROCESSES = 3
"""At most so many are measured, and the least counts: what threads happen to hold at the same moment adds up to 30."""

SCRIPT = """
import importlib, json, sys
import torch
alone = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")) * 1024
from rotoscope.cli import main
from rotoscope.runs.measure import peak_memory
importlib.import_module("rotoscope.weights.load").has_native_bfloat16 = lambda device: False
torch.set_num_threads(2)
code = main(["segment", *sys.argv[1:]])
print(json.dumps({"code": code, "MiB": (peak_memory() - alone) / 2**20, "modules": list(sys.modules)}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_a_clip_at_480p_takes_little_beside_pytorch(tmp_path: Path) -> None:
    frames = tmp_path / "clip"
    frames.mkdir()
    for number, image in enumerate(moving_frames(6, (854, 480))):
        Image.fromarray(image).save(frames / f"{number:02d}.jpg")
    mask = tmp_path / "mask.png"
    Image.fromarray(squares(1, (854, 480))[1].astype(np.uint8)).save(mask)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    taken: list[float] = []
    while len(taken) < PROCESSES and min(taken, default=MOST) >= MOST:
        out = tmp_path / f"out{len(taken)}"
        given = [str(frames), "-o", str(out), "--mask", str(mask), "--json", "--device", "cpu"]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *given], capture_output=True, text=True, env=environment, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["code"] == 0
        assert len(list(out.glob("*.png"))) == 6
        assert not {"scipy.optimize", "matplotlib", "ray", "tensorboard", "torch._dynamo"} & set(found["modules"])
        taken.append(found["MiB"])
    assert min(taken) < MOST, taken
