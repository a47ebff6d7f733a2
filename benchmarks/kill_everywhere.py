"""Kill a run at every write, fill the disk at every write, kill the real command at random: is anything ever lost?

    python benchmarks/kill_everywhere.py                    # every write of every format in every direction
    python benchmarks/kill_everywhere.py --kills 50         # kill -9 of the command, at random moments
    python benchmarks/kill_everywhere.py --form coco --direction both --step 5    # a part, several of which can run

For each output format and direction a run of 40 frames is watched, and its folder kept as it is before each write; that
is what a kill there leaves. What is kept is looked at (each file whole, none ahead of what an unbroken run writes, COCO
not behind the saved state), then resumed, and compared byte for byte with an unbroken run. Then the disk is full from
each write on: one line must say so, and the run be resumed, or started again with ``overwrite``. Exits with 1 if
anything differs.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import options, report
from faults import FullDisk, Recorder
from interrupted import DIRECTIONS, WAYS, differences, run, untrue
from rotoscope.errors import RotoscopeError
from rotoscope.masks.writing import FORMATS
from rotoscope.runs.job import Direction
from rotoscope.video import VideoWriter

FRAMES = 40


def attempt(what: str, *arguments: Any, **more: Any) -> str:
    """Run; what went wrong, or nothing."""
    try:
        run(*arguments, **more)
    except RotoscopeError as error:
        return f"{what}: {error}"
    return ""


def kills(root: Path, form: str, direction: Direction, step: int) -> dict[str, Any]:
    """Kill at every write; resume."""
    whole, watched = root / "whole", root / "watched"
    run(whole, form, direction, FRAMES)
    with Recorder(watched, root / "kept", lambda number: number % step == 0) as recorder:
        run(watched, form, direction, FRAMES)
    wrong: list[str] = []
    for kept in recorder.kept:
        what = f"{form} {direction} killed before {recorder.seen[int(kept.name[:5])]} ({kept.name})"
        wrong += [f"{what}: at that moment {name}" for name in untrue(kept, whole, direction)]
        said = attempt(what, kept, form, direction, FRAMES, resume=True)
        wrong += [said] if said else [f"{what}: {name}" for name in differences(kept, whole)]
        shutil.rmtree(kept)
    row = {"format": form, "direction": direction, "writes": len(recorder.seen), "kills": len(recorder.kept)}
    return {**row, "equal": len(recorder.kept) - len({line.split(":")[0] for line in wrong}), "wrong": wrong}


def full_disks(root: Path, form: str, direction: Direction, writes: int, step: int) -> dict[str, Any]:
    """Fill the disk at every write; resume, or start again."""
    wrong: list[str] = []
    done = stopped = 0
    for at in range(0, writes, step):
        folder, what = root / f"full-{at}", f"{form} {direction} disk full from write {at}"
        with FullDisk(folder, at):
            said = attempt(what, folder, form, direction, FRAMES)
        stopped += bool(said)
        if "\n" in said or (said and "No space left" not in said):
            wrong.append(said)
        way = {"overwrite": True} if done % 5 == 4 else {"resume": True}
        again = attempt(f"{what}, then {next(iter(way))}", folder, form, direction, FRAMES, **way)
        wrong += [again] if again else [f"{what}: {name}" for name in differences(folder, root / "whole")]
        done += 1
        shutil.rmtree(folder)
    return {
        "full disks": done,
        "told": stopped,
        "well after": done - len({x.split(":")[0] for x in wrong}),
        "bad": wrong,
    }


def material(root: Path) -> list[str]:
    """A clip and its first mask as files; the command line that segments it."""
    rng = np.random.default_rng(0)
    back = rng.integers(0, 120, (96, 160 + 2 * FRAMES, 3), dtype=np.uint8)
    with VideoWriter(root / "clip.mp4", 25, (160, 96)) as writer:
        for t in range(FRAMES):
            image = back[:, 2 * t : 2 * t + 160].copy()
            image[30:60, 20 + t : 60 + t] = (230, 180, 40)
            writer.write(image)
    mask = np.zeros((96, 160), np.uint8)
    mask[30:60, 30:70] = 1
    Image.fromarray(mask).save(root / "mask.png")
    command = [sys.executable, "-m", "rotoscope", "segment", str(root / "clip.mp4")]
    return [*command, "--mask", f"{root / 'mask.png'}@10", "--threads", "1", "--state-every", "7"]


def random_kills(root: Path, count: int, seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """``kill -9`` of the command at random moments, again and again until it comes through."""
    draw = random.Random(seed)
    command, rows, wrong = material(root), [], []
    wholes: dict[tuple[str, str], float] = {}
    for number in range(count):
        form, direction = draw.choice([*FORMATS, ",".join(FORMATS)]), draw.choice(DIRECTIONS)
        whole, out = root / f"{form}-{direction}", root / "out"
        if (form, direction) not in wholes:
            begun = time.monotonic()
            subprocess.run([*command, "-o", str(whole), "--format", form, "--direction", direction], check=True,
                           capture_output=True)  # fmt: skip
            wholes[form, direction] = time.monotonic() - begun
        arguments = [*command, "-o", str(out), "--format", form, "--direction", direction]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not out.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.random() * wholes[form, direction] * 0.4)  # most of the time before the folder is there
        process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        again = subprocess.run([*arguments, "--resume"], capture_output=True, text=True, check=False)
        found = differences(out, whole) if again.returncode == 0 else [again.stderr.strip()]
        wrong += [f"kill {number}, {form} {direction}: {name}" for name in found]
        rows.append({"kill": number, "format": form, "direction": direction, "cut off": killed, "equal": not found})
        print(rows[-1], *found[:3], flush=True)
        shutil.rmtree(out)
    return rows, wrong


def main() -> int:
    """Print the table; 1 if anything was lost."""
    chosen = options(__doc__, form=list(FORMATS), direction=list(DIRECTIONS), step=1, full_step=3, kills=0, seed=0)
    wrong: list[str] = []
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        if chosen.kills:
            rows, wrong = random_kills(Path(folder), chosen.kills, chosen.seed)
            equal = sum(row["equal"] for row in rows)
            cut = sum(row["cut off"] for row in rows)
            print(f"{len(rows)} kills, {cut} of them before the end; {equal} equal after --resume")
        else:
            rows = []
            for form, direction in WAYS:
                if form not in chosen.form or direction not in chosen.direction:
                    continue
                root = Path(folder) / f"{form}-{direction}"
                row = kills(root, form, direction, chosen.step)
                row |= full_disks(root, form, direction, row["writes"], chosen.full_step)
                wrong += [*row.pop("wrong"), *row.pop("bad")]
                rows.append(row)
                print(row, flush=True)
                shutil.rmtree(root)
        report("kill_random" if chosen.kills else "kill_everywhere", "kills and full disks", rows, chosen, wrong=wrong)
    print(*wrong[:40], sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
