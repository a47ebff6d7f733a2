"""Do edges that the guided filter refines lie nearer to the true ones? J and F on a data set, before and after.

    python benchmarks/edges.py --dataset davis16:DAVIS --weights stcn-small
    python benchmarks/edges.py --dataset davis16:DAVIS --weights stcn-small --kept mattes   # kept for another time

Each clip is followed from its first mask, all its objects as one. A pixel is an object's where its alpha is at least a
half. The first frame, whose mask is given, is left out. Prints a row without refinement, and one for each radius of the
filter, in parts of the picture's longer side, and each epsilon.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rotoscope
from common import options, report
from rotoscope.datasets.sequences import VideoSequence
from rotoscope.datasets.spec import open_dataset
from rotoscope.evaluation import region_similarity
from rotoscope.evaluation.contour import contour_accuracy
from rotoscope.masks.guided import refine
from rotoscope.masks.mattes import TOGETHER, Delivery, MatteStore
from rotoscope.methods.base import Method
from rotoscope.runs.job import Job
from rotoscope.runs.passes import Passes
from rotoscope.video import Video
from rotoscope.video.images import ImageSequence

RADII, EPSILONS = (240, 120, 60), (1e-2, 1e-3, 1e-4, 1e-5)


def follow(model: Method, sequence: VideoSequence, video: Video, store: MatteStore) -> None:
    """Keep the mattes of a clip; one that is whole already is left."""
    if store.read(len(video) - 1):
        return
    first = sequence.labels(sequence.frames[0]) > 0
    for step in Passes(Job(video, {0: {1: first}}, model)):
        store.write(step.prediction, None)


def main() -> None:
    """Print the table."""
    chosen = options(__doc__, dataset="davis16:DAVIS", weights="stcn-small", kept="", every=1)
    model = rotoscope.load(chosen.weights)
    ways: list[tuple[int, float] | None] = [None, *((part, epsilon) for part in RADII for epsilon in EPSILONS)]
    scores: dict[Any, list[tuple[float, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        for sequence in open_dataset(chosen.dataset).sequences:
            names = [name for name in sequence.frames if name in sequence.images]
            store = MatteStore(Path(chosen.kept or folder) / sequence.name, Delivery())
            with ImageSequence([sequence.images[name] for name in names], sequence.name) as video:
                follow(model, sequence, video, store)
                for index in range(1, len(names), chosen.every):
                    if names[index] in sequence.annotations:
                        truth = sequence.labels(names[index]) > 0
                        nothing = np.zeros(truth.shape, np.float32)
                        alpha = store.read(index).get(TOGETHER, nothing)
                        for way in ways:
                            scores[way].append(score(video[index].image, alpha, truth, way))
    rows = []
    for way in ways:
        j, f = np.mean(scores[way], axis=0)
        part, epsilon = (f"side / {way[0]}", way[1]) if way else ("not refined", "")
        rows.append({"radius": part, "epsilon": epsilon, "J": float(j), "F": float(f)})
    report("edges", f"J and F of {chosen.weights} with edges refined", rows, chosen, frames=len(scores[None]))


def score(
    image: NDArray[np.uint8], alpha: NDArray[np.float32], truth: NDArray[np.bool_], way: tuple[int, float] | None
) -> tuple[float, float]:
    """J and F of one frame, its edges refined by a radius and an epsilon."""
    if way is not None:
        alpha = refine(image, alpha, max(2, round(max(alpha.shape) / way[0])), way[1])
    mask = alpha >= 0.5
    return region_similarity(mask, truth), contour_accuracy(mask, truth)


if __name__ == "__main__":
    main()
