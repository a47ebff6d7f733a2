"""``rotoscope.batch``: many videos into one folder, each once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rotoscope.batches.clusters import Resources, run_ray
from rotoscope.batches.jobs import SUMMARY, BatchJob
from rotoscope.batches.joining import piece_identity
from rotoscope.batches.journal import Journal
from rotoscope.batches.listing import checked_names
from rotoscope.batches.page import write_page
from rotoscope.batches.places import Places
from rotoscope.batches.probing import check_requests
from rotoscope.batches.processes import Settings, choose_workers, run_processes
from rotoscope.batches.schema import Entry, Row
from rotoscope.batches.split import check_formats, piece_jobs, title
from rotoscope.batches.work import Carrier, cut, files_of, weights_hash
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.files import atomic_write, inside, make_folder
from rotoscope.weights.load import find_device

Runner = Literal["processes", "ray"]


@dataclass(frozen=True)
class Summary:
    """How a batch stands.

    Attributes:
        done, failed, open: numbers of jobs; open ones are not begun, or being done.
        frames: answered in all.
        seconds: that the call took.
        failures: the reason by job, one line each.
        folder: of the batch.
    """

    done: int
    failed: int
    open: int
    frames: int
    seconds: float
    folder: Path
    failures: dict[str, str] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """As plain values: what ``batch.json`` holds."""
        counts = {"done": self.done, "failed": self.failed, "open": self.open, "frames": self.frames}
        return counts | {"seconds": self.seconds, "folder": str(self.folder), "failures": self.failures}


@dataclass(frozen=True)
class Checked:
    """What a check found of one job.

    Attributes:
        job: the job.
        size: width and height of its frames; None if it cannot be done.
        frames: their number; None if it cannot be known beforehand.
        problem: why it cannot be done, one line; empty if it can.
    """

    job: BatchJob
    size: tuple[int, int] | None = None
    frames: int | None = None
    problem: str = ""


def check_jobs(jobs: Sequence[BatchJob], folder: Path, device: str = "auto") -> Iterable[Checked]:
    """Look at each job as the batch would, and touch nothing: its video opens, its masks fit, its options are known.

    Yields: what was found, job by job.

    Raises:
        InputError: something else lies where the batch's own files would go.
    """
    carrier = Carrier(Path(folder), device)
    Places(Path(folder)).check_own()
    for job in jobs:
        try:
            size, frames = carrier.check(job)
        except RotoscopeError as error:
            yield Checked(job, problem=" ".join(str(error).split()))
        else:
            yield Checked(job, size, frames)


def batch(
    jobs: Sequence[BatchJob],
    folder: str | Path,
    *,
    runner: Runner = "processes",
    workers: int | None = None,
    threads: int | None = None,
    ray_address: str = "local",
    cpus: float = 1,
    gpus: float = 0,
    device: str = "auto",
    precision: str = "fast",
    retries: int = 2,
    lease: float = 60.0,
    state_every: int = 50,
    overwrite: bool = False,
    split: bool = False,
    on_look: Callable[[Journal], None] | None = None,
) -> Summary:
    """Segment many videos, each once; called again, go on where it stopped.

    A job that fails is a line of the summary and stops nothing. Results of a job are in ``folder/NAME`` and appear
    there whole. Several calls may work on one folder at once, on one machine.

    Args:
        jobs: see :func:`~rotoscope.batches.listing.read_jobs`.
        folder: where results go.
        runner: ``processes`` on this machine, or ``ray``.
        workers: processes or actors; None for as many as there is room for.
        threads: of each worker process; None divides the processors among them.
        ray_address: see :func:`~rotoscope.batches.clusters.connect`.
        cpus: processors that an actor asks for.
        gpus: GPUs that an actor asks for; may be a fraction.
        device: see :func:`rotoscope.load`.
        precision: see :func:`rotoscope.load`.
        retries: how often a job is tried again after what may pass, such as a full disk.
        lease: seconds after which a worker that gives no sign of life has lost its job.
        state_every: frames between saved states.
        overwrite: do jobs again whose inputs, options or weights have changed.
        split: cut videos at prompted frames into jobs of their own; see :mod:`rotoscope.batches.split`.
        on_look: called several times a second with the journal.

    Raises:
        InputError: two jobs of one name, an unknown method, option, format, direction or device, weights that are not
            here, a folder of something else or of the same jobs with other inputs, more workers than there is room for,
            or no cluster.
    """
    begun = time.perf_counter()
    if runner not in ("processes", "ray"):
        raise InputError(f"runner {runner!r} is not known; use processes or ray.")
    if retries < 0 or lease <= 0 or state_every < 1:
        raise InputError("retries must be 0 or more, the lease above 0 seconds, states at least a frame apart.")
    if cpus < 0 or gpus < 0 or (workers is not None and workers < 1):
        raise InputError("give at least one worker, and no negative number of processors or GPUs.")
    jobs = checked_names(jobs)
    check_requests(jobs)
    if split:
        jobs = cut_all(jobs)
    places, count = Places(Path(folder)), 1
    entries = _entries(jobs, places)
    if runner == "processes":
        count, threads = choose_workers(workers, threads)
        find_device(device)
    _look_for_others(jobs, places)
    make_folder(places.folder)
    make_folder(places.own)
    settings = Settings(places.folder, device, precision, threads or 1, retries, lease, state_every)
    journal = Journal(places.journal)
    try:
        journal.register(entries, overwrite)
    finally:
        journal.close()
    look = on_look or (lambda _: None)
    if runner == "processes":
        run_processes(settings, count, look)
    else:
        run_ray(settings, ray_address, Resources(cpus, gpus, workers), look)
    summary = summarise(places.folder, time.perf_counter() - begun)
    write_summary(summary)
    _sweep(places)
    return summary


def cut_all(jobs: Sequence[BatchJob]) -> list[BatchJob]:
    """Decide at which frames videos are cut.

    Raises:
        InputError: pieces of a format cannot be joined, or no video at all may be cut.
    """
    made = [cut(job) for job in jobs]
    check_formats([job for job in made if job.cuts])
    if not any(job.cuts for job in made):
        raise InputError(
            "--split: no video can be cut: none has masks on a later frame that show every object again (see "
            "docs/batch.md). Give such masks, or leave --split out."
        )
    return made


def summarise(folder: str | Path, seconds: float = 0.0) -> Summary:
    """How the batch in a folder stands, also while it runs.

    Raises:
        InputError: there is no batch in it.
    """
    places = Places(Path(folder))
    if not places.journal.is_file():
        raise InputError(f"{folder}: holds no batch.")
    journal = Journal(places.journal)
    try:
        counts = journal.counts()
        failures = {row.name: row.reason for row in journal.rows("failed") if row.kind != "piece"}
        waiting = counts["open"] + counts["claimed"]
        return Summary(counts["done"], counts["failed"], waiting, counts["frames"], seconds, places.folder, failures)
    finally:
        journal.close()


def write_summary(summary: Summary) -> None:
    """Write ``batch.json`` and the page ``index.html`` into the batch's folder."""
    with atomic_write(inside(summary.folder, SUMMARY)) as path:
        path.write_text(json.dumps(summary.as_record(), indent=1), encoding="utf-8")
    journal = Journal(Places(summary.folder).journal)
    try:
        write_page(summary.folder, journal)
    finally:
        journal.close()


def _entries(jobs: Sequence[BatchJob], places: Places) -> list[Entry]:
    """What the journal is to hold; what concerns all jobs is checked here.

    An input that cannot be read has an identity too, so that its job fails by itself and not the batch.
    """
    hashes: dict[str, str] = {}
    datasets: dict[str, VideoDataset] = {}
    entries = []
    for job in jobs:
        places.results(job)
        weights = weights_hash(job.method, hashes)
        try:
            identity = job.identity(weights, files_of(job, datasets) if job.dataset else ())
        except InputError:
            identity = f"unreadable {weights}"
        entries.append(Entry(job.name, identity, job.as_text(), "whole" if job.cuts else "job"))
        for number, piece in enumerate(piece_jobs(job)):
            own = piece_identity(identity, number)
            entries.append(Entry(title(piece), own, piece.as_text(), "piece", job.name))
    names = Counter(entry.name for entry in entries)
    for name, count in names.items():
        if count > 1:
            raise InputError(f"two jobs are called {name}, one of them a piece. Name the other one otherwise.")
    return entries


def _look_for_others(jobs: Sequence[BatchJob], places: Places) -> None:
    """See that nothing foreign lies where results go.

    Raises:
        InputError: something does.
    """
    places.check_own()
    known = {row.name for row in rows_of(places.folder) if row.state == "done"} if places.journal.is_file() else set()
    for job in jobs:
        if job.name not in known:
            places.committed(job)


def _sweep(places: Places) -> None:
    """Remove what nobody goes on with; not while another call is at work in the folder."""
    journal = Journal(places.journal)
    try:
        counts = journal.counts()
        if not counts["open"] + counts["claimed"] + counts["ready"]:
            failed = list(journal.rows("failed"))
            wanted = [row.identity for row in failed]
            if wholes := {row.identity for row in failed if row.kind == "whole"}:
                wanted += [row.identity for row in journal.rows("done") if _whole(row) in wholes]
            places.sweep(wanted)
    finally:
        journal.close()


def _whole(piece: Row) -> str:
    """Identity of the whole that a piece is of."""
    return piece.identity.rpartition(" ")[0]


def rows_of(folder: str | Path) -> list[Row]:
    """All jobs of the batch in a folder.

    Raises:
        InputError: there is no batch in it.
    """
    places = Places(Path(folder))
    if not places.journal.is_file():
        raise InputError(f"{folder}: holds no batch.")
    journal = Journal(places.journal)
    try:
        return list(journal.rows())
    finally:
        journal.close()
