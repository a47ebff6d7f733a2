"""Pairs of rows and columns that cost least in all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def least_cost(costs: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair rows with columns so that the sum of costs is least (SciPy's ``linear_sum_assignment``).

    SciPy's optimisers take 60 MiB and are imported on the first call: most videos never need them.

    Args:
        costs: ``[rows, columns]``, finite.
    Returns: rows, ascending, and the column of each, as many as the shorter side has.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(costs)
    return rows, columns
