from __future__ import annotations

import math

import pytest

from conftest import first_mask, moving
from rotoscope.methods.base import Method
from rotoscope.runs.measure import Measurement, peak_memory


def test_work_adds_up_and_memory_does_not() -> None:
    total = Measurement(10, 2.0, {"read": 1.0}, peak=100, remembered=2.0)
    total.add(Measurement(5, 1.0, {"read": 0.5, "write": 0.25}, peak=50, remembered=3.5))
    total.add(Measurement(0, 0.0, {}, peak=10))
    assert total == Measurement(15, 3.0, {"read": 1.5, "write": 0.25}, peak=100, remembered=3.5)
    assert (total.rate, total.per_frame) == (5.0, 0.2)
    assert total.parts_per_frame == {"read": 0.1, "write": pytest.approx(1 / 60)}


def test_nothing_measured_is_not_a_number() -> None:
    nothing = Measurement()
    assert math.isnan(nothing.rate)
    assert math.isnan(nothing.per_frame)
    assert nothing.parts_per_frame == {}


def test_what_a_session_remembers(tiny_stcn: Method) -> None:
    measured = Measurement()
    session = tiny_stcn.session()
    session.add({1: first_mask()})
    for image in moving(4):
        session.push(image)
        measured.saw(session)
    assert measured.remembered == session.frames_remembered == 2  # frames 0 and 2
    assert peak_memory() > 2**20
