"""J and F against the package vos-benchmark, on random and on real masks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from vos_benchmark.benchmark import benchmark

from rotoscope import evaluate

DATA = Path(os.environ.get("ROTOSCOPE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "davis-dev"


def compare(truth: Path, results: Path, spec: str) -> None:
    theirs = benchmark([str(truth)], [str(results)], num_processes=1, verbose=False)
    ours = evaluate(results, spec, jobs=1)
    overall = ours.overall()
    found = [100 * overall[name] for name in ("J&F", "J mean", "F mean")]
    np.testing.assert_allclose(found, [theirs[i][0] for i in range(3)], atol=1e-6)
    for scored in ours.objects:
        j, f = theirs[3][0][scored.sequence]
        key = scored.object_id if scored.object_id in j else 255
        assert 100 * scored.region.mean == pytest.approx(j[key], abs=1e-6)
        assert 100 * scored.contour.mean == pytest.approx(f[key], abs=1e-6)


def test_random_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, ids in (("a", 1), ("b", 3)):
        for t in range(5):
            coarse = rng.integers(0, ids + 1, (6, 9)).astype(np.uint8)
            coarse.flat[:ids] = range(1, ids + 1)  # every object in every frame: the two differ on what absence means
            truth = coarse.repeat(9, 0).repeat(8, 1)
            ours = np.roll(truth, rng.integers(-4, 5, 2), (0, 1))
            for place, labels in (("data/Annotations", truth), ("out", ours)):
                (tmp_path / place / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(labels).save(tmp_path / place / name / f"{t:05d}.png")
            (tmp_path / "data/JPEGImages" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(truth).save(tmp_path / "data/JPEGImages" / name / f"{t:05d}.jpg")
    compare(tmp_path / "data/Annotations", tmp_path / "out", f"pairs:{tmp_path}/data")


@pytest.mark.skipif(not DATA.is_dir(), reason="no davis-dev in ../shared/data or $ROTOSCOPE_DATA")
def test_real_masks_a_few_frames_late(tmp_path: Path) -> None:
    """The masks of two clips, each shown three frames late."""
    chosen = ("blackswan", "motocross-jump")
    for name in chosen:
        files = sorted((DATA / "Annotations/480p" / name).glob("*.png"))[:20]
        (tmp_path / "truth" / name).mkdir(parents=True)
        (tmp_path / "out" / name).mkdir(parents=True)
        for t, path in enumerate(files):
            (tmp_path / "truth" / name / path.name).symlink_to(path)
            (tmp_path / "out" / name / path.name).symlink_to(files[max(t - 3, 0)])
            (tmp_path / "frames" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "frames" / name / path.with_suffix(".jpg").name).symlink_to(path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/JPEGImages").symlink_to(tmp_path / "frames")
    (tmp_path / "data/Annotations").symlink_to(tmp_path / "truth")
    compare(tmp_path / "truth", tmp_path / "out", f"pairs:{tmp_path}/data")
