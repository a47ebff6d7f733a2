"""The runner for one machine: worker processes that take jobs from the journal."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.journal import LEASE, Journal, me
from rotoscope.batches.places import Places
from rotoscope.batches.schema import Row
from rotoscope.errors import InputError, RotoscopeError, of_path, shown

TICK = 0.2
"""Seconds between looks at the journal."""
RENEWED_EVERY = 2.0
WORKER_MEMORY = 600 * 2**20
"""Bytes that a worker of the small methods needs at 480p, as measured; the room that is asked for each."""
LOCKED = "is writing to it"


@dataclass(frozen=True)
class Settings:
    """What a worker is told.

    Attributes:
        folder: of the batch.
        device: see :func:`rotoscope.load`.
        precision: see :func:`rotoscope.load`.
        threads: of PyTorch in each worker.
        retries: how often a job is tried again after a failure that may pass, such as a full disk.
        lease: seconds for which a claim holds.
        state_every: frames between saved states.
    """

    folder: Path
    device: str = "auto"
    precision: str = "fast"
    threads: int = 1
    retries: int = 2
    lease: float = LEASE
    state_every: int = 50


class LostClaimError(RotoscopeError):
    """Another worker has the job meanwhile, as this one stood still for too long."""


def memory_of_this_machine() -> int | None:
    """Bytes of memory that processes here may use in all; None where it cannot be told."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total


def choose_workers(asked: int | None, threads: int | None, cores: int | None = None) -> tuple[int, int]:
    """How many workers, and how many threads each.

    Args:
        asked: workers; None for as many as there are processors and room for.
        threads: of each; None divides the processors among them.
        cores: processors; None for those of this machine.

    Raises:
        InputError: none, or more than fit into memory.
    """
    cores = cores or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    memory = memory_of_this_machine()
    room = max(int(0.8 * memory // WORKER_MEMORY), 1) if memory is not None else cores
    workers = asked if asked is not None else max(min(cores // (threads or 1), room), 1)
    if workers < 1 or (threads is not None and threads < 1):
        raise InputError("give at least one worker, and one thread.")
    if memory is not None and workers > room:
        raise InputError(
            f"{workers} workers need about {workers * WORKER_MEMORY / 2**30:.0f} GiB of memory, and this machine has "
            f"{memory / 2**30:.0f}. Give at most {room}."
        )
    return workers, threads or max(cores // workers, 1)


def run_processes(settings: Settings, workers: int, on_look: Callable[[Journal], None]) -> None:
    """Let worker processes do all open jobs of a journal; one that dies is replaced while there is work.

    Args:
        settings: of the workers.
        workers: how many.
        on_look: called several times a second with the journal, as long as there is work.
    """
    # A server that has imported what workers need starts each in a moment, and a new one where one died.
    served = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if served else "spawn")
    if served:
        context.set_forkserver_preload(["rotoscope.batches.work"])
    journal = Journal(Places(settings.folder).journal)
    journal.put_back_of_the_dead(died=False)  # they went with an earlier call, as when the power did
    alive: list[tuple[Any, Connection]] = []

    def start() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(settings, theirs), daemon=False)
        process.start()
        theirs.close()
        alive.append((process, ours))

    on_look(journal)
    try:
        while ((counts := journal.counts())["open"] + counts["claimed"]) or alive:
            for process, pipe in list(alive):
                if not process.is_alive():
                    alive.remove((process, pipe))
                    pipe.close()
                    if process.exitcode:
                        journal.put_back_of_the_dead()
            while len(alive) < min(workers, counts["ready"]):
                start()
            on_look(journal)
            time.sleep(TICK)
        on_look(journal)
    finally:
        for _, pipe in alive:  # a worker ends when its pipe does
            pipe.close()
        for process, _ in alive:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()
        journal.put_back_of_the_dead(died=False)
        journal.close()


def work(settings: Settings, pipe: Connection) -> None:
    """A worker process: takes jobs until none is left, or until the process that started it is gone."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the starter's, which closes the pipe
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    import torch

    from rotoscope.batches.work import Carrier

    torch.set_num_threads(settings.threads)
    carrier = Carrier(settings.folder, settings.device, settings.precision, settings.state_every)
    journal, owner = Journal(Places(settings.folder).journal), me(secrets.token_hex(4))
    while True:
        row = journal.claim(owner, settings.lease)
        if row is not None:
            do_row(row, owner, journal, carrier, settings)
            continue
        counts = journal.counts()
        if not counts["open"] + counts["claimed"]:
            return
        time.sleep(TICK)  # another worker's job may come back


def do_row(row: Row, owner: str, journal: Journal, carrier: Any, settings: Settings) -> None:
    """Do a claimed job and enter how it ended."""
    with Heartbeat(journal.path, row.number, owner, settings.lease) as beat:
        try:
            report = carrier.do(BatchJob.from_text(row.job), row.identity, beat.step)
        except LostClaimError:
            return
        except Exception as error:  # whatever it is, it is this job's line, and the next one is tried
            reason, retry = reason_of(error)
            if LOCKED in reason:
                journal.put_back(row.number, owner, wait=5.0)
            else:
                journal.failed(row.number, owner, reason, retry and row.tries < settings.retries, wait=2.0**row.tries)
            return
    journal.done(row.number, owner, report)


def reason_of(error: Exception) -> tuple[str, bool]:
    """A failure in one line, and whether it may pass: what is wrong with the input does not."""
    error = of_path(error) or error
    if isinstance(error, RotoscopeError):
        return shown(error, 400), not isinstance(error, InputError)
    return f"{type(error).__name__}: {shown(error, 300)}. This is a fault of ours.", True


class Heartbeat:
    """Renews a claim from a thread of its own, for as long as the ``with`` block runs."""

    def __init__(self, journal: Path, number: int, owner: str, lease: float) -> None:
        self.frames = 0
        self.lost = False
        self._facts = journal, number, owner, lease
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def step(self, _: Any) -> None:
        """One frame more.

        Raises:
            LostClaimError: the claim is another's by now.
        """
        if self.lost:
            raise LostClaimError("another worker has taken the job.")
        self.frames += 1

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        path, number, owner, lease = self._facts
        journal = Journal(path)
        try:
            while not self._stop.wait(min(RENEWED_EVERY, lease / 4)):
                with suppress(RotoscopeError):  # the disk may be full for a while: the lease outlasts some tries
                    if not journal.renew(number, owner, self.frames, lease):
                        self.lost = True
                        return
        finally:
            journal.close()


def _end_with(pipe: Connection) -> None:
    """End this process when the other end of a pipe is closed, as when the process there was killed."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(3)
