"""Random outlines: polygons and smooth blobs, as soft masks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def random_shape(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Draw a random outline that fills most of a square.

    Args:
        rng: the source of randomness.
        size: side of the square in pixels.
    Returns: alpha, uint8 ``[size, size]`` in [0, 255].
    """
    corners = int(rng.integers(3, 12))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    roughness = rng.uniform(0.1, 0.6)
    radii = (1 - roughness * rng.random(corners)) * size * 0.48
    aspect = rng.uniform(0.35, 1.0)
    if rng.random() < 0.5:  # smooth: interpolate the radius around the circle instead of joining corners
        dense = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        wrapped = np.concatenate([angles - 2 * np.pi, angles, angles + 2 * np.pi])
        radii = np.interp(dense, wrapped, np.tile(radii, 3))
        kernel = np.hanning(15)
        radii = np.convolve(np.tile(radii, 3), kernel / kernel.sum(), mode="same")[96:192]
        angles = dense
    points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii * aspect], axis=1)
    tilt = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    alpha = np.zeros((size, size), np.uint8)
    cv2.fillPoly(alpha, [np.round(points @ rotation.T + size / 2).astype(np.int32)], 255, cv2.LINE_AA)
    if rng.random() < 0.25:  # a hole, or a bite out of the outline
        offset = rng.normal(0, size * 0.2, 2) + size / 2
        radius = int(size * rng.uniform(0.05, 0.2))
        cv2.circle(alpha, (int(offset[0]), int(offset[1])), radius, 0, -1, cv2.LINE_AA)
    return alpha
