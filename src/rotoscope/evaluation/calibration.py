"""How well a confidence tells the quality of a mask: reliability curve and expected calibration error.

Guo et al., On calibration of modern neural networks (ICML 2017), with the J of a mask in place of a class being right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability curve.

    Attributes:
        low, high: the bounds of the confidences in the bin, from ``low`` to below ``high``; the last bin holds 1 as
            well.
        count: the number of answers in the bin.
        confidence, quality: the mean confidence and the mean quality of these answers, in [0, 1]; NaN without any.
    """

    low: float
    high: float
    count: int
    confidence: float
    quality: float


@dataclass(frozen=True)
class Calibration:
    """What a set of answers says of their confidences.

    Attributes:
        bins: the reliability curve.
        error: expected calibration error, the mean distance of confidence and quality over bins, weighted by answers.
        rank: share of pairs of answers whose order of quality the order of confidence tells, of those that differ by
            more than 0.05 in quality; 0.5 is chance, NaN without such a pair.
    """

    bins: tuple[Bin, ...]
    error: float
    rank: float


def calibrate(confidence: Sequence[float], quality: Sequence[float], bins: int = BINS) -> Calibration:
    """Set confidences beside what the answers were worth.

    Args:
        confidence: in [0, 1].
        quality: J of the same answers, in [0, 1].
        bins: of equal width.

    Raises:
        ValueError: of different lengths, or empty.
    """
    said, was = np.asarray(confidence, np.float64), np.asarray(quality, np.float64)
    if len(said) != len(was) or not len(said):
        raise ValueError(f"{len(said)} confidences and {len(was)} qualities: give as many of each, and at least one")
    place = np.minimum((said * bins).astype(int), bins - 1)
    curve = []
    for number in range(bins):
        mine = place == number
        means = (float(said[mine].mean()), float(was[mine].mean())) if mine.any() else (float("nan"), float("nan"))
        curve.append(Bin(number / bins, (number + 1) / bins, int(mine.sum()), *means))
    error = sum(b.count * abs(b.confidence - b.quality) for b in curve if b.count) / len(said)
    return Calibration(tuple(curve), float(error), _rank(said, was))


def _rank(said: np.ndarray, was: np.ndarray, most: int = 2000) -> float:
    """See :class:`Calibration`; of more than ``most`` answers, that many at even distances."""
    chosen = np.linspace(0, len(said) - 1, min(len(said), most)).astype(int)
    said, was = said[chosen], was[chosen]
    better = was[:, None] - was > 0.05
    if not better.any():
        return float("nan")
    apart = said[:, None] - said
    return float(((apart > 0) + 0.5 * (apart == 0))[better].mean())
