"""The runner for a Ray cluster: actors that are given one job after another; the driver owns the journal.

Ray Core alone is used. Frames never pass through its object store: an actor is sent a job's text and sends back a small
report. All nodes see the batch's folder and the videos under the same paths.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.journal import Journal, me
from rotoscope.batches.places import Places
from rotoscope.batches.processes import LOCKED, RENEWED_EVERY, Settings, reason_of
from rotoscope.batches.schema import Row
from rotoscope.errors import InputError, shown

LOOK = 1.0
"""Seconds that an answer is waited for at most between two looks."""
GROW_EVERY = 10.0
"""Seconds between looks at whether the cluster has grown."""


@dataclass(frozen=True)
class Resources:
    """What an actor asks of the cluster.

    Attributes:
        cpus: processors of each actor, also its threads if more than one.
        gpus: of each actor; a fraction lets several share one.
        actors: how many at most; None for as many as the cluster has room for, now and later.
    """

    cpus: float = 1
    gpus: float = 0
    actors: int | None = None


class Actor:
    """What runs on a node: holds a model over jobs."""

    def __init__(self, settings: Settings, threads: int) -> None:
        import torch

        from rotoscope.batches.work import Carrier

        torch.set_num_threads(threads)
        self.carrier = Carrier(settings.folder, settings.device, settings.precision, settings.state_every)

    def ready(self) -> bool:
        """Answered once the actor has been given a place and has started."""
        return True

    def do(self, text: str, identity: str) -> dict[str, Any]:
        """Do a job; ``report`` of it, or ``reason`` why not and whether it may pass (``retry``)."""
        try:
            return {"report": self.carrier.do(BatchJob.from_text(text), identity)}
        except Exception as error:  # it is this job's line; the actor lives on
            reason, retry = reason_of(error)
            return {"reason": reason, "retry": retry}


def connect(address: str) -> Any:
    """Ray, connected to a cluster.

    Args:
        address: of a running cluster; ``auto`` for the one of this machine; ``local`` starts one for this call.

    Raises:
        InputError: Ray is not installed, or there is no cluster at that address.
    """
    try:
        import ray
    except ImportError:
        raise InputError('--ray needs Ray, which is not installed. Install it: pip install -e ".[batch]".') from None
    if ray.is_initialized():
        return ray
    _check_address(address)
    try:
        if address == "local":
            ray.init(address="local", include_dashboard=False, log_to_driver=False, configure_logging=False)
        else:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"no Ray cluster at {address} ({reason}). Start one with 'ray start --head'.") from None
    return ray


def _check_address(address: str) -> None:
    """See that somebody answers at ``HOST:PORT``: Ray itself would try for many minutes.

    Raises:
        InputError: nobody does.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "://" in address:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster at {address} ({shown(error, 120)}). Start one with 'ray start --head'."
        ) from None


def run_ray(settings: Settings, address: str, wanted: Resources, on_look: Callable[[Journal], None]) -> None:
    """Let actors of a Ray cluster do all open jobs of a journal.

    Args:
        settings: of the workers.
        address: see :func:`connect`.
        wanted: what each actor asks for.
        on_look: called every second with the journal.

    Raises:
        InputError: no cluster, or one that has no room for a single actor.
    """
    ray = connect(address)
    journal = Journal(Places(settings.folder).journal)
    journal.put_back_of_the_dead(died=False)  # the driver of an earlier call died, not its workers
    crew = _Crew(ray, settings, wanted)
    owner, renewed = me(secrets.token_hex(4)), time.monotonic()
    on_look(journal)
    try:
        while (counts := journal.counts())["open"] + counts["claimed"]:
            crew.grow(counts["ready"])
            for actor in list(crew.idle):
                row = journal.claim(owner, settings.lease)
                if row is None:
                    break
                crew.give(actor, row)
            crew.collect(journal, owner)
            if time.monotonic() - renewed > min(RENEWED_EVERY, settings.lease / 4):
                journal.renew_all(owner, settings.lease)
                renewed = time.monotonic()
            on_look(journal)
        on_look(journal)
    finally:
        for row in crew.busy():
            journal.put_back(row.number, owner)
        crew.dismiss()
        journal.close()
        if address == "local":
            ray.shutdown()


class _Crew:
    """The actors: those that wait for a place, idle ones, and those with a job."""

    def __init__(self, ray: Any, settings: Settings, wanted: Resources) -> None:
        self.ray = ray
        self.wanted = wanted
        self.idle: list[Any] = []
        self._settings = settings
        self._given: dict[Any, tuple[Any, Row]] = {}
        self._starting: dict[Any, Any] = {}
        self._looked = float("-inf")
        # An actor that dies is replaced here and not by Ray, which would do its job a second time unseen.
        self._class = ray.remote(num_cpus=wanted.cpus, num_gpus=wanted.gpus, max_restarts=0, max_task_retries=0)(Actor)

    def grow(self, left: int) -> None:
        """Add actors as long as the cluster has room and there is work for them.

        Raises:
            InputError: not even one has room.
        """
        now, count = time.monotonic(), len(self.idle) + len(self._given) + len(self._starting)
        if count and now - self._looked < GROW_EVERY:
            return
        self._looked = now
        total = self.ray.cluster_resources()
        room = int(total.get("CPU", 0) // self.wanted.cpus) if self.wanted.cpus else left
        if self.wanted.gpus:
            room = min(room, int(total.get("GPU", 0) / self.wanted.gpus))
        if not room:
            raise InputError(
                f"the cluster has {total.get('CPU', 0):g} processors and {total.get('GPU', 0):g} GPUs, and one worker "
                f"asks for {self.wanted.cpus:g} and {self.wanted.gpus:g}. Ask for less."
            )
        most = min(room, left, self.wanted.actors if self.wanted.actors is not None else room)
        threads = max(int(self.wanted.cpus), 1)
        for _ in range(most - count):
            actor = self._class.remote(self._settings, threads)
            self._starting[actor.ready.remote()] = actor  # it may wait for long, and no job shall wait with it

    def give(self, actor: Any, row: Row) -> None:
        """Send a job to an idle actor."""
        self.idle.remove(actor)
        self._given[actor.do.remote(row.job, row.identity)] = actor, row

    def busy(self) -> list[Row]:
        """The jobs that are being done."""
        return [row for _, row in self._given.values()]

    def collect(self, journal: Journal, owner: str) -> None:
        """Wait up to a second for an answer, and enter the answers that are there."""
        waited = [*self._given, *self._starting]
        if not waited:  # all actors idle, and the jobs that are left may not be tried yet
            time.sleep(LOOK / 4)
            return
        ready, _ = self.ray.wait(waited, num_returns=len(waited), timeout=0)
        if not ready:
            ready, _ = self.ray.wait(waited, num_returns=1, timeout=LOOK)
        for answer in ready:
            if answer in self._starting:
                self._started(answer)
                continue
            actor, row = self._given.pop(answer)
            try:
                outcome = self.ray.get(answer)
            except self.ray.exceptions.RayError:
                journal.put_back(row.number, owner, wait=1.0, died=True)
                self._looked = float("-inf")  # its place is free
                continue
            self.idle.append(actor)
            if "report" in outcome:
                journal.done(row.number, owner, outcome["report"])
            elif LOCKED in outcome["reason"]:
                journal.put_back(row.number, owner, wait=5.0)
            else:
                again = outcome["retry"] and row.tries < self._settings.retries
                journal.failed(row.number, owner, outcome["reason"], again, wait=2.0**row.tries)

    def _started(self, answer: Any) -> None:
        actor = self._starting.pop(answer)
        try:
            self.ray.get(answer)
        except self.ray.exceptions.RayError:
            self._looked = float("-inf")
            return
        self.idle.append(actor)

    def dismiss(self) -> None:
        """End all actors."""
        for actor in [*self.idle, *self._starting.values(), *(actor for actor, _ in self._given.values())]:
            self.ray.kill(actor)
