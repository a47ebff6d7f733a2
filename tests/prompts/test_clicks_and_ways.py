"""Simulated clicks, and the ways that need no network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotoscope import Points, load_prompter
from rotoscope.evaluation import region_similarity
from rotoscope.masks.points import Placed
from rotoscope.prompts.classical import WAYS
from rotoscope.prompts.clicks import box_of, jittered_box, next_click
from rotoscope.prompts.training import spoilt_mask


def masks(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 50), bool)
    top, left = rng.integers(0, 30), rng.integers(0, 40)
    mask[top : top + rng.integers(1, 20), left : left + rng.integers(1, 20)] = True
    return mask


@given(st.integers(0, 1000), st.booleans())
def test_a_click_falls_on_an_error_and_says_what_it_is(seed: int, random: bool) -> None:
    truth, answer = masks(seed), masks(seed + 1)
    click = next_click(answer, truth, np.random.default_rng(seed) if random else None)
    if click is None:
        assert np.array_equal(truth, answer)
    else:
        assert truth[click.y, click.x] == click.wanted
        assert answer[click.y, click.x] != click.wanted


def test_the_click_is_in_the_middle_of_the_largest_error() -> None:
    truth, answer = np.zeros((40, 50), bool), np.zeros((40, 50), bool)
    truth[10:31, 10:31] = True
    answer[2:7, 40:45] = True
    assert next_click(answer, truth) == (20, 20, True)
    assert next_click(answer | truth, truth) == (42, 4, False)


@given(st.integers(0, 1000))
def test_boxes_hold_the_object_about_and_have_an_area(seed: int) -> None:
    mask, rng = masks(seed), np.random.default_rng(seed)
    left, top, right, bottom = box_of(mask)
    assert mask[top:bottom, left:right].sum() == mask.sum()
    a, b, c, d = jittered_box(mask, rng)
    assert c - a > 1.9
    assert d - b > 1.9
    assert abs(a - left) <= 0.1 * (right - left)
    assert spoilt_mask(mask, rng).shape == mask.shape


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red disk on a bluish ground, both with noise."""
    rng = np.random.default_rng(1)
    ys, xs = np.mgrid[:120, :160]
    truth = (xs - 90) ** 2 + (ys - 60) ** 2 < 35**2
    image = np.where(truth[..., None], (200, 60, 50), (60, 80, 150)) + rng.normal(0, 6, (120, 160, 3))
    return np.clip(image, 0, 255).astype(np.uint8), truth


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "points",
    [Points((90, 60)), Points((90, 60), [(10, 10), (150, 100)]), Points(box=(52, 22, 128, 98))],
    ids=["click", "clicks", "box"],
)
def test_every_way_finds_a_plain_object(way: str, points: Points, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, truth = scene
    answer = load_prompter(way).open(image).answer(points.placed((160, 120)))
    assert answer.confidence is None
    assert answer.mask.shape == (120, 160)
    assert region_similarity(answer.chosen, truth) > 0.85


@pytest.mark.parametrize("way", WAYS)
def test_every_way_obeys_clicks_and_corrects_masks(way: str, scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, truth = scene
    picture = load_prompter(way).open(image)
    before = truth.copy()
    before[:, :75] = True  # too much on the left
    corrected = picture.answer(Placed(np.array([[20, 60]]), np.array([False])), before).chosen
    assert not corrected[60, 20]
    assert region_similarity(corrected, truth) > region_similarity(before, truth)
    both = picture.answer(Placed(np.array([[90, 60], [20, 20]]), np.array([True, False]))).chosen
    assert both[60, 90]
    assert not both[20, 20]
