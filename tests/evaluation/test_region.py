from __future__ import annotations

import numpy as np
import pytest

from rotoscope.errors import InputError
from rotoscope.evaluation import region_similarity


def test_region_similarity_of_known_masks() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    a[:2], b[1:3] = True, True
    assert region_similarity(a, b) == 4 / 12
    assert region_similarity(a, a) == 1.0
    assert region_similarity(a, ~a) == 0.0


def test_both_empty_counts_one() -> None:
    empty = np.zeros((3, 5), bool)
    assert region_similarity(empty, empty) == 1.0
    assert region_similarity(empty, ~empty) == 0.0


def test_other_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        region_similarity(np.zeros((2, 3)), np.zeros((3, 2)))
