"""What do J and F cost? Ours, the plain published algorithm, and the package vos-benchmark, on the same masks.

Without --data the truth is the mask of a shape that moves; with it, a folder in the DAVIS layout. Results are the masks
of two frames before.
"""

from __future__ import annotations

import math
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: as the command does, see rotoscope/cli/evaluate.py

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.morphology import disk

from common import SIZE, options, report
from rotoscope.evaluation import contour_accuracy, evaluate, region_similarity
from rotoscope.evaluation.contour import boundary, radius

PLAIN_FRAMES = 24
"""Frames that the plain algorithm is timed on: it is slow, and every frame costs the same."""


def plain_f(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """F as it is published: dilate both boundaries of the whole picture by a disc, with scikit-image."""
    from skimage.morphology import dilation

    first, second = boundary(ours), boundary(theirs)
    footprint = disk(radius(ours.shape))
    if not first.any() or not second.any():
        return float(first.any() == second.any())
    precision = (first & dilation(second, footprint)).sum() / first.sum()
    recall = (second & dilation(first, footprint)).sum() / second.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def plain_j(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    return float((ours & theirs).sum() / (ours | theirs).sum()) if (ours | theirs).any() else 1.0


def moving_masks(folder: Path, clips: int, frames: int) -> None:
    """Ragged shapes that move, one a clip."""
    width, height = SIZE
    angles = np.linspace(0, 2 * math.pi, 200, endpoint=False)
    for clip in range(clips):
        rng = np.random.default_rng(clip)
        reach = 60 + 120 * rng.random()
        waves = np.stack([np.sin(k * angles + rng.uniform(0, 6)) / k for k in range(2, 9)])
        ragged = reach * (1 + 0.3 * waves.sum(axis=0))
        (folder / f"clip{clip}").mkdir(parents=True)
        for t in range(frames):
            middle = np.array([width * (0.3 + 0.4 * t / frames), height / 2])
            points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * ragged[:, None] + middle
            mask = np.zeros((height, width), np.uint8)
            cv2.fillPoly(mask, [points.astype(np.int32)], 255)
            Image.fromarray(mask).save(folder / f"clip{clip}" / f"{t:05d}.png")


def late_results(truth: Path, results: Path) -> None:
    for clip in sorted(p for p in truth.iterdir() if p.is_dir()):
        (results / clip.name).mkdir(parents=True)
        files = sorted(clip.glob("*.png"))
        for t, path in enumerate(files):
            shutil.copy(files[max(t - 2, 0)], results / clip.name / path.name)


def main() -> None:
    chosen = options(__doc__, data="", jobs=2, clips=6, frames=60)
    cv2.setNumThreads(1)
    from vos_benchmark.benchmark import benchmark

    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        if chosen.data:
            truth = Path(chosen.data).resolve() / "Annotations" / "480p"
        else:
            truth = data / "truth"
            moving_masks(truth, chosen.clips, chosen.frames)
        data.mkdir(exist_ok=True)
        os.symlink(truth, data / "Annotations")
        os.symlink(truth, data / "JPEGImages")  # only names are asked of the frames
        results = Path(scratch) / "results"
        late_results(truth, results)
        pairs = [
            (np.array(Image.open(a)) > 0, np.array(Image.open(b)) > 0)
            for a, b in zip(sorted(truth.glob("*/*.png")), sorted(results.glob("*/*.png")), strict=True)
        ]
        few = pairs[:: max(len(pairs) // PLAIN_FRAMES, 1)][:PLAIN_FRAMES]

        begun = time.perf_counter()
        expected = [(plain_j(a, b), plain_f(a, b)) for a, b in few]
        plain = (time.perf_counter() - begun) / len(few)
        begun = time.perf_counter()
        found = [(region_similarity(a, b), contour_accuracy(a, b)) for a, b in pairs]
        ours = (time.perf_counter() - begun) / len(pairs)
        same = [(region_similarity(a, b), contour_accuracy(a, b)) for a, b in few]
        difference = float(np.abs(np.array(expected) - np.array(same)).max())

        begun = time.perf_counter()
        theirs = benchmark([str(truth)], [str(results)], num_processes=chosen.jobs, verbose=False)
        package = (time.perf_counter() - begun) / len(pairs)
        begun = time.perf_counter()
        scored = evaluate(results, f"pairs:{data}", jobs=chosen.jobs)
        folders = (time.perf_counter() - begun) / len(pairs)
        apart = abs(100 * scored.overall()["J&F"] - theirs[0][0])
    rows = [
        {
            "": "plain algorithm, masks in memory",
            "ms per frame": 1e3 * plain,
            "ours": 1e3 * ours,
            "ratio": plain / ours,
        },
        {
            "": "vos-benchmark, folders",
            "ms per frame": 1e3 * package,
            "ours": 1e3 * folders,
            "ratio": package / folders,
        },
    ]
    title = (
        f"J and F, {len(found)} frames of {SIZE[0]}x{SIZE[1]}, {chosen.jobs} at once for folders; largest difference "
        f"to the plain algorithm {difference:.1e}, of J&F in percent to vos-benchmark {apart:.1e}"
    )
    report("measures", title, rows, chosen)


if __name__ == "__main__":
    main()
