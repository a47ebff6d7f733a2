from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from rotoscope.video.prefetch import prefetch


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "rotoscope-prefetch"]


def test_never_more_than_its_depth_ahead() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    for taken, number in enumerate(prefetch(source(), 4)):
        assert number == taken
        time.sleep(0.002)
        assert len(made) <= taken + 1 + 4 + 1  # those waiting, and one in the thread's hand


def test_an_early_stop_leaves_no_thread() -> None:
    closed: list[bool] = []

    def source() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.append(True)

    items = prefetch(source(), 3)
    assert next(items) == 0
    assert threads()
    items.close()  # type: ignore[attr-defined]
    assert not threads()
    assert closed == [True]


def test_errors_reach_the_consumer_in_their_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    items = prefetch(source(), 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(items)
    assert not threads()
