"""Fast against exact: speed, and how far the masks agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common import SIZE, options, report
from rotoscope.datasets.demo import demo_clip
from rotoscope.evaluation import region_similarity
from rotoscope.experiments.speed import method_to_time, time_session
from rotoscope.masks import read_masks
from rotoscope.runs.segment import segment


def agreement(method: str, data: Path) -> tuple[float, str]:
    """Mean J of the fast masks against the exact ones, on real clips if they are there, else on the built-in clip."""
    exact, fast = method_to_time(method, None, "exact"), method_to_time(method, None, "fast")
    scores = []
    clips = sorted(p for p in (data / "davis-dev" / "JPEGImages" / "480p").glob("*") if p.is_dir())
    jobs: list[tuple[Any, Any]] = []
    for clip in clips:
        masks = read_masks(data / "davis-dev" / "Annotations" / "480p" / clip.name / "00000.png").masks
        jobs.append((clip, masks))
    if not jobs:
        built_in = demo_clip(30)
        jobs.append((built_in.frames, {i: built_in.labels[0] == i for i in (1, 2)}))
    for video, masks in jobs:
        pairs = zip(segment(video, {0: masks}, exact, end=30), segment(video, {0: masks}, fast, end=30), strict=True)
        scores += [region_similarity(b.labels == i, a.labels == i) for a, b in pairs for i in masks]
    return float(np.mean(scores)), f"{len(jobs)} real clips" if clips else "the built-in clip"


def main() -> None:
    chosen = options(__doc__, frames=12, method="stcn", data="../shared/data")
    rows = []
    for method in dict.fromkeys((chosen.method, "stcn-small")):
        exact = time_session(method_to_time(method, None, "exact"), SIZE, 1, chosen.frames)
        fast = time_session(method_to_time(method, None, "fast"), SIZE, 1, chosen.frames)
        rows.append(
            {
                "method": method,
                "exact (s)": exact.per_frame,
                "fast (s)": fast.per_frame,
                "ratio": exact.per_frame / fast.per_frame,
            }
        )
    score, where = agreement("stcn-small", Path(chosen.data))
    title = f"fast against exact, 854x480, 1 object; masks of stcn-small agree to J = {score:.4f} ({where}, 30 frames)"
    report("precision", title, rows, chosen)


if __name__ == "__main__":
    main()
