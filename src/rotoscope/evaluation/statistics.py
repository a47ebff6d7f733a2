"""Mean, recall and decay of a sequence of per-frame values (Perazzi et al., CVPR 2016, section 5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Statistics:
    """What is reported of a measure over a sequence.

    Attributes:
        mean: the mean over the frames, in [0, 1].
        recall: the share of the frames above 0.5, in [0, 1].
        decay: the mean of the first quarter of the frames less the mean of the last, in [-1, 1].
    """

    mean: float
    recall: float
    decay: float


def statistics(values: Sequence[float]) -> Statistics:
    """Statistics of per-frame values; NaN are left out, and nothing at all gives NaN.

    The quarters include both their edges, as the official evaluation has them. It keeps the edges in 8 bits, which
    spoils the decay of sequences of more than 255 frames; that is not copied.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).any():
        return Statistics(float("nan"), float("nan"), float("nan"))
    edges = (np.round(np.linspace(1, len(numbers), 5) + 1e-10) - 1).astype(int)
    first, last = numbers[edges[0] : edges[1] + 1], numbers[edges[3] : edges[4] + 1]
    known = numbers[~np.isnan(numbers)]
    return Statistics(float(known.mean()), float((known > 0.5).mean()), float(np.nanmean(first) - np.nanmean(last)))
