"""One click, and the proposals of a method that finds objects by itself: does choosing among them make a better mask?

    python benchmarks/proposals.py [--finders rsis-small,cosnet-small] [--every 1]

The click falls in the middle of the object, as in ``benchmarks/prompts.py``. It chooses the proposal that it lies on;
of two, the one that is more probable there. RSIS proposes one mask an object. COSNet proposes one map, whose connected
parts are taken for objects. A photograph is a clip of one frame, so that COSNet refers to the frame itself.

Columns: ``on one`` is the share of clicks that lie on a proposal; ``chosen`` the IoU of the chosen one, 0 where there
is none; ``else clicks`` with the click network where there is none; ``surer`` the chosen one where its confidence is
above the click network's; ``corrected`` the click network, given the chosen one as the mask so far if both agree (IoU
at least ``--agree``); ``always`` the same without that condition; ``better`` the better of ``chosen`` and the click
network, which no choice between the two can pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common import options, report
from prompts import Mask, Rgb, Target, first_frames, first_points, photographs
from rotoscope.datasets.photographs import read_rgb
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.datasets.spec import open_dataset
from rotoscope.evaluation import region_similarity
from rotoscope.masks.points import Prompter
from rotoscope.methods.base import Method
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.segment import segment
from rotoscope.weights import load, load_prompter


class Proposal(NamedTuple):
    """What a method takes for an object: its pixels, its probabilities, and how sure the method is."""

    mask: Mask
    soft: NDArray[np.float32]
    confidence: float


def proposals(prediction: Prediction) -> Iterator[Proposal]:
    """The connected parts of each object of an answer, where one map stands for all; else the objects."""
    for object_id, confidence in zip(prediction.object_ids, prediction.confidence, strict=True):
        soft = prediction.to_numpy()[object_id]
        mask = np.asarray(prediction.labels == object_id)
        count, parts = cv2.connectedComponents(mask.astype(np.uint8))
        if len(prediction.object_ids) > 1:
            yield Proposal(mask, soft, confidence)
            continue
        for part in range(1, count):
            own = np.asarray(parts == part)
            yield Proposal(own, np.where(own | ~mask, soft, 0).astype(np.float32), confidence)


def chosen_by(click: tuple[int, int], found: Sequence[Proposal]) -> Proposal | None:
    """The proposal that a click lies on, the most probable of several."""
    x, y = click
    under = [one for one in found if one.mask[y, x]]
    return max(under, key=lambda one: one.soft[y, x], default=None)


def scored(target: Target, prompter: Prompter, prediction: Prediction, agree: float) -> dict[str, float]:
    """IoU of each way for one object."""
    height, width = target.truth.shape
    points = first_points(prompter, target, 1)
    placed = points.placed((width, height))
    x, y = placed.places[0].tolist()
    answer = prompter.open(target.image).answer(placed)
    alone = region_similarity(answer.chosen, target.truth)
    one = chosen_by((x, y), list(proposals(prediction)))
    if one is None:
        same = dict.fromkeys(("else clicks", "surer", "corrected", "always", "better"), alone)
        return {"clicks alone": alone, "on one": 0.0, "chosen": 0.0, **same}
    own = region_similarity(one.mask, target.truth)
    picture = prompter.open(target.image)
    always = region_similarity(picture.answer(placed, one.soft).chosen, target.truth)
    agreed = region_similarity(one.mask, answer.chosen) >= agree
    surer = one.confidence > (answer.confidence if answer.confidence is not None else 0)
    return {
        "clicks alone": alone,
        "on one": 1.0,
        "chosen": own,
        "else clicks": own,
        "surer": own if surer else alone,
        "corrected": always if agreed else alone,
        "always": always,
        "better": max(own, alone),
    }


def found_on(images: Sequence[Rgb], finder: Method) -> Prediction:
    """What a method finds on the first frame of a clip."""
    return next(iter(segment(np.stack(images), None, finder)))


def clips_of(dataset: VideoDataset, length: int) -> Iterator[list[Rgb]]:
    """The first frames of the clips, in the order of :func:`prompts.first_frames`."""
    for sequence in dataset:
        labels = sequence.labels(next(iter(sequence.annotations)))
        images = [read_rgb(sequence.images[name]) for name in islice(sequence.frames, length)]
        for i in np.unique(labels):
            if i not in (0, 255):
                yield images


def row(name: str, scores: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Means over objects."""
    return {"proposals": name, "objects": len(scores), **{k: float(np.mean([s[k] for s in scores])) for k in scores[0]}}


def main() -> None:
    chosen = options(
        __doc__,
        weights="prompts-small",
        data="../shared/data",
        dataset="davis16:../shared/data/davis-dev?split=val",
        finders="rsis-small,cosnet-small",
        every=1,
        length=20,
        agree=0.5,
    )
    prompter = load_prompter(chosen.weights, "cpu")
    dataset = open_dataset(chosen.dataset)
    frames = list(first_frames(dataset))
    stills = list(photographs(chosen.data))[:: chosen.every]
    for what, targets, clips in (
        ("photographs", stills, [[target.image] for target in stills]),
        ("first frames", frames, list(clips_of(dataset, chosen.length))),
    ):
        rows = []
        for name in chosen.finders.split(","):
            finder = load(name, device="cpu")
            pairs = zip(targets, clips, strict=True)
            scores = [scored(target, prompter, found_on(clip, finder), chosen.agree) for target, clip in pairs]
            rows.append(row(name, scores))
        report(f"proposals_{what.split()[0]}", f"one click, objects of {what}", rows, chosen)


if __name__ == "__main__":
    main()
