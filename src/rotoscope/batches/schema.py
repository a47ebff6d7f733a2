"""The form of a batch's journal: its tables, what is entered, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

VERSION = 2
"""Of the form of the journal."""
_COUNT_OLD = (
    "UPDATE totals SET jobs = jobs - 1, frames = frames - OLD.frames WHERE state = OLD.state AND kind = OLD.kind;"
)
_COUNT_NEW = (
    "INSERT INTO totals VALUES (NEW.state, NEW.kind, 1, NEW.frames) "
    "ON CONFLICT (state, kind) DO UPDATE SET jobs = jobs + 1, frames = frames + excluded.frames;"
)
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, identity TEXT NOT NULL, job TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'job', part_of TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'open', owner TEXT NOT NULL DEFAULT '', lease REAL NOT NULL DEFAULT 0,
    after REAL NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
    frames INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
    report TEXT NOT NULL DEFAULT '', ended INTEGER NOT NULL DEFAULT 0,
    begun INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS by_state ON jobs (state, number)",
    "CREATE INDEX IF NOT EXISTS by_part ON jobs (part_of) WHERE part_of != ''",
    "CREATE INDEX IF NOT EXISTS by_end ON jobs (ended) WHERE ended > 0",
    # Counting a million rows several times a second would take all of a processor: the counts are kept.
    """CREATE TABLE IF NOT EXISTS totals (
    state TEXT NOT NULL, kind TEXT NOT NULL, jobs INTEGER NOT NULL, frames INTEGER NOT NULL,
    PRIMARY KEY (state, kind))""",
    f"CREATE TRIGGER IF NOT EXISTS entered AFTER INSERT ON jobs BEGIN {_COUNT_NEW} END",
    f"CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON jobs BEGIN {_COUNT_OLD} END",
    "CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE OF state, kind, frames ON jobs "
    "WHEN OLD.state != NEW.state OR OLD.kind != NEW.kind OR OLD.frames != NEW.frames "
    f"BEGIN {_COUNT_OLD} {_COUNT_NEW} END",
)
COLUMNS = (
    "number, name, identity, job, state, owner, lease, tries, deaths, frames, seconds, reason, report, kind, ended, "
    "begun"
)


class Entry(NamedTuple):
    """A job to enter.

    Attributes:
        name: unique in the journal.
        identity: hash of what its masks depend on.
        job: the job as text.
        kind: ``job``; ``piece`` of another; or ``whole``, which waits until all of its pieces are done.
        part_of: name of the whole that a piece is of, which is entered before it.
    """

    name: str
    identity: str
    job: str
    kind: str = "job"
    part_of: str = ""


@dataclass(frozen=True)
class Row:
    """A job as the journal has it.

    Attributes:
        number: its place in the list.
        name: see :class:`~rotoscope.batches.jobs.BatchJob`.
        identity: hash of what its masks depend on.
        job: the job as text.
        state: ``open``, ``claimed``, ``done`` or ``failed``; ``waiting`` for its pieces.
        owner: who has claimed it, or ended it.
        lease: until when, in seconds since 1970.
        tries: how often it was begun and failed.
        deaths: how often its worker died.
        frames: answered so far.
        seconds: that the last attempt took.
        reason: why it failed, one line.
        report: facts of the finished run, as JSON.
        kind: see :class:`Entry`.
        ended: how many jobs had ended when it did, itself included; 0 if it has not.
        begun: how often a worker took it.
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
    kind: str
    ended: int
    begun: int
