"""Edges of masks brought to the edges of the picture: the guided filter (He, Sun and Tang, PAMI 2013)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

RADIUS = 120
"""The longer side of a picture by the radius of the filter's windows."""
WIDE, FLAT, SHARPNESS = 28, 3e-5, 12.0
"""Where a mask is settled: the longer side by the radius, as it may be wrong by whole cells of a network; equation 5's
epsilon; and the steepness of the logistic curve by which its values are told apart."""
EPSILON = 1e-4
"""Of the paper's equation 5: how much the colours must differ to be an edge; of colours in [0, 1]."""


def refine(
    image: NDArray[np.uint8], alpha: NDArray[np.float32], radius: int | None = None, epsilon: float = EPSILON
) -> NDArray[np.float32]:
    """Filter a soft mask, with the picture as guide: in each window it becomes a linear function of the colour.

    Section 3.5 of the paper, with all three colours. Far from any edge of the mask nothing changes.

    Args:
        image: RGB ``[H, W, 3]``.
        alpha: ``[H, W]`` in [0, 1].
        radius: of a window, in pixels; from the picture's size unless given.
        epsilon: see :data:`EPSILON`.
    Returns: ``[H, W]`` in [0, 1].
    """
    radius = radius or max(2, round(max(alpha.shape) / RADIUS))
    window = _around(alpha, 4 * radius)
    if window is None:
        return alpha
    guide, soft = image[window].astype(np.float32) / 255, alpha[window]

    def mean(values: NDArray[Any]) -> NDArray[Any]:
        side = 2 * radius + 1
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    mean_i, mean_p = mean(guide), mean(soft)
    covariance = mean(guide * soft[..., None]) - mean_i * mean_p[..., None]
    red, green, blue = np.moveaxis(guide, -1, 0)
    squares = mean(guide * guide) - mean_i * mean_i + epsilon
    crossed = mean(np.dstack([green * blue, red * blue, red * green]))
    crossed -= mean_i[..., [1, 0, 0]] * mean_i[..., [2, 2, 1]]
    slope = _solved(squares, crossed, covariance)
    offset = mean_p - (slope * mean_i).sum(axis=-1)
    filtered = (mean(slope) * guide).sum(axis=-1) + mean(offset)
    result = alpha.copy()
    result[window] = np.clip(filtered, 0, 1)
    return result


def settle(image: NDArray[np.uint8], alpha: NDArray[np.float32], passes: int) -> NDArray[np.float32]:
    """Let a coarse mask follow the picture: filter it, decide more clearly what was unsure, and again.

    A window with colours of the object and of what is beside it ends up divided between them, as by a conditional
    random field. Not in any paper; the filter is :func:`refine`.

    Args:
        image: RGB ``[H, W, 3]``.
        alpha: ``[H, W]`` in [0, 1].
        passes: how often.
    Returns: ``[H, W]`` in [0, 1].
    """
    radius = max(2, round(max(alpha.shape) / WIDE))
    for _ in range(passes):
        alpha = 1 / (1 + np.exp(SHARPNESS * (0.5 - refine(image, alpha, radius, FLAT))))
    return alpha


def _solved(squares: NDArray[Any], crossed: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Solve a symmetric system of three equations at each pixel, by its adjugate; all ``[H, W, 3]``.

    Args:
        squares: the diagonal: red, green, blue.
        crossed: beside it: green with blue, red with blue, red with green.
        right: the right side.
    """
    (a, b, c), (f, e, d) = np.moveaxis(squares, -1, 0), np.moveaxis(crossed, -1, 0)
    aa, bb, cc = b * c - f * f, a * c - e * e, a * b - d * d
    ab, ac, bc = e * f - c * d, d * f - b * e, d * e - a * f
    determinant = a * aa + d * ab + e * ac
    x, y, z = np.moveaxis(right, -1, 0)
    rows = (aa * x + ab * y + ac * z, ab * x + bb * y + bc * z, ac * x + bc * y + cc * z)
    return np.stack(rows, axis=-1) / determinant[..., None]


def _around(alpha: NDArray[np.float32], margin: int) -> tuple[slice, slice] | None:
    """The part of a picture that holds all of a mask's edges, with a margin; None if it has no edge."""
    low = np.float32(0.02)
    there = alpha > low
    if not there.any():
        return None
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return slice(top, rows[-1] + margin + 1), slice(left, columns[-1] + margin + 1)
