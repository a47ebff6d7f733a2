"""Outlines of masks and back: exact without tolerance, close with it, holes and parts kept."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rotoscope.masks.polygons import Polygon, fill, joined, polygons_of, signed_area


def blobs(seed: int, size: tuple[int, int] = (97, 61), level: float = 0.5, smooth: float = 5) -> NDArray[np.bool_]:
    """A mask of several parts with holes."""
    noise = np.random.default_rng(seed).random((size[1], size[0])).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), smooth)
    return np.asarray(soft > np.quantile(soft, level))


def drawn(polygons: list[Polygon], size: tuple[int, int]) -> NDArray[np.bool_]:
    return fill([ring for polygon in polygons for ring in polygon.rings], size)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


@pytest.mark.parametrize("seed", range(12))
def test_without_tolerance_the_very_mask_comes_back(seed: int) -> None:
    mask = np.random.default_rng(seed).random((13, 17)) > 0.5 if seed % 2 else blobs(seed)
    size = mask.shape[1], mask.shape[0]
    found = polygons_of(mask, 0)
    np.testing.assert_array_equal(drawn(found, size), mask)
    assert [abs(signed_area(p.outer)) for p in found] == sorted(
        (abs(signed_area(p.outer)) for p in found), reverse=True
    )
    np.testing.assert_array_equal(np.any([fill([p.joined()], size) for p in found], axis=0), mask)
    np.testing.assert_array_equal(fill([joined(found)], size), mask)


@pytest.mark.parametrize("seed", range(6))
def test_with_a_pixel_of_tolerance_little_is_lost(seed: int) -> None:
    mask = blobs(seed, (640, 360), 0.8, 20)
    found = polygons_of(mask, 1.0)
    assert iou(drawn(found, (640, 360)), mask) > 0.99
    exact = polygons_of(mask, 0)
    assert sum(len(r) for p in found for r in p.rings) < sum(len(r) for p in exact for r in p.rings) / 3


def test_a_disc_with_a_hole_at_a_pixel_of_tolerance() -> None:
    y, x = np.mgrid[:200, :300]
    mask = ((x - 140) ** 2 + (y - 100) ** 2 < 80**2) & ((x - 150) ** 2 + (y - 90) ** 2 > 30**2)
    (polygon,) = polygons_of(mask, 1.0)
    assert len(polygon.holes) == 1
    assert iou(drawn([polygon], (300, 200)), mask) > 0.99
    assert iou(fill([polygon.joined()], (300, 200)), mask) > 0.99
    assert len(polygon.outer) < 90


def test_single_pixels_and_thin_lines_are_not_lost() -> None:
    mask = np.zeros((20, 20), bool)
    mask[3, 4] = mask[10, 2:15] = mask[12:18, 17] = True
    for tolerance in (0.0, 0.5, 2.0):
        assert iou(drawn(polygons_of(mask, tolerance), (20, 20)), mask) > 0.99
    assert polygons_of(np.zeros((4, 4), bool)) == []
    assert drawn(polygons_of(np.ones((4, 6), bool), 0), (6, 4)).all()


def test_what_lies_outside_the_picture_is_cut_off() -> None:
    ring = np.array([(-5.0, -5.0), (5.0, -5.0), (5.0, 30.0), (-5.0, 30.0)])
    found = fill([ring], (10, 8))
    assert found[:, :5].all()
    assert not found[:, 5:].any()
