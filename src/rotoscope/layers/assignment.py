"""Pairs of rows and columns that cost least in all."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW = 6
"""Rows or columns up to which all ways to pair them are tried, 720 at most. SciPy's optimisers take 60 MiB and most of
a second to import, in the middle of a video whose look-alikes have just come apart."""


def least_cost(costs: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair rows with columns so that the sum of costs is least: SciPy's ``linear_sum_assignment`` where there are many.

    Args:
        costs: ``[rows, columns]``, finite.
    Returns: rows, ascending, and the column of each, as many as the shorter side has.
    """
    short, long = sorted(costs.shape)
    if not short:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    if long > FEW:
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(costs)
        return rows, columns
    upright = costs if costs.shape[0] == short else costs.T
    ways = _ways(short, long)
    chosen = ways[upright[np.arange(short), ways].sum(axis=1).argmin()]
    if upright is costs:
        return np.arange(short), chosen
    order = np.argsort(chosen)
    return chosen[order], order


@functools.cache
def _ways(short: int, long: int) -> NDArray[np.intp]:
    """All ways to give each of the shorter side one of the longer, ``[ways, short]``."""
    return np.array(list(itertools.permutations(range(long), short)), np.intp).reshape(-1, short)
