from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from conftest import tiny
from rotoscope.cli.ways import floor_table, ways_table
from rotoscope.errors import InputError
from rotoscope.experiments import compare
from rotoscope.experiments.compare import Comparison, multiply_adds
from rotoscope.experiments.plain import PlainSTCN
from rotoscope.experiments.speed import moving_frames, squares
from rotoscope.methods.stcn import STCN
from rotoscope.runs.measure import Measurement


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> STCN:
    model = tiny("stcn")
    assert isinstance(model, STCN)
    monkeypatch.setattr(compare, "SIZE", (64, 48))
    monkeypatch.setattr(compare, "method_to_time", lambda name, weights, precision: model)
    monkeypatch.setattr(compare, "gemm_peak", lambda dtype: 1e9)
    return model


def test_every_way_is_timed_and_shown_beside_the_plain_one(small: STCN) -> None:
    (found,) = compare.compare(["stcn"], 5)
    assert [row[:2] for row in found.rows] == [(way, n) for n in (1, 5) for way in ("plain", "exact", "fast")]
    for row in found.rows:
        assert set(compare.PARTS) <= set(row[2].parts)
        assert found.ratio(row) > 0
    assert found.ratio(found.rows[0]) == 1
    assert found.floor("exact", 1, "decode") == found.products[1]["decode"] / 1e9
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(ways_table(found, 1))
    console.print(floor_table(found))
    text = console.export_text()
    assert "times as fast" in text
    assert text.count("all of these") == 2


def test_a_slow_first_way_makes_all_ways_be_timed_on_as_few_frames(
    small: STCN, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "PATIENCE", 0.0)
    monkeypatch.setattr(compare, "TELLING", 0.0)
    monkeypatch.setattr(compare, "OBJECTS", (1,))
    told: list[str] = []
    (found,) = compare.compare(["stcn"], 12, tell=told.append)
    assert [measured.frames for _, _, measured in found.rows] == [5, 5, 5]
    assert found.products[1] == multiply_adds(small, 1, 5)
    assert any("5 frames are timed instead of 12" in line for line in told)
    assert any("frame 3 of 18" in line for line in told)


def test_frames_are_as_many_as_asked_for_where_there_is_time(small: STCN) -> None:
    (way,) = (way for way in compare.WAYS if way.name == "exact")
    assert compare.time_way(way, small, 1, 7).frames == 7
    assert compare.time_way(way, small, 1, 7, patience=1e9).frames == 7


def test_the_plain_formulation_is_not_asked_for_what_it_cannot_compute(small: STCN) -> None:
    small.config = small.config.__class__(**{**vars(small.config), "short_side": 32})
    assert not compare.is_released(small)


def test_ratios_are_between_rows_of_as_many_objects() -> None:
    rows = [("plain", 1, 4.0), ("fast", 1, 1.0), ("plain", 5, 9.0), ("fast", 5, 3.0)]
    found = Comparison("x", [(way, objects, Measurement(10, 10 * each)) for way, objects, each in rows])
    assert [found.ratio(row) for row in found.rows] == [1, 4, 1, 3]


def test_products_are_those_of_the_layers(small: STCN) -> None:
    """Of one convolution by hand; objects cost values and decoding, and no second encoding."""
    one, two = multiply_adds(small, 1, 5), multiply_adds(small, 2, 5)
    assert one["encode key"] == two["encode key"]
    assert two["encode value"] == pytest.approx(2 * one["encode value"])
    assert one["decode"] < two["decode"] <= 2 * one["decode"]
    found: dict[str, float] = {}
    layer = torch.nn.Conv2d(4, 8, 3, padding=1)
    compare._counted(found, "x", lambda: layer(torch.zeros(1, 4, 10, 6)))
    assert found["x"] == 10 * 6 * 8 * 4 * 9


def test_the_plain_formulation_gives_the_session_s_answers(small: STCN) -> None:
    masks, images = squares(2, (64, 48)), moving_frames(8, (64, 48))
    plain, session = PlainSTCN(small, 5, 20), small.session(memory="every:5", mem_every=5, top_k=20)
    session.add(masks)
    for number, image in enumerate(images):
        theirs = plain.push(image, list(masks.values()) if number == 0 else None)
        # objects in batches of their own are rounded otherwise than together, and what is rounded is remembered
        torch.testing.assert_close(session.push(image)[0].probabilities, theirs, atol=2e-3, rtol=0)


def test_only_stcn_is_compared_and_over_enough_frames() -> None:
    with pytest.raises(InputError, match="is no STCN"):
        compare.compare(["stcn", "cosnet"], 5)
    with pytest.raises(InputError, match="at least 5"):
        compare.compare(["stcn"], 4)
