"""Is a batch what ``rotoscope segment`` gives one by one, whatever is killed and whatever is broken?

    python benchmarks/accept_batch.py                       # 200 clips, 30 kills
    python benchmarks/accept_batch.py --clips 20 --kills 6  # a quick look

1. *Equal*: the same clips by ``rotoscope segment`` one by one, by worker processes, and by Ray on two nodes of this
   machine; all masks are compared byte for byte.
2. *Killed*: workers, drivers, and a Ray node are killed (``kill -9``) at random moments; what was killed is started
   again. Then every video is there once, whole, and equal.
3. *Broken*: a twentieth of the clips is broken, in ten ways. Each is a row with its reason, the others are done, and
   the command ends with 0, or with 2 and ``--strict``.

Ends with 1 if anything is not so. Without Ray (``pip install -e ".[batch]"``) its parts are left out, and it says so.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rotoscope.batches.run import rows_of, summarise
from rotoscope.cli import main as rotoscope
from rotoscope.video import VideoWriter

WIDTH, HEIGHT = 96, 64


def write_clips(folder: Path, count: int, seed: int) -> list[str]:
    """Clips of 6 to 10 frames in which a square moves over noise, half of them files, with a mask beside each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    names = [f"clip{number:04d}" for number in range(count)]
    for number, name in enumerate(names):
        frames = np.repeat(rng.integers(0, 120, (1, HEIGHT, WIDTH, 3), dtype=np.uint8), rng.integers(6, 11), axis=0)
        colour, top, left = rng.integers(100, 255, 3), int(rng.integers(0, 40)), int(rng.integers(0, 40))
        for t, frame in enumerate(frames):
            frame[top : top + 24, left + 3 * t : left + 3 * t + 24] = colour
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[top : top + 24, left : left + 24] = 255
        Image.fromarray(mask).save(folder / f"{name}.png")
        if number % 2:
            with VideoWriter(folder / f"{name}.mp4", 24.0, (WIDTH, HEIGHT)) as writer:
                for frame in frames:
                    writer.write(frame)
        else:
            (folder / name).mkdir()
            for t, frame in enumerate(frames):
                Image.fromarray(frame).save(folder / name / f"{t:05d}.jpg", quality=95)
    return names


def source_of(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_dir() else folder / f"{name}.mp4"


def one_by_one(clips: Path, out: Path, names: list[str], options: list[str], separate: int) -> None:
    """``rotoscope segment`` over each clip; the first few as processes of their own, the others in this one."""
    for number, name in enumerate(names):
        asked = ["segment", str(source_of(clips, name)), "--mask", str(clips / f"{name}.png")]
        asked += ["-o", str(out / name), *options]
        if number < separate:
            subprocess.run([sys.executable, "-m", "rotoscope", *asked], check=True, capture_output=True)
            continue
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert rotoscope(asked) == 0, name


def masks_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def differences(out: Path, expected: Path, names: list[str]) -> list[str]:
    """What is not as it should be in the folder of a batch, one line each."""
    wrong = [f"{name}: masks differ" for name in names if masks_of(out / name) != masks_of(expected / name)]
    wrong += [f"{name}: no run.json" for name in names if not (out / name / "run.json").is_file()]
    rows = [row for row in rows_of(out) if row.name in set(names)]
    wrong += [f"{row.name}: {row.state} {row.reason}" for row in rows if row.state != "done"]
    if sorted(row.name for row in rows) != sorted(names):
        wrong.append("the journal has other jobs")
    wrong += [f"left behind: {path}" for path in (out / ".batch").glob("work/*")]
    for name in names:
        frames = json.loads((out / name / "run.json").read_text())["masks"] if not wrong else []
        if not wrong and [f"{frame}.png" for frame in frames] != sorted(masks_of(out / name)):
            wrong.append(f"{name}: run.json names other masks")
    return wrong


def command(clips: Path, out: Path, options: list[str], more: list[str]) -> list[str]:
    return [sys.executable, "-m", "rotoscope", "batch", str(clips), "-o", str(out), *options, *more]


def run_whole(asked: list[str], log: Path) -> int:
    with log.open("a") as file:
        return subprocess.run(asked, stdout=file, stderr=file, check=False).returncode


class Killer:
    """Runs a batch over and over, killing something at each of some moments of its progress."""

    def __init__(self, asked: list[str], out: Path, log: Path, rng: random.Random, cluster: Any = None) -> None:
        self.asked, self.out, self.log, self.rng, self.cluster = asked, out, log, rng, cluster
        self.killed: Counter[str] = Counter()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, victims: list[str], clips: int) -> int:
        """Kill each victim once, when a random number of clips is done; the exit code of the last command."""
        moments = sorted(self.rng.sample(range(int(0.95 * clips)), len(victims)))
        self.rng.shuffle(victims)
        for moment, victim in zip(moments, victims, strict=True):
            self._wait_for(moment)
            time.sleep(self.rng.uniform(0, 0.5))
            self._kill(victim)
        process = self._running()
        return process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            with self.log.open("a") as file:
                self.process = subprocess.Popen(self.asked, stdout=file, stderr=file, start_new_session=True)
        return self.process

    def _done(self) -> int:
        return summarise(self.out).done if (self.out / ".batch" / "journal.sqlite").is_file() else 0

    def _wait_for(self, moment: int) -> None:
        while self._done() < moment or not self._workers():
            self._running()
            time.sleep(0.05)

    def _workers(self) -> list[int]:
        """Processes that have a job now; with Ray, the driver."""
        if not (self.out / ".batch" / "journal.sqlite").is_file():
            return []
        owners = [int(row.owner.split(":")[1]) for row in rows_of(self.out) if row.state == "claimed"]
        return [owner for owner in owners if Path(f"/proc/{owner}").exists()]

    def _kill(self, victim: str) -> None:
        process = self._running()
        if victim == "driver":
            process.kill()  # it alone: its workers have to notice
            process.wait()
        elif victim == "driver and workers":
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        elif victim == "node":
            self.cluster.remove_node(self.rng.choice(self.cluster.worker_nodes_of_mine), allow_graceful=False)
            self.cluster.worker_nodes_of_mine = [self.cluster.add_node(num_cpus=1)]
        else:
            workers = self._workers()
            while not workers:
                self._running()
                time.sleep(0.02)
                workers = self._workers()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.rng.choice(workers), signal.SIGKILL)
        self.killed[victim] += 1


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes of one processor each, on this machine; None if Ray is not installed."""
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        yield None
        return
    os.environ |= {"RAY_worker_niceness": "0"}  # else workers wait for whatever else this machine does
    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.worker_nodes_of_mine = [cluster.add_node(num_cpus=1)]
    try:
        yield cluster
    finally:
        cluster.shutdown()


def break_clips(clips: Path, broken: Path, names: list[str], count: int) -> list[str]:
    """Copy the clips, and break some, in ten ways; their names."""
    shutil.copytree(clips, broken)
    chosen = names[1 :: max(len(names) // count, 1)][:count]
    for number, name in enumerate(chosen):
        source, mask = source_of(broken, name), broken / f"{name}.png"
        images = sorted(source.iterdir()) if source.is_dir() else []
        way = number % 10
        if way in (0, 5) and not images:
            source.write_bytes(b"")
        elif way in (1, 6) and not images:
            source.write_bytes(source.read_bytes()[:200])
        elif way in (2, 7):
            mask.write_bytes(b"no picture")
        elif way == 3:
            Image.new("L", (8, 8), 255).save(mask)
        elif way == 4:
            mask.unlink()
        elif way == 8:
            Image.new("L", (WIDTH, HEIGHT), 0).save(mask)
        elif images:
            images[0].write_bytes(b"no picture")
        else:
            source.write_bytes(os.urandom(5000))
    return chosen


def check_equal(root: Path, names: list[str], options: list[str], workers: list[str], cluster: Any) -> dict[str, Any]:
    clips = root / "clips"
    found: dict[str, Any] = {}
    begun = time.perf_counter()
    one_by_one(clips, root / "alone", names, options, separate=3)
    found["one by one, s"] = time.perf_counter() - begun
    ways = {"processes": workers} | ({"ray": ["--ray", cluster.address]} if cluster is not None else {})
    for name, more in ways.items():
        begun, out = time.perf_counter(), root / name
        code = run_whole(command(clips, out, options, more), root / "log.txt")
        wrong = differences(out, root / "alone", names)
        found[name] = {"s": time.perf_counter() - begun, "exit code": code, "equal": len(names), "wrong": wrong[:5]}
        found[name]["equal"] -= len({line.split(":")[0] for line in wrong})
    return found


def check_killed(
    root: Path, names: list[str], options: list[str], workers: list[str], cluster: Any, kills: int, rng: random.Random
) -> dict[str, Any]:
    shares = {"worker": 14, "driver": 5, "driver and workers": 3}
    plans = [("killed processes", workers, shares, None, 22 if cluster is not None else 30)]
    if cluster is not None:
        plans.append(("killed ray", ["--ray", cluster.address], {"node": 4, "driver": 4}, cluster, 8))
    found = {}
    for title, more, share, of, weight in plans:
        total = round(kills * weight / 30)
        victims = [victim for victim, number in share.items() for _ in range(number)]
        victims = (
            rng.sample(victims, total)
            if total <= len(victims)
            else victims + rng.choices(victims, k=total - len(victims))
        )
        out = root / title.replace(" ", "-")
        asked = command(root / "clips", out, options, [*more, "--state-every", "3"])
        killer = Killer(asked, out, root / "log.txt", rng, of)
        code = killer.run(victims, len(names))
        wrong = differences(out, root / "alone", names)
        begun = Counter(row.begun for row in rows_of(out))
        found[title] = {"killed": dict(killer.killed), "exit code": code, "videos begun so often": dict(begun)}
        found[title] |= {"equal": len(names) - len({line.split(":")[0] for line in wrong}), "wrong": wrong[:5]}
    return found


def check_broken(root: Path, names: list[str], options: list[str], workers: list[str]) -> dict[str, Any]:
    broken = break_clips(root / "clips", root / "broken", names, max(len(names) // 20, 1))
    asked = command(root / "broken", root / "with-broken", options, workers)
    code = run_whole(asked, root / "log.txt")
    strict = run_whole([*asked, "--strict"], root / "log.txt")
    summary = summarise(root / "with-broken")
    wrong = differences(root / "with-broken", root / "alone", [name for name in names if name not in broken])
    wrong += [f"{name}: is no row" for name in broken if name not in summary.failures]
    wrong += [f"{name}: two lines" for name, reason in summary.failures.items() if "\n" in reason or not reason]
    facts = {"done": summary.done, "failed": summary.failed, "exit code": code, "with --strict": strict}
    return {"broken": facts | {"reasons": summary.failures, "wrong": wrong}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="stcn-small")
    parser.add_argument("--no-ray", action="store_true")
    chosen = parser.parse_args()
    rng, options = random.Random(chosen.seed), ["--method", chosen.method]
    workers = ["--workers", "2", "--threads", "1"]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        names = write_clips(root / "clips", chosen.clips, chosen.seed)
        cluster = None if chosen.no_ray else stack.enter_context(two_nodes())
        parts: tuple[Callable[[], dict[str, Any]], ...] = (
            lambda: check_equal(root, names, options, workers, cluster),
            lambda: check_killed(root, names, options, workers, cluster, chosen.kills, rng),
            lambda: check_broken(root, names, options, workers),
        )
        for part in parts:
            one = part()
            print(json.dumps(one, indent=1), flush=True)
            found |= one
    facts = [one for one in found.values() if isinstance(one, dict)]
    broken = found["broken"]
    good = not any(one["wrong"] for one in facts) and (broken["exit code"], broken["with --strict"]) == (0, 2)
    good &= all(one.get("exit code", 0) == 0 for one in facts)
    print("all as it should be" if good else "NOT as it should be", "" if cluster is not None else "(without Ray)")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
