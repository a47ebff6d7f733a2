from __future__ import annotations

import numpy as np
import pytest

from rotoscope.errors import InputError
from rotoscope.evaluation.confusion import Confusion, confusion

TRUTH = np.array([[0, 0, 1, 1, 1], [0, 2, 2, 2, 2], [0, 0, 0, 3, 3]], np.uint8)


def test_each_pixel_counts_where_it_belongs() -> None:
    found = np.array([[0, 7, 1, 2, 0], [2, 2, 1, 0, 0], [0, 0, 0, 3, 1]], np.uint8)
    # wrong: 1 as 2, 2 as 1, 3 as 1; missed: one pixel of 1, two of 2; leaked: the 7 (no object's id) and a 2.
    assert confusion(found, TRUTH) == Confusion(objects=9, wrong=3, missed=3, leaked=2)


def test_the_truth_itself_is_not_confused() -> None:
    assert confusion(TRUTH, TRUTH) == Confusion(objects=9)


def test_objects_exchanged_are_wrong_in_every_pixel() -> None:
    exchanged = np.array([0, 2, 1, 3], np.uint8)[TRUTH]
    assert confusion(exchanged, TRUTH).shares() == {"wrong": pytest.approx(7 / 9), "missed": 0.0, "leaked": 0.0}


def test_counts_add_up_over_frames_of_any_type() -> None:
    one = confusion(TRUTH.astype(np.uint16) * 0, TRUTH)
    both = one + confusion(np.full(TRUTH.shape, 1), TRUTH)
    assert both == Confusion(objects=18, wrong=6, missed=9, leaked=6)
    assert both.shares()["leaked"] == pytest.approx(6 / 18)


def test_without_objects_there_is_no_share() -> None:
    assert all(np.isnan(share) for share in Confusion(leaked=4).shares().values())


def test_other_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="Make them one size"):
        confusion(TRUTH[:2], TRUTH)
