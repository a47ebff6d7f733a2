"""Temporal stability."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rotoscope.evaluation.temporal import (
    SPACING,
    cheapest_partners,
    closed_matching,
    histogram_costs,
    monotone_matching,
    outline,
    shape_contexts,
    temporal_stability,
)


def disc(radius: float, centre: tuple[float, float] = (50, 50), size: int = 100) -> np.ndarray:
    ys, xs = np.mgrid[:size, :size]
    return (ys - centre[0]) ** 2 + (xs - centre[1]) ** 2 <= radius**2


def test_no_change_costs_nothing_wherever_it_is() -> None:
    assert temporal_stability(disc(20), disc(20)) == pytest.approx(0, abs=1e-9)
    assert temporal_stability(disc(20), disc(20, (60, 45))) == pytest.approx(0, abs=1e-9)


def test_rougher_outlines_cost_more() -> None:
    rng = np.random.default_rng(0)
    smooth = disc(25)
    rough = smooth.copy()
    for _ in range(14):
        angle = rng.uniform(0, 2 * np.pi)
        rough ^= disc(6, (50 + 25 * np.sin(angle), 50 + 25 * np.cos(angle)))
    nearly = temporal_stability(smooth, disc(26))
    assert nearly < temporal_stability(smooth, rough)
    assert 0 <= nearly < 0.1


def test_empty_masks_have_no_stability() -> None:
    assert np.isnan(temporal_stability(disc(20), np.zeros((100, 100), bool)))
    single = np.zeros((100, 100), bool)
    single[5, 5] = True
    assert np.isnan(temporal_stability(single, disc(20)))


def test_outline_is_the_longest_and_dense() -> None:
    mask = np.zeros((100, 100), bool)
    mask[10:20, 10:20] = True
    mask[40:90, 30:90] = True
    points = outline(mask)
    assert points is not None
    assert points[:, 0].min() == 30
    gaps = np.hypot(*(points - np.roll(points, 1, axis=0)).T)
    assert gaps.max() <= SPACING + 1e-9


def test_shape_contexts_count_the_others_around_a_point() -> None:
    square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    contexts = shape_contexts(square)
    assert contexts.shape == (4, 60)
    np.testing.assert_allclose(contexts.sum(axis=1), 1)
    assert np.count_nonzero(contexts[0]) == 3  # one neighbour right, one below, one on the diagonal
    assert not np.array_equal(contexts[0], contexts[1])


def test_histogram_costs_are_half_the_chi_squared_sum() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((3, 60)), rng.random((4, 60))
    a[a < 0.5] = 0
    a[1] = 0
    expected = [[0.5 * sum((x - y) ** 2 / (x + y) for x, y in zip(p, q, strict=True) if x + y) for q in b] for p in a]
    np.testing.assert_allclose(histogram_costs(a, b), expected, atol=1e-12)


def test_monotone_matching_is_the_cheapest_path() -> None:
    rng = np.random.default_rng(2)
    costs = rng.random((4, 5))

    def paths(i: int, j: int) -> list[list[tuple[int, int]]]:
        if (i, j) == (0, 0):
            return [[(0, 0)]]
        before = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        return [[*path, (i, j)] for p, q in before if p >= 0 and q >= 0 for path in paths(p, q)]

    cheapest = min(sum(costs[pair] for pair in path) for path in paths(3, 4))
    found = monotone_matching(costs)
    assert sum(costs[pair] for pair in found) == pytest.approx(cheapest)
    steps = {(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(found)}
    assert steps <= {(0, 1), (1, 0), (1, 1)}


def test_closed_matching_finds_another_start() -> None:
    points = outline(disc(20) | disc(10, (30, 70)))
    assert points is not None
    contexts = shape_contexts(points)
    costs = histogram_costs(contexts, np.roll(contexts, 17, axis=0))
    path = cheapest_partners(closed_matching(costs), costs)
    assert np.mean([costs[pair] for pair in path]) == pytest.approx(0, abs=1e-9)
    assert sum(np.diag(histogram_costs(contexts, np.roll(contexts, 17, axis=0)))) > 0


def test_each_point_keeps_one_partner() -> None:
    costs = np.array([[0.1, 0.5], [0.2, 0.0], [0.9, 0.3]])
    path = [(0, 0), (1, 0), (1, 1), (2, 1)]
    assert cheapest_partners(path, costs) == [(0, 0), (1, 1)]
