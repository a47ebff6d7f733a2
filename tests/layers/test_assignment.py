"""Pairs that cost least, by SciPy's own answer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from rotoscope.layers.assignment import FEW, least_cost


@pytest.mark.parametrize("rows", range(1, FEW + 2))
@pytest.mark.parametrize("columns", range(1, FEW + 2))
def test_pairs_are_those_of_scipy(rows: int, columns: int) -> None:
    random = np.random.default_rng(10 * rows + columns)
    for _ in range(20):
        costs = random.normal(size=(rows, columns))
        for own, theirs in zip(least_cost(costs), linear_sum_assignment(costs), strict=True):
            np.testing.assert_array_equal(own, theirs)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_is_paired_with_nothing(shape: tuple[int, int]) -> None:
    assert [len(side) for side in least_cost(np.zeros(shape))] == [0, 0]


def test_equal_costs_give_one_pairing_of_the_least_sum() -> None:
    rows, columns = least_cost(np.ones((3, 4)))
    assert rows.tolist() == [0, 1, 2]
    assert len(set(columns.tolist())) == 3


def test_few_are_paired_without_scipys_optimisers() -> None:
    program = (
        "import sys, numpy as np; from rotoscope.layers.assignment import least_cost; "
        "least_cost(np.eye(3)); assert 'scipy.optimize' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
