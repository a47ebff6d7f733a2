"""Geometric and colour changes of training frames; geometry alike for image and mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

MEAN_COLOUR = (124, 116, 104)
"""What lies beyond a picture's edge: the mean colour of ImageNet, RGB."""
Rgb = NDArray[np.uint8]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Affine:
    """Ranges of a random affine map about the centre.

    Attributes:
        degrees: rotation up to so many degrees either way.
        scale: factor of the size.
        shear: up to so many degrees either way.
        shift: up to this share of the side either way.
        by_axis: whether the factors of the two axes are drawn apart.
    """

    degrees: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    shift: float = 0.0
    by_axis: bool = False

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
        """A matrix ``[2, 3]`` from source to target pixels, for a picture of width and height ``size``."""
        angle, shear = np.deg2rad(rng.uniform(-1, 1, 2) * (self.degrees, self.shear))
        factor = rng.uniform(*self.scale)
        other = rng.uniform(*self.scale) if self.by_axis else factor
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = turn @ np.array([[1, np.tan(shear)], [0, 1]]) @ np.diag([factor, other])
        centre = (np.array(size) - 1) / 2
        offset = centre - linear @ centre + rng.uniform(-1, 1, 2) * self.shift * np.array(size)
        return np.column_stack([linear, offset])


@dataclass(frozen=True)
class Colour:
    """Ranges of random changes: brightness, contrast and saturation as factors 1 ± x, hue as a share of a turn."""

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """Factors, and the turn of the hue."""
        b, c, s = 1 + rng.uniform(-1, 1, 3) * (self.brightness, self.contrast, self.saturation)
        return float(b), float(c), float(s), float(rng.uniform(-1, 1) * self.hue)


def recolour(image: Rgb, change: tuple[float, float, float, float]) -> Rgb:
    """Apply drawn factors of brightness, contrast, saturation and a turn of the hue."""
    brightness, contrast, saturation, hue = change
    work = image.astype(np.float32) * brightness
    grey = work @ np.array([0.299, 0.587, 0.114], np.float32)
    work = (work - grey.mean()) * contrast + grey.mean()
    grey = work @ np.array([0.299, 0.587, 0.114], np.float32)
    work = (work - grey[..., None]) * saturation + grey[..., None]
    done: NDArray[Any] = np.clip(work, 0, 255).astype(np.uint8)
    if hue:
        hsv = cv2.cvtColor(done, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(hue * 180)) % 180
        done = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.asarray(done, dtype=np.uint8)


def to_grey(image: Rgb) -> Rgb:
    """The picture without colour, still of three channels."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def warp(image: Rgb, labels: Labels, matrix: NDArray[np.float64], size: tuple[int, int]) -> tuple[Rgb, Labels]:
    """Apply an affine map to a picture (bilinear) and its labels (nearest); ``size`` is the target's."""
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=MEAN_COLOUR)
    marked = cv2.warpAffine(labels, matrix, size, flags=cv2.INTER_NEAREST, borderValue=0)
    return np.asarray(moved, dtype=np.uint8), np.asarray(marked, dtype=np.uint8)


def thin_plate(
    rng: np.random.Generator, image: Rgb, labels: Labels, points: int = 12, spread: float = 0.02
) -> tuple[Rgb, Labels]:
    """Bend a picture and its labels by a random thin-plate spline.

    Args:
        rng: the source of randomness.
        image, labels: of one size.
        points: control points, at random places.
        spread: standard deviation of their movement, as a share of the size.
    """
    height, width = labels.shape
    size = np.array([width, height])
    source = rng.uniform(0, 1, (points, 2))
    bend = RBFInterpolator(source, rng.normal(0, spread, (points, 2)), kernel="thin_plate_spline")
    grid = 17  # the bend is smooth: a coarse grid, enlarged, says the same
    places = np.stack(np.meshgrid(np.linspace(0, 1, grid), np.linspace(0, 1, grid)), axis=-1).reshape(-1, 2)
    moves = (bend(places) * size).reshape(grid, grid, 2).astype(np.float32)
    field = cv2.resize(moves, (width, height), interpolation=cv2.INTER_LINEAR)
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    maps = xs + field[..., 0], ys + field[..., 1]
    bent = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderValue=MEAN_COLOUR)
    marked = cv2.remap(labels, *maps, cv2.INTER_NEAREST, borderValue=0)
    return np.asarray(bent, dtype=np.uint8), np.asarray(marked, dtype=np.uint8)
