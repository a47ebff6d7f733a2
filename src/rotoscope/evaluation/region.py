"""Region similarity J (Perazzi et al., CVPR 2016, section 5.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError


def region_similarity(prediction: NDArray[Any], truth: NDArray[Any]) -> float:
    """Intersection over union of two masks.

    Args:
        prediction: bool or 0/1, ``[H, W]``.
        truth: the same shape.
    Returns: J in [0, 1]; 1 where both are empty, as the official DAVIS evaluation counts it.

    Raises:
        InputError: different shapes.
    """
    if prediction.shape != truth.shape:
        raise InputError(
            f"masks of shapes {prediction.shape} and {truth.shape} cannot be compared. Make them one size."
        )
    ours, theirs = prediction.astype(bool, copy=False), truth.astype(bool, copy=False)
    both = int(np.count_nonzero(ours & theirs))
    union = int(np.count_nonzero(ours)) + int(np.count_nonzero(theirs)) - both
    return both / union if union else 1.0
