"""Clips and masks drawn for tests, a run over them, and what a folder holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rotoscope.methods.base import Method
from rotoscope.methods.prediction import Prediction


def clip_of(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    width, height = size
    back = rng.integers(0, 255, (height, width + 3 * count, 3), dtype=np.uint8)
    return np.stack([back[:, 3 * t : 3 * t + width] for t in range(count)])


def stripes(count: int, size: tuple[int, int]) -> dict[int, np.ndarray]:
    width, height = size
    masks = {}
    for number in range(count):
        mask = np.zeros((height, width), bool)
        mask[:, number * width // count : (number + 1) * width // count] = True
        masks[number + 1] = mask
    return masks


def run(model: Method, frames: np.ndarray, masks: dict[int, np.ndarray], **options: object) -> list[Prediction]:
    session = model.session(**options)
    session.add(masks)
    return [prediction for frame in frames for prediction in session.push(frame)] + session.finish()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path in it, and what is in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
