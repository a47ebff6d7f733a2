"""Coarse masks that settle on the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rotoscope.masks.guided import settle


def scene(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
    """A bright disk on a dark ground, where it is, and a coarse mask of it: shifted, too large and soft."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:96, :160]
    truth = np.hypot(rows - 50, columns - 70) < 24
    image = np.where(truth[..., None], (200, 150, 90), (60, 80, 110)) + rng.normal(0, 4, (96, 160, 3))
    rough = cv2.resize((np.hypot(rows - 52, columns - 74) < 27).astype(np.float32)[4::8, 4::8], (160, 96))
    return image.clip(0, 255).astype(np.uint8), truth, np.asarray(rough, np.float32)


def overlap(mask: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    return float(((mask > 0.5) & truth).sum() / ((mask > 0.5) | truth).sum())


@pytest.mark.parametrize("seed", range(3))
def test_a_coarse_mask_follows_the_edge(seed: int) -> None:
    image, truth, rough = scene(seed)
    before, once, twice, often = (overlap(settle(image, rough, passes), truth) for passes in (0, 1, 2, 5))
    assert before < 0.75
    assert before + 0.08 < once < twice - 0.05
    assert twice > 0.9
    assert often > 0.99


def test_without_a_pass_it_is_the_very_same() -> None:
    image, _, rough = scene(0)
    assert settle(image, rough, 0) is rough


@given(seed=st.integers(0, 1000), level=st.sampled_from([0.0, 0.3, 1.0]), passes=st.integers(1, 3))
def test_a_mask_that_is_the_same_everywhere_stays_so(seed: int, level: float, passes: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    settled = settle(image, np.full((24, 40), level, np.float32), passes)
    assert settled.dtype == np.float32
    assert ((settled > 0.5) == (level > 0.5)).all()
    assert ((settled >= 0) & (settled <= 1)).all()
