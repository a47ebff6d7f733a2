"""The journal: each job is one worker's at a time, and done once."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotoscope.batches.journal import DEATHS, Journal
from rotoscope.batches.schema import Entry
from rotoscope.errors import InputError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def entries(count: int, identity: str = "i") -> list[Entry]:
    return [Entry(f"job{number}", identity, "{}") for number in range(count)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    return Journal(tmp_path / "journal.sqlite", clock)


def test_jobs_are_claimed_in_order_and_once(journal: Journal) -> None:
    journal.register(entries(3))
    claimed = [journal.claim(f"w{n}") for n in range(4)]
    assert [row.name for row in claimed if row] == ["job0", "job1", "job2"]
    assert claimed[3] is None


def test_a_lease_that_ran_out_is_anothers_and_the_first_is_told(journal: Journal, clock: Clock) -> None:
    journal.register(entries(1))
    first = journal.claim("w1", lease=10)
    assert first is not None
    assert journal.renew(first.number, "w1", 4, lease=10)
    clock.now += 11
    second = journal.claim("w2", lease=10)
    assert second is not None
    assert second.deaths == 1
    assert not journal.renew(first.number, "w1", 5)
    assert not journal.done(first.number, "w1", {})
    assert journal.done(second.number, "w2", {"frames": 7})
    assert journal.counts()["done"] == 1
    assert journal.counts()["frames"] == 7


def test_what_kills_its_workers_is_given_up(journal: Journal, clock: Clock) -> None:
    journal.register(entries(1))
    for _ in range(DEATHS + 1):
        assert journal.claim("w", lease=1) is not None
        clock.now += 2
    assert journal.claim("w", lease=1) is None
    failed = list(journal.rows("failed"))
    assert [row.name for row in failed] == ["job0"]
    assert "died" in failed[0].reason


def test_a_failure_waits_and_is_tried_again(journal: Journal, clock: Clock) -> None:
    journal.register(entries(1))
    row = journal.claim("w")
    assert row is not None
    assert journal.failed(row.number, "w", "disk full", retry=True, wait=5)
    assert journal.claim("w") is None
    clock.now += 6
    again = journal.claim("w")
    assert again is not None
    assert again.tries == 1
    journal.failed(again.number, "w", "disk full", retry=False)
    assert journal.claim("w") is None
    journal.register(entries(1))  # the batch is called again: failed jobs are open again
    assert journal.claim("w") is not None


def test_jobs_of_other_inputs_are_refused_and_nothing_is_entered(journal: Journal) -> None:
    journal.register(entries(2))
    with pytest.raises(InputError, match=r"other inputs.*job0"):
        journal.register([*entries(1, "changed"), Entry("new", "i", "{}")])
    assert [row.name for row in journal.rows()] == ["job0", "job1"]
    journal.register(entries(1, "changed"), overwrite=True)
    assert next(iter(journal.rows())).identity == "changed"


def test_a_foreign_file_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match="no journal"):
        Journal(path)


def test_many_workers_at_once_do_each_job_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).register(entries(120))
    done: Counter[str] = Counter()

    def worker(name: str) -> None:
        journal = Journal(path)
        while (row := journal.claim(name)) is not None:
            if journal.done(row.number, name, {}):
                done[row.name] += 1
        journal.close()

    threads = [threading.Thread(target=worker, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 120
    assert set(done.values()) == {1}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["claim", "done", "fail", "die", "wait"]), st.integers(0, 2)), max_size=60))
def test_whatever_happens_each_job_ends_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Workers claim, finish, fail, die and stand still in any order; afterwards a good one ends the rest."""
    clock = Clock()
    journal = Journal(tmp_path_factory.mktemp("j") / "journal.sqlite", clock)
    journal.register(entries(4))
    held: dict[int, int] = {}
    finished: Counter[int] = Counter()
    for what, worker in steps:
        if what == "claim" and worker not in held:
            row = journal.claim(f"w{worker}", lease=10)
            if row is not None:
                held[worker] = row.number
        elif what == "wait":
            clock.now += 6
        elif worker in held:
            number = held.pop(worker)
            if what == "done" and journal.done(number, f"w{worker}", {}):
                finished[number] += 1
            elif what == "fail":
                journal.failed(number, f"w{worker}", "no", retry=True)
    clock.now += 100
    while (row := journal.claim("last")) is not None:
        assert journal.done(row.number, "last", {})
        finished[row.number] += 1
        clock.now += 100
    gone = {row.number for row in journal.rows("failed")}
    assert set(finished) | gone == {1, 2, 3, 4}
    assert all(count == 1 for count in finished.values())
    journal.close()
