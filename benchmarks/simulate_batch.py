"""A large batch on a simulated clock, with the real journal: is every job done once, how large and how slow is it?

A driver gives jobs to actors on many machines, as with Ray, and enters what they answer. Meanwhile actors die, whole
machines die with all their actors, jobs fail for a time, some for good, and the driver itself dies: half of the times
the next one is on its machine and sees at once that it is gone, else claims are free when their leases have run out.

    python benchmarks/simulate_batch.py --jobs 1000000 --machines 200

Ends with an error if a job is done twice, or neither done nor failed. Times are of this process on its processor.
"""

from __future__ import annotations

import argparse
import heapq
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.journal import Journal
from rotoscope.batches.schema import Entry

LEASE = 60.0
BACK = 300.0
"""Simulated seconds until a machine, an actor or a driver that died is back."""
RENEWED_EVERY = 15.0


class Clock:
    """Simulated seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Cluster:
    """Actors, a driver, and what befalls them.

    Attributes:
        busy: number of the job that each actor does; by actor.
        events: moments to come: when, which actor, and of which of its lives, so that what was to come of an earlier
            one does not happen.
    """

    def __init__(self, folder: Path, chosen: argparse.Namespace) -> None:
        self.clock, self.rng, self.chosen = Clock(), np.random.default_rng(chosen.seed), chosen
        self.path = folder / "journal.sqlite"
        self.journal = Journal(self.path, self.clock)
        self.actors = chosen.machines * chosen.actors
        self.busy: dict[int, int] = {}
        self.lives = [0] * self.actors
        self.events: list[tuple[float, int, int]] = [(0.0, actor, 0) for actor in range(self.actors)]
        self.done: Counter[int] = Counter()
        self.seen: Counter[str] = Counter()
        self.driver, self.renewed, self.renewing = "driver0", 0.0, 0.0
        # A job takes 27.5 s on the average: so long will it be, and so often shall a driver die on the way.
        length = 27.5 * chosen.jobs / self.actors
        self.deaths_of_driver = sorted(self.rng.uniform(0, length, chosen.driver_deaths).tolist(), reverse=True)

    def run(self) -> None:
        """Until every job has ended."""
        while True:
            counts = self.journal.counts()
            if not counts["open"] + counts["claimed"]:
                return
            for _ in range(1000):
                if not self.events:
                    break
                self._step()

    def _step(self) -> None:
        when, actor, life = heapq.heappop(self.events)
        self.clock.now = max(self.clock.now, when)
        if self.deaths_of_driver and self.clock.now >= self.deaths_of_driver[-1]:
            self.deaths_of_driver.pop()
            self._kill_driver()
        if life != self.lives[actor]:
            return
        self._renew()
        number = self.busy.pop(actor, None)
        if number is not None and self._ends(actor, number):
            return
        row = self.journal.claim(self.driver, LEASE)
        if row is None:
            heapq.heappush(self.events, (self.clock.now + 30, actor, life))
            return
        self.busy[actor] = row.number
        heapq.heappush(self.events, (self.clock.now + float(self.rng.uniform(5, 50)), actor, life))

    def _ends(self, actor: int, number: int) -> bool:
        """What becomes of a job; whether its actor is gone."""
        chance, chosen = self.rng.random(), self.chosen
        if chance < chosen.machine_dies:
            first = actor - actor % chosen.actors
            self.busy[actor] = number
            for other in range(first, first + chosen.actors):
                self._kill(other)
            self.seen["machines died"] += 1
            return True
        if (chance := chance - chosen.machine_dies) < chosen.die:
            self.busy[actor] = number
            self._kill(actor)
            self.seen["actors died"] += 1
            return True
        if (chance := chance - chosen.die) < chosen.fail:
            self.seen["failures"] += self.journal.failed(number, self.driver, "disk full", retry=True, wait=2)
        elif number % 1000 == 999:
            self.seen["broken videos"] += self.journal.failed(number, self.driver, "no video", retry=False)
        elif self.journal.done(number, self.driver, {"frames": 100, "wall": 5.0, "objects": [1]}):
            self.done[number] += 1
        return False

    def _kill(self, actor: int) -> None:
        number = self.busy.pop(actor, None)
        if number is not None:
            self.journal.put_back(number, self.driver, died=True)
        self.lives[actor] += 1
        heapq.heappush(self.events, (self.clock.now + BACK, actor, self.lives[actor]))

    def _kill_driver(self) -> None:
        """All actors go with it; the next one opens what it had at once, or waits for the leases."""
        self.journal.close()
        self.journal = Journal(self.path, self.clock)
        self.seen["drivers died"] += 1
        if self.seen["drivers died"] % 2:
            for row in list(self.journal.rows("claimed")):
                self.journal.put_back(row.number, row.owner)
        self.busy.clear()
        self.driver = f"driver{self.seen['drivers died']}"
        for actor in range(self.actors):
            self.lives[actor] += 1
            heapq.heappush(self.events, (self.clock.now + BACK, actor, self.lives[actor]))

    def _renew(self) -> None:
        if self.clock.now - self.renewed < RENEWED_EVERY:
            return
        begun = time.process_time()
        self.journal.renew_all(self.driver, LEASE)
        self.renewing += time.process_time() - begun
        self.seen["renewals of all claims"] += 1
        self.renewed = self.clock.now


def entries(jobs: int) -> Iterator[Entry]:
    for number in range(jobs):
        name = f"{number // 1000:04d}/{number:07d}"
        job = BatchJob(name, f"/videos/{name}.mp4", {0: f"/masks/{name}.png"})
        yield Entry(name, "0" * 64, job.as_text())


def simulate(chosen: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run it; counts, sizes and times.

    Raises:
        SystemExit: a job was done twice, or never.
    """
    cluster = Cluster(folder, chosen)
    begun = time.process_time()
    cluster.journal.register(entries(chosen.jobs))
    registered = time.process_time() - begun
    begun = time.process_time()
    cluster.run()
    seconds = time.process_time() - begun
    counts = cluster.journal.counts()
    if set(cluster.done.values()) != {1} or len(cluster.done) != counts["done"]:
        raise SystemExit("a job was done twice, or is not in the journal")
    if counts["done"] + counts["failed"] != chosen.jobs or counts["failed"] != cluster.seen["broken videos"]:
        raise SystemExit(f"jobs were lost: {counts}, {dict(cluster.seen)}")
    size = sum(path.stat().st_size for path in folder.glob("journal.sqlite*"))
    return {
        "done": counts["done"],
        "failed": counts["failed"],
        **cluster.seen,
        "seconds to register": registered,
        "milliseconds a job": 1000 * seconds / chosen.jobs,
        "milliseconds a renewal": 1000 * cluster.renewing / max(cluster.seen["renewals of all claims"], 1),
        "bytes a job": size / chosen.jobs,
        "simulated hours": cluster.clock.now / 3600,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--machines", type=int, default=200)
    parser.add_argument("--actors", type=int, default=4, help="of each machine")
    parser.add_argument("--die", type=float, default=0.01, help="share of attempts on which the actor dies")
    parser.add_argument("--machine-dies", type=float, default=0.001, help="share of attempts on which the machine does")
    parser.add_argument("--driver-deaths", type=int, default=10)
    parser.add_argument("--fail", type=float, default=0.02, help="share of attempts that fail for a time")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = simulate(chosen, Path(folder))
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
