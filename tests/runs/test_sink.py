from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rotoscope.errors import RotoscopeError
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.measure import Measurement
from rotoscope.runs.sink import BEHIND, PART, Sink


def prediction(index: int) -> Prediction:
    return Prediction(index, (), torch.ones(1, 2, 2), np.zeros((2, 2), np.uint8), ())


class Writer:
    """Writes down what it gets; waits or fails where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.found: list[int] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error = error

    def write(self, item: Any, image: Any) -> None:
        self.may_go_on.wait()
        if self.error is not None and item.index == 1:
            raise self.error
        self.found.append(item.index)

    def close(self) -> None:
        pass


def write(count: int, writer: Writer, written: Callable[[Prediction], None] | None = None) -> None:
    with Sink([writer], Measurement(), written) as sink:
        for index in range(count):
            sink.put(prediction(index), None)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "rotoscope-writer"]


def test_everything_is_written_in_order_and_timed() -> None:
    first, second, measured = Writer(), Writer(), Measurement()
    with Sink([first, second], measured) as sink:
        for index in range(20):
            sink.put(prediction(index), None)
        sink.drain()
        assert first.found == list(range(20))
    assert second.found == list(range(20))
    assert measured.parts[PART] > 0
    assert not threads()


def test_who_counts_is_told_of_what_is_written_and_of_nothing_else() -> None:
    told: list[tuple[int, int]] = []
    writer = Writer()
    with Sink([writer], Measurement(), lambda p: told.append((p.index, len(writer.found)))) as sink:
        for index in range(3):
            sink.put(prediction(index), None)
        sink.drain()
        assert told == [(0, 1), (1, 2), (2, 3)]
    told.clear()
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(RotoscopeError, match="No space left"):
        write(3, Writer(full), lambda p: told.append((p.index, 0)))
    assert told == [(0, 0)]


def test_what_was_put_is_written_although_the_run_breaks_off() -> None:
    writer = Writer()
    writer.may_go_on.clear()

    def break_off() -> None:
        with Sink([writer], Measurement()) as sink:
            for index in range(BEHIND):
                sink.put(prediction(index), None)
            writer.may_go_on.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert writer.found == list(range(BEHIND))
    assert not threads()


def test_errors_are_raised_where_the_frames_come_from() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    cases = ((full, RotoscopeError, "No space left.*--resume"), (ValueError("odd"), ValueError, "odd"))
    for error, kind, message in cases:
        writer = Writer(error)
        with pytest.raises(kind, match=message):
            write(3, writer)
        assert writer.found == [0]
        assert not threads()
