"""Which job is whose and which are done: a SQLite file with a write-ahead log, safe for many processes at once."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rotoscope.batches.schema import COLUMNS, SCHEMA, VERSION, Entry, Row
from rotoscope.errors import InputError, RotoscopeError

LEASE = 60.0
"""Seconds for which a claim holds unless it is renewed."""
DEATHS = 5
"""A job whose workers died so often is given up: it probably kills them."""


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
                self._base.execute(SCHEMA[0])
                self._base.execute("INSERT OR IGNORE INTO facts VALUES ('version', ?), ('ended', '0')", (str(VERSION),))
                version = self._base.execute("SELECT value FROM facts WHERE name = 'version'").fetchone()[0]
                if version != str(VERSION):
                    raise InputError(
                        f"{path}: is a journal of version {version}; this one reads {VERSION}. Choose another folder."
                    )
                for statement in SCHEMA[1:]:
                    self._base.execute(statement)
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: is no journal of a batch ({error}). Choose another folder.") from None

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def register(self, jobs: Iterable[Entry], overwrite: bool = False) -> None:
        """Enter jobs. Jobs that are there already keep their state; those that had failed are open again.

        Args:
            jobs: of one batch.
            overwrite: a job whose identity differs is open again instead of refused.

        Raises:
            InputError: a job of that name but of another identity is there; nothing is entered then.
        """
        with self._change():
            differing = []
            for entry in jobs:
                known = self._base.execute("SELECT identity, state FROM jobs WHERE name = ?", (entry.name,)).fetchone()
                if known is None or known[0] != entry.identity:
                    differing += [entry.name] if known is not None else []
                    self._enter(entry)
                elif known[1] == "failed":
                    self._reopen(entry)
            if differing and not overwrite:
                more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
                raise InputError(
                    f"{self.path.parent.parent}: was begun with other inputs, options or weights for "
                    f"{', '.join(differing[:3])}{more}. Choose another folder, or pass --overwrite."
                )

    def _enter(self, entry: Entry) -> None:
        """A new job, or one in the place of another of its name, whose pieces go with it."""
        self._base.execute("DELETE FROM jobs WHERE part_of = ? AND part_of != ''", (entry.name,))
        state = "waiting" if entry.kind == "whole" else "open"
        self._base.execute(
            "INSERT INTO jobs (name, identity, job, kind, part_of, state) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, job = excluded.job, kind = excluded.kind, "
            "part_of = excluded.part_of, state = excluded.state, owner = '', lease = 0, after = 0, tries = 0, "
            "deaths = 0, reason = '', report = '', frames = 0, ended = 0, begun = 0",
            (*entry, state),
        )

    def _reopen(self, entry: Entry) -> None:
        """Let a failed job be tried again; a whole waits for those of its pieces that are not done."""
        left = self._base.execute(
            "SELECT 1 FROM jobs WHERE part_of = ? AND part_of != '' AND state != 'done'", (entry.name,)
        ).fetchone()
        self._base.execute(
            "UPDATE jobs SET state = ?, tries = 0, deaths = 0, after = 0, reason = '', ended = 0 WHERE name = ?",
            ("open" if left is None else "waiting", entry.name),
        )

    def claim(self, owner: str, lease: float = LEASE) -> Row | None:
        """Take the next job that is open, or whose lease has run out; None if there is none now.

        Args:
            owner: who takes it; unique to a worker.
            lease: for how many seconds.
        """
        now = self.clock()
        with self._change():
            next_one = self._next("state = 'open' AND after <= ?", now) or self._next(
                "state = 'claimed' AND lease < ?", now
            )
            if next_one is None:
                return None
            number, died = next_one[0], int(next_one[1] == "claimed")
            self._base.execute(
                "UPDATE jobs SET state = 'claimed', owner = ?, lease = ?, deaths = deaths + ?, begun = begun + 1 "
                "WHERE number = ?",
                (owner, now + lease, died, number),
            )
            row = self._row("number = ?", (number,))
            if row.deaths <= DEATHS:
                return row
            self._fail(row.number, f"its worker died {row.deaths} times; it may need more memory than there is.")
        return self.claim(owner, lease)

    def renew(self, number: int, owner: str, frames: int, lease: float = LEASE) -> bool:
        """Hold a claim for longer; False if it is another's meanwhile, and nothing may be written any more."""
        with self._change():
            changed = self._base.execute(
                "UPDATE jobs SET lease = ?, frames = ? WHERE number = ? AND owner = ? AND state = 'claimed'",
                (self.clock() + lease, frames, number, owner),
            )
            return changed.rowcount == 1

    def renew_all(self, owner: str, lease: float = LEASE) -> None:
        """Hold all claims of an owner for longer."""
        with self._change():
            self._base.execute(
                "UPDATE jobs SET lease = ? WHERE state = 'claimed' AND owner = ?", (self.clock() + lease, owner)
            )

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

    def put_back_of_the_dead(self, died: bool = True) -> int:
        """Open the jobs that processes of this host had claimed which are no more; how many there were.

        Args:
            died: whether that counts as a death of the job's worker; not where all of a batch was ended at once.
        """
        count = 0
        for row in list(self.rows("claimed")):
            host, _, rest = row.owner.partition(":")
            process = rest.partition(":")[0]
            if host == socket.gethostname() and process.isdecimal() and not is_running(int(process)):
                count += self.put_back(row.number, row.owner, died=died)
        return count

    def counts(self) -> dict[str, int]:
        """How the batch stands.

        Returns: the numbers of jobs that are ``open``, ``claimed``, ``done`` and ``failed``, where pieces do not count;
            ``frames`` that were answered in all; and how many jobs and pieces are ``ready`` for workers or with them.
        """
        counts = {"open": 0, "claimed": 0, "done": 0, "failed": 0, "frames": 0, "ready": 0}
        for state, kind, jobs, frames in self._base.execute("SELECT state, kind, jobs, frames FROM totals"):
            if kind != "piece":
                counts["open" if state == "waiting" else state] += jobs
            if kind != "whole":
                counts["frames"] += frames
            if state in ("open", "claimed"):
                counts["ready"] += jobs
        return counts

    def rows(self, state: str | None = None, most: int = -1) -> Iterator[Row]:
        """The jobs and pieces in the order of the list; those of one state, if one is given; at most so many."""
        where, bound = ("WHERE state = ?", (state,)) if state else ("", ())
        for values in self._base.execute(f"SELECT {COLUMNS} FROM jobs {where} ORDER BY number LIMIT ?", (*bound, most)):
            yield Row(*values)

    def ended(self) -> int:
        """How many jobs and pieces have ended so far, each time counted."""
        return int(self._base.execute("SELECT value FROM facts WHERE name = 'ended'").fetchone()[0])

    def ended_after(self, number: int) -> list[Row]:
        """The jobs and pieces that ended after so many others had; see :meth:`ended`."""
        query = f"SELECT {COLUMNS} FROM jobs WHERE ended > ? AND ended > 0 ORDER BY ended"
        return [Row(*values) for values in self._base.execute(query, (number,))]

    def _end(self, number: int, owner: str, change: str, values: tuple[Any, ...]) -> bool:
        with self._change():
            changed = self._base.execute(
                f"UPDATE jobs SET {change}, lease = 0 WHERE number = ? AND owner = ? AND state = 'claimed'",
                (*values, number, owner),
            )
            if changed.rowcount == 1:
                self._ended(number)
            return changed.rowcount == 1

    def _ended(self, number: int) -> None:
        """Number a job that ended among those that did, and tell the whole that it is a piece of."""
        query = "SELECT name, state, part_of, reason FROM jobs WHERE number = ?"
        name, state, part_of, reason = self._base.execute(query, (number,)).fetchone()
        if state not in ("done", "failed"):
            return
        self._base.execute("UPDATE facts SET value = value + 1 WHERE name = 'ended'")
        self._base.execute("UPDATE jobs SET ended = ? WHERE number = ?", (self.ended(), number))
        if not part_of:
            return
        whole = self._base.execute(
            "SELECT number FROM jobs WHERE name = ? AND state = 'waiting'", (part_of,)
        ).fetchone()
        if whole is None:
            return
        if state == "failed":
            self._fail(whole[0], f"{name.removeprefix(part_of).lstrip(', ')}: {reason}")
            return
        left = "SELECT 1 FROM jobs WHERE part_of = ? AND part_of != '' AND state != 'done'"
        if self._base.execute(left, (part_of,)).fetchone() is None:
            self._base.execute("UPDATE jobs SET state = 'open' WHERE number = ?", whole)

    def _fail(self, number: int, reason: str) -> None:
        self._base.execute(
            "UPDATE jobs SET state = 'failed', reason = ?, owner = '' WHERE number = ?", (reason, number)
        )
        self._ended(number)

    def _next(self, where: str, now: float) -> tuple[int, str] | None:
        query = f"SELECT number, state FROM jobs WHERE {where} ORDER BY number LIMIT 1"
        row: tuple[int, str] | None = self._base.execute(query, (now,)).fetchone()
        return row

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
