"""Where to paste a moving object into a clip so that it passes before or behind what is there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

COARSE = 60
"""Height in pixels of the masks that places are looked for with."""
CANDIDATES = 60
MEETING = 0.15
"""Share of the smaller object that lies over the other from which on they count as meeting."""


@dataclass(frozen=True)
class Place:
    """Where another clip's frames lie on a clip's canvas, in heights of the canvas.

    Attributes:
        scale: their height.
        left, top: the column and the row of their upper left corner, in pixels.
    """

    scale: float
    left: float
    top: float


def laid_masks(masks: NDArray[np.bool_], place: Place, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bring masks ``[T, h, w]`` to their place on a canvas ``[H, W]``; returns ``[T, H, W]``."""
    height, width = shape
    tall = max(round(place.scale * height), 1)
    size = (max(round(tall * masks.shape[2] / masks.shape[1]), 1), tall)
    move = np.array([[1, 0, round(place.left * height)], [0, 1, round(place.top * height)]], np.float32)
    resized = [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) for mask in masks]
    return np.stack([cv2.warpAffine(one, move, (width, height)) for one in resized]) >= 0.5


def find_place(rng: np.random.Generator, standing: NDArray[np.bool_], moving: NDArray[np.bool_]) -> Place:
    """Draw places until one makes the objects meet in part of the clip.

    Wanted: apart enough in the first frame that both can be seen; meeting in a fifth to seven tenths of the frames;
    the pasted object mostly inside. Where no draw gives all that, the one that comes nearest is taken.

    Args:
        rng: the source of randomness.
        standing: objects that are there, ``[T, H, W]``; some pixels of the first frame are set.
        moving: the object to paste, ``[T, h, w]``; the same.
    """
    best, least = None, np.inf
    for _ in range(CANDIDATES):
        place = _draw(rng, standing[0], moving[0])
        fault = _fault(standing, laid_masks(moving, place, standing.shape[1:]), place.scale**2 * _areas(moving))
        if fault < least:
            best, least = place, fault
        if not fault:
            break
    assert best is not None
    return best


def _draw(rng: np.random.Generator, standing: NDArray[np.bool_], moving: NDArray[np.bool_]) -> Place:
    """A size like the other object's, and a place beside it."""
    height = standing.shape[0]
    here, there = max(float(standing.sum()), 1.0), max(float(moving.sum()), 1.0)
    scale = float(np.clip(np.sqrt(here / there) * np.exp(rng.uniform(np.log(0.6), np.log(1.25))), 0.3, 1.5))
    angle = rng.uniform(0, 2 * np.pi)
    distance = rng.uniform(0.6, 1.6) * (np.sqrt(here) + scale * np.sqrt(there)) / 2
    wanted = _centre(standing) + distance * np.array([np.cos(angle), np.sin(angle)])
    left, top = (wanted - scale * _centre(moving)) / height
    return Place(scale, float(left), float(top))


def _fault(standing: NDArray[np.bool_], pasted: NDArray[np.bool_], whole: NDArray[np.float64]) -> float:
    """How far a place is from what is wanted; 0 if it is all there. ``whole``: areas of the pasted object, uncut."""
    here, there = _areas(standing), _areas(pasted)
    overlap = _areas(standing & pasted) / np.maximum(np.minimum(here, there), 1)
    inside = np.minimum(there / np.maximum(whole, 1), 1)
    meeting = float((overlap >= MEETING).mean())
    shown = inside[whole >= 1]
    return float(
        max(0.2 - meeting, 0)
        + max(meeting - 0.7, 0)
        + 2 * max(overlap[0] - 0.2, 0)
        + 2 * max(0.6 - inside[0], 0)
        + max(0.6 - (float(shown.mean()) if len(shown) else 0.0), 0)
    )


def _areas(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    return masks.sum(axis=(1, 2)).astype(np.float64)


def _centre(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean place of the pixels set, (x, y); the middle if there are none."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return np.array(mask.shape[::-1]) / 2
    return np.array([columns.mean(), rows.mean()])
