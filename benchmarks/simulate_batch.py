"""A large batch on a simulated clock, with the real journal: is every job done once, how large and how slow is it?

Workers take a job, work on it for a while of the simulated clock, and end it; some die, and some jobs fail for a time.

    python benchmarks/simulate_batch.py --jobs 1000000 --workers 800
"""

from __future__ import annotations

import argparse
import heapq
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.journal import Journal
from rotoscope.batches.schema import Entry


class Clock:
    """Simulated seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def simulate(jobs: int, workers: int, die: float, fail: float, seed: int, folder: Path) -> dict[str, float]:
    """Run it; counts, sizes and times.

    Raises:
        AssertionError: a job was done twice, or never.
    """
    rng, clock = np.random.default_rng(seed), Clock()
    journal = Journal(folder / "journal.sqlite", clock)
    begun = time.perf_counter()
    journal.register(
        Entry(name, "0" * 64, BatchJob(name, f"/videos/{name}.mp4", {0: f"/masks/{name}.png"}).as_text())
        for name in (f"{n // 1000:04d}/{n:07d}" for n in range(jobs))
    )
    registered = time.perf_counter() - begun
    lease, done, deaths, failures = 60.0, Counter[int](), 0, 0
    events: list[tuple[float, int, int]] = [(0.0, worker, -1) for worker in range(workers)]
    begun = time.perf_counter()
    while events:
        clock.now, worker, number = heapq.heappop(events)
        owner = f"w{worker}"
        if number >= 0:
            chance = rng.random()
            if chance < die:  # gone without a word; its claim runs out, and the machine is back later
                deaths += 1
                heapq.heappush(events, (clock.now + 300, worker, -1))
                continue
            if chance < die + fail:
                failures += journal.failed(number, owner, "disk full", retry=True, wait=2)
            elif journal.done(number, owner, {"frames": 100, "wall": 5.0, "objects": [1]}):
                done[number] += 1
        row = journal.claim(owner, lease)
        if row is not None:
            heapq.heappush(events, (clock.now + float(rng.uniform(5, 50)), worker, row.number))
        elif (left := journal.counts())["open"] + left["claimed"]:
            heapq.heappush(events, (clock.now + 30, worker, -1))
    seconds = time.perf_counter() - begun
    counts = journal.counts()
    assert set(done.values()) <= {1}, "a job was done twice"
    assert len(done) == counts["done"]
    assert counts["done"] + counts["failed"] == jobs, "a job was lost"
    size = sum(path.stat().st_size for path in folder.glob("journal.sqlite*"))
    return {
        **counts,
        "deaths": deaths,
        "failures": failures,
        "seconds to register": registered,
        "milliseconds a job": 1000 * seconds / jobs,
        "bytes a job": size / jobs,
        "simulated hours": clock.now / 3600,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=800)
    parser.add_argument("--die", type=float, default=0.01, help="share of attempts whose worker dies")
    parser.add_argument("--fail", type=float, default=0.02, help="share of attempts that fail for a time")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = simulate(chosen.jobs, chosen.workers, chosen.die, chosen.fail, chosen.seed, Path(folder))
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
