"""Does a method know how good its masks are? Confidence of every object and frame against the J of its mask.

Clips of data sets (the first frame's masks are given, all frames after it count), and synthetic clips whose objects
leave, hide and come back, from the photographs that training keeps apart for validation.

    python benchmarks/calibration.py --dataset davis16:DAVIS --data PHOTOGRAPHS --weights stcn-small
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import rotoscope
from common import options, report
from rotoscope.datasets.long_clips import Kind, long_clip
from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.datasets.sequences import object_ids
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import RotoscopeError
from rotoscope.evaluation import region_similarity
from rotoscope.evaluation.calibration import BINS, calibrate
from rotoscope.methods.base import Method
from rotoscope.video.images import read_image

SIZE = 256
KINDS: tuple[Kind, ...] = ("wandering", "hidden")
Clip = tuple[list[NDArray[np.uint8]], list[NDArray[Any] | None]]
"""Frames, and their labels where there are any."""


def real(spec: str) -> Iterator[Clip]:
    """Clips of a data set."""
    for sequence in open_dataset(spec):
        names = [name for name in sequence.frames if name in sequence.images]
        labels = [sequence.labels(name) if name in sequence.annotations else None for name in names]
        yield [read_image(sequence.images[name]) for name in names], labels


def synthetic(photographs: Photographs, clips: int, frames: int) -> Iterator[Clip]:
    """Clips in which objects leave and come back."""
    for number in range(clips):
        images, labels = long_clip(photographs, frames, SIZE, (7, number), kind=KINDS[number % len(KINDS)])
        yield list(images), list(labels)


def answers(model: Method, clips: Iterator[Clip]) -> tuple[list[float], list[float]]:
    """Confidence and J of each object on each frame after the first."""
    said: list[float] = []
    was: list[float] = []
    for images, labels in clips:
        first = labels[0]
        assert first is not None
        given = {0: {i: first == i for i in object_ids(first)}}
        for prediction, truth in zip(rotoscope.segment(np.stack(images), given, model), labels, strict=True):
            if prediction.index == 0 or truth is None:
                continue
            for object_id, confidence in zip(prediction.object_ids, prediction.confidence, strict=True):
                said.append(confidence)
                was.append(region_similarity(prediction.labels == object_id, truth == object_id))
    return said, was


def main() -> None:
    chosen = options(__doc__, weights=["stcn-small"], dataset="", data="", clips=6, frames=80, precision="fast")
    torch.set_num_threads(chosen.threads)
    rows, curves = [], {}
    try:
        held_out = Photographs.open(data_root(chosen.data or None)).split()[1] if chosen.data else None
        for name in chosen.weights:
            model = rotoscope.load(name, precision=chosen.precision)
            parts: dict[str, Iterator[Clip]] = {}
            if chosen.dataset:
                parts["data set"] = real(chosen.dataset)
            if held_out is not None:
                parts["synthetic, held out"] = synthetic(held_out, chosen.clips, chosen.frames)
            if not parts:
                raise RotoscopeError("there is nothing to measure with. Give --dataset, --data or both.")
            for part, clips in parts.items():
                said, was = answers(model, clips)
                found = calibrate(said, was)
                means = {"confidence": float(np.mean(said)), "J": float(np.mean(was))}
                shares = {f"{b.low:.1f}": "-" if not b.count else f"{b.quality:.2f} ({b.count})" for b in found.bins}
                rows.append(
                    {"weights": name, "clips": part, **means, "ECE": found.error, "order": found.rank, **shares}
                )
                curves[f"{name}, {part}"] = [vars(b) for b in found.bins]
    except RotoscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    title = f"confidence against J; behind ECE and order: mean J (answers) of {BINS} bins of confidence, by lower end"
    report("calibration", title, rows, chosen, curves=curves)


if __name__ == "__main__":
    main()
