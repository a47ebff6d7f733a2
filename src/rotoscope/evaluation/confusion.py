"""Which object pixels a method gives to the wrong object, to the background, or takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError


@dataclass(frozen=True)
class Confusion:
    """Counts of pixels, over any number of frames; they add up.

    Attributes:
        objects: the number of pixels whose true label is an object.
        wrong: the number of these that were given to another object.
        missed: the number of these that were given to the background.
        leaked: the number of background pixels that were given to an object.
    """

    objects: int = 0
    wrong: int = 0
    missed: int = 0
    leaked: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.objects + other.objects,
            self.wrong + other.wrong,
            self.missed + other.missed,
            self.leaked + other.leaked,
        )

    def shares(self) -> dict[str, float]:
        """``wrong``, ``missed`` and ``leaked`` as shares of ``objects``; the last may exceed 1. NaN without objects."""
        counts = {"wrong": self.wrong, "missed": self.missed, "leaked": self.leaked}
        return {name: count / self.objects if self.objects else float("nan") for name, count in counts.items()}


def confusion(prediction: NDArray[Any], truth: NDArray[Any]) -> Confusion:
    """Compare two label maps pixel by pixel.

    Args:
        prediction: ids of any shape, 0 for the background.
        truth: the same shape; the ids mean the same objects.

    Raises:
        InputError: different shapes.
    """
    if prediction.shape != truth.shape:
        raise InputError(
            f"label maps of shapes {prediction.shape} and {truth.shape} cannot be compared. Make them one size."
        )
    ours, theirs = prediction != 0, truth != 0
    return Confusion(
        objects=int(np.count_nonzero(theirs)),
        wrong=int(np.count_nonzero(ours & theirs & (prediction != truth))),
        missed=int(np.count_nonzero(theirs & ~ours)),
        leaked=int(np.count_nonzero(ours & ~theirs)),
    )
