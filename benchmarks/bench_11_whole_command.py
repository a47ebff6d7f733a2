"""The whole command, frames in to PNG out: its rate idle and beside busy processes, and what lies outside the graphs.

Runs ``rotoscope segment`` on a clip of drawn frames, in a process of its own each time: alone, and with busy processes
beside it. The share outside the network's graphs is the time in which the thread that answers frames is in none of
them: it waits for frames, aggregates, restores, labels, stores, hands over.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from common import SIZE, options, report
from rotoscope.experiments.speed import moving_frames, squares

GRAPHS = ("encode key", "encode value", "read memory", "decode")
"""Parts of a session that are the network's graphs, in the thread that answers."""
AHEAD = "encode key (in a thread)"


def make_clip(folder: Path, frames: int, objects: int) -> tuple[Path, Path]:
    """Write frames as JPEG and the first mask as PNG; return where they are."""
    clip, mask = folder / "clip", folder / "mask.png"
    clip.mkdir()
    for number, image in enumerate(moving_frames(frames, SIZE)):
        Image.fromarray(image).save(clip / f"{number:05d}.jpg", quality=92)
    labels = np.zeros(SIZE[::-1], np.uint8)
    for object_id, own in squares(objects, SIZE).items():
        labels[own] = object_id
    Image.fromarray(labels).save(mask)
    return clip, mask


def run(command: list[str]) -> dict[str, Any]:
    """What a run reports of itself: frames, seconds in all and by part, the peak of memory."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def spin(until: Any) -> None:
    """Keep a core busy."""
    while not until.is_set():
        sum(number * number for number in range(10_000))


def row_of(title: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    """The run of the middle rate, and where its seconds went."""
    rates = [record["frames"] / record["wall"] for record in records]
    middle = min(zip(rates, records, strict=True), key=lambda pair: abs(pair[0] - median(rates)))
    rate, record = middle
    parts = record["seconds"]
    own = sum(parts.get(part, 0.0) for part in GRAPHS)
    waits = parts.get("wait for frames and rest", 0.0)
    hidden = min(parts.get(AHEAD, 0.0), waits)  # the wait is for a graph that runs in the other thread
    return {
        "": title,
        "frames/s": rate,
        "slowest": min(rates),
        "fastest": max(rates),
        "graphs (s)": own,
        "waits (s)": waits,
        "outside the graphs (%)": 100 * (1 - (own + hidden) / record["wall"]),
        "peak (MiB)": record["peak_memory"] / 2**20,
    }


def main() -> None:
    chosen = options(__doc__, frames=100, objects=1, rounds=3, busy=4, method="stcn-small", precision="fast")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, mask = make_clip(folder, chosen.frames, chosen.objects)
        command = [sys.executable, "-m", "rotoscope", "segment", str(clip), "--mask", str(mask), "--json"]
        command += ["--method", chosen.method, "--precision", chosen.precision, "--threads", str(chosen.threads)]
        number, rows, records = 0, [], {}
        for busy in (0, chosen.busy):
            stop = multiprocessing.Event()
            others = [multiprocessing.Process(target=spin, args=(stop,), daemon=True) for _ in range(busy)]
            for other in others:
                other.start()
            try:
                found = []
                for _ in range(chosen.rounds):
                    number += 1
                    found.append(run([*command, "-o", str(folder / f"out{number}")]))
            finally:
                stop.set()
                for other in others:
                    other.join()
            title = f"beside {busy} busy processes" if busy else "alone"
            records[title] = found
            rows.append(row_of(title, found))
    share = rows[1]["frames/s"] / rows[0]["frames/s"]
    title = f"{chosen.method}, 854x480, {chosen.objects} object(s), {chosen.frames} JPEG files in, PNG out: beside "
    report("whole_command", f"{title}{chosen.busy} busy processes {share:.2f} of the rate", rows, chosen, runs=records)


if __name__ == "__main__":
    main()
