"""How the listed frames are scored."""

from __future__ import annotations

import pytest

import frames_to_look_at


def test_precision_and_recall_are_of_the_masks_below_the_bound() -> None:
    quality = {("a", 1, t): value for t, value in enumerate((0.9, 0.4, 0.3, 0.8), 1)} | {("b", 1, 1): 0.1}
    listed = {("a", 1, 2): {"unsure", "area jumps"}, ("a", 1, 4): {"unsure"}, ("b", 1, 1): {"absent"}}
    rows = {row["reason"]: row for row in frames_to_look_at.rows_of(quality, listed, 0.5)}
    assert (rows["unsure"]["listed"], rows["unsure"]["precision"]) == (2, 0.5)
    assert rows["unsure"]["recall"] == pytest.approx(1 / 3)
    assert rows["area jumps"]["precision"] == 1.0
    assert (rows["any of them"]["listed"], rows["any of them"]["recall"]) == (3, pytest.approx(2 / 3))
    assert rows["any of them"]["J of others"] == pytest.approx(0.6)
    assert rows["centre jumps"]["precision"] == "-"
