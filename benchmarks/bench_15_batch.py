"""Many short videos: a loop over ``rotoscope segment`` against ``rotoscope batch`` with one worker and with two.

The loop is done twice: as a shell does it, with a process for each video, and in one process with one loaded model. All
ways answer the same frames, which is checked; the processor's seconds are those of all processes of the way.

    python benchmarks/bench_15_batch.py
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import options, report
from rotoscope.video import VideoWriter

PR_SET_CHILD_SUBREAPER = 36
LOOP = """
import sys
from pathlib import Path
import rotoscope, torch
from rotoscope.runs.segment import segment_to_folder
torch.set_num_threads(int(sys.argv[4]))
model = rotoscope.load(sys.argv[3])
for clip in sorted(Path(sys.argv[1]).glob("*.mp4")):
    with rotoscope.open_video(clip) as video:
        segment_to_folder(video, clip.with_suffix(".png"), model, Path(sys.argv[2]) / clip.stem)
"""


def write_clips(folder: Path, count: int, frames: int, size: tuple[int, int]) -> None:
    """Clips in which a square moves over noise, with a mask beside each."""
    rng, (width, height) = np.random.default_rng(0), size
    folder.mkdir()
    side = height // 3
    for number in range(count):
        back = rng.integers(0, 120, (height // 8, width // 8, 3), dtype=np.uint8)
        back = np.asarray(Image.fromarray(back).resize(size))
        with VideoWriter(folder / f"{number:03d}.mp4", 24.0, size) as writer:
            for t in range(frames):
                frame = back.copy()
                frame[side : 2 * side, 4 * t : 4 * t + side] = (230, 180, 40)
                writer.write(frame)
        mask = np.zeros((height, width), np.uint8)
        mask[side : 2 * side, :side] = 255
        Image.fromarray(mask).save(folder / f"{number:03d}.png")


def ways(clips: Path, root: Path, chosen: Any) -> dict[str, list[list[str]]]:
    """The commands of each way, by its name."""
    run = [sys.executable, "-m", "rotoscope"]
    threads, method = str(chosen.threads), ["--method", chosen.method]
    shell = [
        [
            *run,
            "segment",
            str(clip),
            "--mask",
            str(clip.with_suffix(".png")),
            "-o",
            str(root / "0" / clip.stem),
            *method,
        ]
        for clip in sorted(clips.glob("*.mp4"))
    ]
    one = ["--workers", "1", "--threads", threads]
    two = ["--workers", "2", "--threads", str(max(chosen.threads // 2, 1))]
    return {
        "loop over rotoscope segment": [[*command, "--threads", threads] for command in shell],
        "loop, one process and model": [
            [sys.executable, "-c", LOOP, str(clips), str(root / "1"), chosen.method, threads]
        ],
        "batch, 1 worker": [[*run, "batch", str(clips), "-o", str(root / "2"), *method, *one]],
        "batch, 2 workers": [[*run, "batch", str(clips), "-o", str(root / "3"), *method, *two]],
    }


def measure(commands: list[list[str]]) -> tuple[float, float]:
    """Seconds by the clock, and of processors, that commands take one after another."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    begun, before = time.perf_counter(), spent()
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - begun
    with suppress(ChildProcessError):  # the server that workers come from ends by itself, as an orphan of this process
        while True:
            os.wait()
    return seconds, spent() - before


def masks(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*.png"))}


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # so that orphans are counted with their way
    chosen = options(__doc__, clips=16, frames=20, width=854, height=480, method="stcn-small")
    with tempfile.TemporaryDirectory() as place:
        root, clips = Path(place), Path(place) / "clips"
        write_clips(clips, chosen.clips, chosen.frames, (chosen.width, chosen.height))
        rows: list[dict[str, Any]] = []
        for number, (name, commands) in enumerate(ways(clips, root, chosen).items()):
            wall, processors = measure(commands)
            count = len(masks(root / str(number)))
            if count != chosen.clips * chosen.frames:
                raise SystemExit(f"{name}: {count} masks instead of {chosen.clips * chosen.frames}")
            rows.append({"way": name, "seconds": wall, "processor seconds": processors, "frames/s": count / wall})
        for row in rows:
            row["times the shell's loop"] = rows[0]["seconds"] / row["seconds"]
            row["times the one process"] = rows[1]["seconds"] / row["seconds"]
    title = f"{chosen.clips} clips of {chosen.frames} frames, {chosen.width}x{chosen.height}, {chosen.method}"
    report("bench_15_batch", title, rows, chosen)


if __name__ == "__main__":
    main()
