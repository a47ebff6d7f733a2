from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from conftest import tiny
from rotoscope.cli.tables import speed_table
from rotoscope.experiments import speed
from rotoscope.experiments.speed import SpeedTable, moving_frames, squares, time_session
from rotoscope.methods.base import Method
from rotoscope.runs.measure import Measurement


def timed(per_frame: float) -> Measurement:
    return Measurement(10, 10 * per_frame, {"read": per_frame}, peak=2**20)


def test_what_a_further_object_costs() -> None:
    times = SpeedTable("x", [("exact", 1, timed(0.1)), ("exact", 5, timed(0.3))], {"exact": 0.6})
    assert times.per_object("exact") == pytest.approx(0.05)
    assert times.together("exact") == pytest.approx(2.0)


def test_only_what_comes_after_the_warm_frames_counts(tiny_stcn: Method) -> None:
    found = time_session(tiny_stcn, (64, 48), 2, 3, warm=2, memory="lfu:2")
    assert found.frames == 3
    assert 0 < sum(found.parts.values()) <= found.wall
    assert found.remembered == 2


def test_the_table_has_a_row_for_each_precision_and_number_of_objects(
    tiny_stcn: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"stcn": tiny_stcn, "cosnet": tiny("cosnet")}
    monkeypatch.setattr(speed, "method_to_time", lambda name, weights, precision: models[name])
    monkeypatch.setattr(speed, "SIZE", (64, 48))
    for name, shown in (("stcn", True), ("cosnet", False)):
        times = speed.time_method(name, None, 1)
        assert [row[:2] for row in times.rows] == [(p, n) for p in ("exact", "fast") for n in (1, 2, 5)]
        console = Console(width=300, record=True, file=io.StringIO())
        console.print(speed_table(times, 1))
        assert ("each further object" in console.export_text()) == shown


def test_frames_move_and_squares_are_apart() -> None:
    frames = moving_frames(3, (64, 48))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3
    assert not np.array_equal(frames[0], frames[1])
    masks = squares(2, (64, 48))
    assert sorted(masks) == [1, 2]
    assert not (masks[1] & masks[2]).any()
