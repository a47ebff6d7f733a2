"""Clicks and boxes as they are given, and what is refused of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rotoscope import InputError, Points
from rotoscope.masks.points import check_apart

SIZE = (64, 48)


def test_whole_numbers_are_pixels_and_floats_up_to_one_are_shares() -> None:
    placed = Points([(10, 20), (0.5, 0.5), (10.7, 3.2), (1, 1), (1.0, 1.0)], (0, 0), (0.25, 0.5, 1.0, 1.0)).placed(SIZE)
    assert placed.places.tolist() == [[10, 20], [32, 24], [10, 3], [1, 1], [63, 47], [0, 0]]
    assert placed.wanted.tolist() == [True] * 5 + [False]
    assert placed.box == (16, 24, 64, 48)


def test_a_box_is_cut_at_the_edges_of_the_picture() -> None:
    assert Points(box=(-5, 10.5, 900, 20)).placed(SIZE).box == (0, 10, 64, 20)


def test_one_place_needs_no_list_and_arrays_will_do() -> None:
    assert Points((3, 4)) == Points([(3, 4)]) == Points(np.array([3, 4])) == Points(np.array([[3, 4]]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "none is given"),
        ({"wanted": "3,4"}, "is no place"),
        ({"wanted": [(1, 2, 3)]}, r"is not \(x, y\)"),
        ({"wanted": [(1, float("nan"))]}, r"is not \(x, y\)"),
        ({"wanted": [(True, 2)]}, r"is not \(x, y\)"),
        ({"box": (1, 2, 3)}, "left, top, right and bottom"),
        ({"wanted": [(1, 1)] * 101}, "more than 100"),
    ],
)
def test_what_are_no_points(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Points(**given)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (Points((64, 5)), "point 64,5 is outside the picture, which is 64x48"),
        (Points((5, 48)), "outside"),
        (Points((-1, 5)), "outside"),
        (Points((1.5, 48.5)), "outside"),
        (Points(box=(5, 5, 5, 9)), "has no area"),
        (Points(box=(9, 5, 5, 9)), "has no area"),
        (Points(box=(70, 5, 90, 9)), "outside the picture"),
        (Points((5, 5), (5, 5)), "wanted and not wanted"),
        (Points((0.5, 0.5), (32, 24)), "wanted and not wanted"),
    ],
)
def test_points_that_do_not_fit_a_picture(points: Points, words: str) -> None:
    with pytest.raises(InputError, match=f"object 3 on frame 7: .*{words}"):
        points.placed(SIZE, "object 3 on frame 7")


def test_two_objects_cannot_want_the_same_pixel() -> None:
    placed = {1: Points((5, 5)).placed(SIZE), 2: Points([(9, 9), (5, 5)]).placed(SIZE)}
    with pytest.raises(InputError, match="frame 2: objects 1 and 2 have the same point 5,5"):
        check_apart(placed, "frame 2")
    check_apart({1: placed[1], 2: Points((9, 9), (5, 5)).placed(SIZE)}, "frame 2")
