"""Measure written masks against exact ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.evaluation import region_similarity


def score_folder(
    folder: Path, truth: NDArray[Any], object_ids: Sequence[int]
) -> tuple[dict[int, float], list[NDArray[Any]]]:
    """Mean J of each object, first and last frame left out, and the masks read.

    Args:
        folder: palette masks ``00000.png``, ….
        truth: labels ``[T, H, W]``.
        object_ids: which objects.
    """
    found = []
    for t in range(len(truth)):
        with Image.open(folder / f"{t:05d}.png") as opened:
            found.append(np.array(opened))
    scores = {
        i: float(np.mean([region_similarity(found[t] == i, truth[t] == i) for t in range(1, len(truth) - 1)]))
        for i in object_ids
    }
    return scores, found
