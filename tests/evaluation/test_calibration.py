from __future__ import annotations

import numpy as np
import pytest

from rotoscope.evaluation.calibration import calibrate


def test_a_confidence_that_is_the_quality_has_no_error() -> None:
    quality = np.linspace(0, 1, 501)
    found = calibrate(quality.tolist(), quality.tolist())
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.rank == 1
    assert sum(b.count for b in found.bins) == 501


def test_by_hand() -> None:
    found = calibrate([0.95, 0.91, 0.15, 1.0], [0.5, 0.7, 0.15, 0.9])
    last, second = found.bins[9], found.bins[1]
    assert (last.count, second.count) == (3, 1)
    assert last.confidence == pytest.approx((0.95 + 0.91 + 1.0) / 3)
    assert last.quality == pytest.approx(0.7)
    assert found.error == pytest.approx(3 / 4 * (2.86 / 3 - 0.7))
    assert found.rank == pytest.approx(5 / 6)  # only 0.95 against 0.91 is the wrong way round


def test_a_constant_confidence_tells_no_order() -> None:
    assert calibrate([0.9] * 20, np.linspace(0, 1, 20).tolist()).rank == 0.5
    assert np.isnan(calibrate([0.9, 0.8], [0.5, 0.5]).rank)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="as many of each"):
        calibrate([0.5], [])
