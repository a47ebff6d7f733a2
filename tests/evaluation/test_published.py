"""Published figures, and what is said of them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rotoscope.cli.tables import comparison_table
from rotoscope.evaluation.evaluate import Evaluation
from rotoscope.evaluation.protocol import protocol
from rotoscope.evaluation.published import COLUMNS, PUBLISHED, comparison, figures
from rotoscope.evaluation.scores import ObjectScores


def test_values_are_percent_and_sourced() -> None:
    for figure in PUBLISHED:
        assert figure.source
        assert set(figure.values) <= set(COLUMNS), figure
        assert all(0 <= value <= 100 for value in figure.values.values())


def test_means_of_parts_agree_unless_they_are_marked() -> None:
    for figure in PUBLISHED:
        values = figure.values
        if {"J&F", "J mean", "F mean"} <= set(values):
            assert values["J&F"] == pytest.approx((values["J mean"] + values["F mean"]) / 2, abs=0.11), figure
        parts = ("J seen", "J unseen", "F seen", "F unseen")
        if {"G", *parts} <= set(values):
            assert values["G"] == pytest.approx(sum(values[p] for p in parts) / 4, abs=0.11), figure


def test_the_two_suspect_cells_of_the_thesis_are_marked() -> None:
    assert sorted((f.variant, f.values["J&F"]) for f in PUBLISHED if f.suspect) == [
        ("dropout on the affinity", 81.6),
        ("softmax storing", 83.0),
    ]


def test_comparison_sets_ours_beside_theirs() -> None:
    scored = ObjectScores("a", 1, None, None, 1, None, ("0", "1"), (0.5, 0.7), (0.4, 0.6))
    evaluation = Evaluation("davis17:somewhere", "val", protocol("davis17"), "out", (scored,), (), ())
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(comparison_table(comparison(evaluation, "mine", {"fps": 3.0})))
    text = console.export_text()
    assert "mine" in text
    assert "55.0" in text
    assert "81.6?" in text
    assert "NeurIPS 2021" in text
    assert len(figures("davis17", "semi")) > len(figures("fbms"))
