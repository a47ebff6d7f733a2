"""Parts of a mask that stand apart from the rest: an unwanted click on one takes it away, and leaves the rest alone."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

LARGEST = 0.5
"""Share of the largest part's area that a part may have at most; a click on a larger one is about the object itself."""


def detached_part(
    mask: NDArray[np.bool_], place: tuple[int, int], wanted: Iterable[tuple[int, int]] = ()
) -> NDArray[np.bool_] | None:
    """The connected part of a mask that an unwanted click means as a whole.

    Args:
        mask: bool ``[H, W]``.
        place: column and row of the click.
        wanted: columns and rows of pixels that are known to be wanted.

    Returns: its pixels, bool ``[H, W]``; None where the click lies on no part, on the largest or one nearly as large,
    or on one with a wanted pixel. What is to go is then for others to say.
    """
    x, y = place
    if not mask[y, x]:
        return None
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    meant = parts[y, x]
    if areas[meant - 1] > LARGEST * areas.max() or any(parts[row, column] == meant for column, row in wanted):
        return None
    return np.asarray(parts == meant)
