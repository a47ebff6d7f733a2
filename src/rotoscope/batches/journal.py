"""Which job is whose and which are done: a SQLite file with a write-ahead log, safe for many processes at once."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError, RotoscopeError

VERSION = 1
LEASE = 60.0
"""Seconds for which a claim holds unless it is renewed."""
DEATHS = 5
"""A job whose workers died so often is given up: it probably kills them."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, identity TEXT NOT NULL, job TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open', owner TEXT NOT NULL DEFAULT '', lease REAL NOT NULL DEFAULT 0,
    after REAL NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
    frames INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
    report TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, number);
"""
COLUMNS = "number, name, identity, job, state, owner, lease, tries, deaths, frames, seconds, reason, report"


@dataclass(frozen=True)
class Row:
    """A job as the journal has it.

    Attributes:
        number: its place in the list.
        name: see :class:`~rotoscope.batches.jobs.BatchJob`.
        identity: hash of what its masks depend on.
        job: the job as text.
        state: ``open``, ``claimed``, ``done`` or ``failed``.
        owner: who has claimed it.
        lease: until when, in seconds since 1970.
        tries: how often it was begun and failed.
        deaths: how often its worker died.
        frames: answered so far.
        seconds: that the last attempt took.
        reason: why it failed, one line.
        report: facts of the finished run, as JSON.
    """

    number: int
    name: str
    identity: str
    job: str
    state: str
    owner: str
    lease: float
    tries: int
    deaths: int
    frames: int
    seconds: float
    reason: str
    report: str


class Journal:
    """The journal of one batch.

    Every change is one transaction: a process that dies leaves it as it was before or after. An instance belongs to
    one thread; open another for each.

    Args:
        path: of the file; it is made if it is not there.
        clock: seconds since 1970; simulations give their own.

    Raises:
        InputError: the file is no journal, or one of another version.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.clock = clock
        try:
            self._base = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            with self._change():
                for statement in SCHEMA.split(";"):
                    self._base.execute(statement)
                self._base.execute("INSERT OR IGNORE INTO facts VALUES ('version', ?)", (str(VERSION),))
            found = self._base.execute("SELECT value FROM facts WHERE name = 'version'").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: is no journal of a batch ({error}). Choose another folder.") from None
        if found != str(VERSION):
            raise InputError(f"{path}: is a journal of version {found}; this version reads {VERSION}.")

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def register(self, jobs: Iterable[tuple[str, str, str]], overwrite: bool = False) -> None:
        """Enter jobs: name, identity and text each. Jobs that are there already keep their state.

        Jobs that had failed are open again.

        Args:
            jobs: of one batch.
            overwrite: a job whose identity differs is open again instead of refused.

        Raises:
            InputError: a job of that name but of another identity is there; nothing is entered then.
        """
        with self._change():
            differing = []
            for name, identity, text in jobs:
                known = self._base.execute("SELECT identity, state FROM jobs WHERE name = ?", (name,)).fetchone()
                if known is None:
                    self._base.execute(
                        "INSERT INTO jobs (name, identity, job) VALUES (?, ?, ?)", (name, identity, text)
                    )
                elif known[0] != identity:
                    differing.append(name)
                    self._base.execute(
                        "UPDATE jobs SET identity = ?, job = ?, state = 'open', owner = '', lease = 0, tries = 0, "
                        "deaths = 0, reason = '', report = '', frames = 0 WHERE name = ?",
                        (identity, text, name),
                    )
                elif known[1] == "failed":
                    self._base.execute(
                        "UPDATE jobs SET state = 'open', tries = 0, deaths = 0, after = 0 WHERE name = ?", (name,)
                    )
            if differing and not overwrite:
                more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
                raise InputError(
                    f"{self.path.parent.parent}: was begun with other inputs, options or weights for "
                    f"{', '.join(differing[:3])}{more}. Choose another folder, or pass --overwrite."
                )

    def claim(self, owner: str, lease: float = LEASE) -> Row | None:
        """Take the next job that is open, or whose lease has run out; None if there is none now.

        Args:
            owner: who takes it; unique to a worker.
            lease: for how many seconds.
        """
        now = self.clock()
        with self._change():
            found = self._next("state = 'open' AND after <= ?", now) or self._next(
                "state = 'claimed' AND lease < ?", now
            )
            if found is None:
                return None
            number, died = found[0], int(found[1] == "claimed")
            self._base.execute(
                "UPDATE jobs SET state = 'claimed', owner = ?, lease = ?, deaths = deaths + ? WHERE number = ?",
                (owner, now + lease, died, number),
            )
            row = self._row("number = ?", (number,))
            if row.deaths <= DEATHS:
                return row
            self._fail(row, f"its worker died {row.deaths} times; it may need more memory than there is.")
        return self.claim(owner, lease)

    def renew(self, number: int, owner: str, frames: int, lease: float = LEASE) -> bool:
        """Hold a claim for longer; False if it is another's meanwhile, and nothing may be written any more."""
        with self._change():
            changed = self._base.execute(
                "UPDATE jobs SET lease = ?, frames = ? WHERE number = ? AND owner = ? AND state = 'claimed'",
                (self.clock() + lease, frames, number, owner),
            )
            return changed.rowcount == 1

    def done(self, number: int, owner: str, report: Mapping[str, Any]) -> bool:
        """Enter a finished job; False if the claim is another's meanwhile."""
        return self._end(
            number, owner, "state = 'done', reason = '', frames = ?, seconds = ?, report = ?",
            (report.get("frames", 0), report.get("wall", 0.0), json.dumps(report)),
        )  # fmt: skip

    def failed(self, number: int, owner: str, reason: str, retry: bool, wait: float = 0.0) -> bool:
        """Enter a failure: for good, or to be tried again after ``wait`` seconds."""
        state = "open" if retry else "failed"
        return self._end(
            number, owner, f"state = '{state}', tries = tries + 1, reason = ?, after = ?", (reason, self.clock() + wait)
        )

    def put_back(self, number: int, owner: str, wait: float = 0.0, died: bool = False) -> bool:
        """Give a claim back, unharmed, or because the worker that had it died."""
        return self._end(
            number, owner, "state = 'open', after = ?, deaths = deaths + ?", (self.clock() + wait, int(died))
        )

    def put_back_of_the_dead(self) -> int:
        """Open the jobs that processes of this host had claimed which are no more; how many there were."""
        count = 0
        for row in self.rows("claimed"):
            host, _, rest = row.owner.partition(":")
            process = rest.partition(":")[0]
            if host == socket.gethostname() and process.isdecimal() and not is_running(int(process)):
                count += self.put_back(row.number, row.owner, died=True)
        return count

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state, and ``frames`` that were answered in all."""
        found = {"open": 0, "claimed": 0, "done": 0, "failed": 0, "frames": 0}
        for state, count, frames in self._base.execute("SELECT state, COUNT(*), SUM(frames) FROM jobs GROUP BY state"):
            found[state] = count
            found["frames"] += frames or 0
        return found

    def rows(self, state: str | None = None) -> Iterator[Row]:
        """The jobs in the order of the list; those of one state, if one is given."""
        where, bound = ("WHERE state = ?", (state,)) if state else ("", ())
        for values in self._base.execute(f"SELECT {COLUMNS} FROM jobs {where} ORDER BY number", bound).fetchall():
            yield Row(*values)

    def _end(self, number: int, owner: str, change: str, values: tuple[Any, ...]) -> bool:
        with self._change():
            changed = self._base.execute(
                f"UPDATE jobs SET {change}, owner = '', lease = 0 WHERE number = ? AND owner = ? AND state = 'claimed'",
                (*values, number, owner),
            )
            return changed.rowcount == 1

    def _fail(self, row: Row, reason: str) -> None:
        self._base.execute(
            "UPDATE jobs SET state = 'failed', reason = ?, owner = '' WHERE number = ?", (reason, row.number)
        )

    def _next(self, where: str, now: float) -> tuple[int, str] | None:
        query = f"SELECT number, state FROM jobs WHERE {where} ORDER BY number LIMIT 1"
        found: tuple[int, str] | None = self._base.execute(query, (now,)).fetchone()
        return found

    def _row(self, where: str, bound: tuple[Any, ...]) -> Row:
        return Row(*self._base.execute(f"SELECT {COLUMNS} FROM jobs WHERE {where}", bound).fetchone())

    @contextmanager
    def _change(self) -> Iterator[None]:
        """One transaction that no other process's comes between."""
        try:
            self._base.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise RotoscopeError(f"{self.path}: cannot be written to ({error}).") from None
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        try:
            self._base.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._base.execute("ROLLBACK")
            raise RotoscopeError(f"{self.path}: cannot be written to ({error}). Make room.") from None


def me(token: str) -> str:
    """An owner's name: host, process, and what tells its workers apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{token}"


def is_running(process: int) -> bool:
    """Whether this host has a process of that number; on Windows always, where leases run out instead."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
