"""J, F and their statistics against the numbers of the official evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rotoscope.errors import InputError
from rotoscope.evaluation import contour_accuracy, region_similarity, statistics
from rotoscope.evaluation.contour import boundary, radius

GOLDEN = Path(__file__).parent.parent / "golden"
EXPECTED = json.loads((GOLDEN / "davis_metrics.json").read_text())
SEMI = [name for name, case in EXPECTED.items() if "semi" in case]
UNSUPERVISED = [name for name, case in EXPECTED.items() if "unsupervised" in case]


@pytest.fixture(scope="module")
def maps() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "davis_metrics.npz"))


@pytest.mark.parametrize("name", SEMI)
def test_semi_supervised(maps: dict[str, np.ndarray], name: str) -> None:
    truth, ours = maps[f"{name}_gt"][1:-1], maps[f"{name}_pred"][1:-1]
    for object_id, expected in enumerate(EXPECTED[name]["semi"], 1):
        for measure, key in ((region_similarity, "J"), (contour_accuracy, "F")):
            values = [measure(a == object_id, b == object_id) for a, b in zip(ours, truth, strict=True)]
            np.testing.assert_allclose(values, expected[f"{key}_frames"], atol=1e-6)
            found = statistics(values)
            np.testing.assert_allclose((found.mean, found.recall, found.decay), expected[key], atol=1e-6)


@pytest.mark.parametrize("name", UNSUPERVISED)
def test_pairs_of_the_unsupervised_protocol(maps: dict[str, np.ndarray], name: str) -> None:
    truth, ours = maps[f"{name}_gt"], maps[f"{name}_pred"].copy()
    ours[truth == 255] = 0  # unknown pixels are left out of both
    for pair in EXPECTED[name]["unsupervised"]:
        if pair["proposal"] is None or "J" not in pair:
            continue
        for measure, key in ((region_similarity, "J"), (contour_accuracy, "F")):
            masks = zip(ours == pair["proposal"], truth == pair["object"], strict=True)
            found = statistics([measure(a, b) for a, b in masks])
            expected = pair[key]
            if isinstance(expected, list):
                np.testing.assert_allclose((found.mean, found.recall, found.decay), expected, atol=1e-6)
            else:
                np.testing.assert_allclose(found.mean, expected, atol=1e-6)


def dilated(edge: np.ndarray, reach: int) -> np.ndarray:
    ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (xs**2 + ys**2 <= reach**2).astype(np.uint8)
    padded = cv2.copyMakeBorder(edge.astype(np.uint8), reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
    return cv2.dilate(padded, disc)[reach:-reach, reach:-reach].astype(bool)


@given(
    masks=st.integers(2, 40).flatmap(
        lambda h: st.integers(2, 40).flatmap(lambda w: st.tuples(*[hnp.arrays(bool, (h, w))] * 2))
    ),
    bound=st.sampled_from([0.008, 1, 3, 5]),
)
def test_contour_accuracy_equals_the_plain_dilation(masks: tuple[np.ndarray, np.ndarray], bound: float) -> None:
    ours, theirs = (boundary(mask) for mask in masks)
    reach = radius(masks[0].shape, bound)
    if not ours.any() or not theirs.any():
        expected = float(ours.any() == theirs.any())
    else:
        precision = (ours & dilated(theirs, reach)).sum() / ours.sum()
        recall = (theirs & dilated(ours, reach)).sum() / theirs.sum()
        expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert contour_accuracy(*masks, bound=bound) == pytest.approx(expected, abs=1e-9)


def test_boundary_by_hand() -> None:
    mask = np.zeros((5, 5), bool)
    mask[1:3, 1:3] = True
    expected = np.zeros((5, 5), bool)
    expected[0, :3] = expected[1, [0, 2]] = expected[2, :3] = True
    assert np.array_equal(boundary(mask), expected)


def test_radius_of_480p() -> None:
    assert radius((480, 854)) == 8
    assert radius((10, 10), 3) == 3


def test_decay_of_a_long_sequence_is_right() -> None:
    values = np.concatenate([np.ones(300), np.zeros(300)])
    assert statistics(values.tolist()).decay == pytest.approx(1.0)


def test_statistics_leave_out_what_is_not_known() -> None:
    found = statistics([1.0, float("nan"), 0.0, 1.0])
    assert found.mean == pytest.approx(2 / 3)
    assert np.isnan(statistics([float("nan")]).mean)


def test_other_sizes_are_refused_too() -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        contour_accuracy(np.zeros((2, 3)), np.zeros((3, 2)))
