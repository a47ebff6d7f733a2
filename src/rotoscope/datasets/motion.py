"""Smooth random motion of a layer: affine paths with an elastic part, as sampling maps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Path2D:
    """The motion of one layer over a clip.

    Attributes:
        centre: ``[T, 2]``, where the layer's centre is in the frame, in pixels (x, y).
        angle: the rotation of the layer in each frame, ``[T]``, in radians.
        scale: its size in each frame, ``[T, 2]``: frame pixels per layer pixel along the two axes of the layer.
        shear: its shear in each frame, ``[T]``.
        bend: ``[T, g, g, 2]``, elastic displacement on a coarse grid over the frame, in layer pixels.
    """

    centre: NDArray[np.float64]
    angle: NDArray[np.float64]
    scale: NDArray[np.float64]
    shear: NDArray[np.float64]
    bend: NDArray[np.float64]

    def velocity(self, t: int) -> NDArray[np.float64]:
        """Movement of the centre about frame ``t``, in pixels per frame."""
        low, high = max(t - 1, 0), min(t + 1, len(self.centre) - 1)
        return np.asarray((self.centre[high] - self.centre[low]) / max(high - low, 1))

    def sampling_map(self, t: int, layer_size: tuple[int, int], size: int) -> tuple[FloatArray, FloatArray]:
        """Where each pixel of frame ``t`` looks in the layer.

        Args:
            t: the frame.
            layer_size: width and height of the layer.
            size: side of the square frame.
        Returns: x and y in layer pixels, each ``[size, size]``.
        """
        cos, sin = np.cos(self.angle[t]), np.sin(self.angle[t])
        forward = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, self.shear[t]], [0, 1]]) @ np.diag(self.scale[t])
        inverse = np.linalg.inv(forward).astype(np.float32)
        xs = np.arange(size, dtype=np.float32)[None, :] - np.float32(self.centre[t, 0])
        ys = np.arange(size, dtype=np.float32)[:, None] - np.float32(self.centre[t, 1])
        middle = (np.float32((layer_size[0] - 1) / 2), np.float32((layer_size[1] - 1) / 2))
        map_x = inverse[0, 0] * xs + inverse[0, 1] * ys + middle[0]
        map_y = inverse[1, 0] * xs + inverse[1, 1] * ys + middle[1]
        if self.bend.any():
            field = cv2.resize(self.bend[t].astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
            map_x, map_y = map_x + field[..., 0], map_y + field[..., 1]
        return map_x, map_y


def random_path(
    rng: np.random.Generator,
    frames: int,
    *,
    start: tuple[float, float],
    scale: float,
    speed: float,
    turn: float,
    zoom: float,
    elastic: float,
    grid: int = 4,
) -> Path2D:
    """Draw a smooth path.

    Args:
        rng: the source of randomness.
        frames: length of the clip.
        start: where the centre is in the first frame, in pixels.
        scale: size of the layer in the first frame, frame pixels per layer pixel.
        speed: typical movement per frame, in pixels.
        turn: typical rotation per frame, in radians.
        zoom: typical change of the logarithm of the scale per frame.
        elastic: typical elastic displacement per frame, in layer pixels.
        grid: points of the elastic grid along a side.
    """
    steady = 0.7  # share of the motion that goes on in one direction; the rest changes from frame to frame

    def walk(size: tuple[int, ...], step: float) -> NDArray[np.float64]:
        drift = rng.normal(0, step, (1, *size))
        steps = steady * drift + (1 - steady) * rng.normal(0, step, (max(frames - 1, 0), *size))
        return np.concatenate([np.zeros((1, *size)), np.cumsum(steps, axis=0)])[:frames]

    direction, radius = rng.uniform(0, 2 * np.pi), speed * rng.uniform(0.4, 1.6)
    drift = radius * np.array([np.cos(direction), np.sin(direction)])
    steps = drift + rng.normal(0, 0.35 * speed, (max(frames - 1, 0), 2))
    centre = np.array(start) + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])[:frames]
    stretch = walk((2,), zoom * 0.4) + walk((1,), zoom)
    return Path2D(
        centre=centre,
        angle=walk((), turn) + rng.normal(0, 0.15),
        scale=scale * np.exp(np.clip(stretch, -1.2, 1.2)),
        shear=walk((), turn * 0.3),
        bend=walk((grid, grid, 2), elastic) if elastic else np.zeros((frames, grid, grid, 2)),
    )
