"""From clicks to masks: IoU by number of clicks and from a box, clicks needed, time of a click, and what is followed.

The clicks are made up from the truth: the first in the middle of the object, each next one in the middle of the largest
error that the click network left. All other ways get the same clicks, or, with ``--own-clicks``, those that their own
errors ask for. Measured on photographs that were kept apart from training (each twentieth) and on the first frames of
a data set's clips; ``--only photographs`` or ``--only frames`` measures on one of them, ``--only none`` on none.
``--most 10`` makes ten clicks at most: GrabCut takes seconds for each of a large picture, and what then needs more than
ten counts as 20. ``--correct 3`` measures clicks on masks that another network found.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from common import options, report
from rotoscope.datasets.photographs import VOID, Photographs, read_rgb
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.datasets.spec import open_dataset
from rotoscope.evaluation import region_similarity
from rotoscope.masks.points import Placed, Points, Prompter
from rotoscope.methods.base import Method
from rotoscope.prompts import parts
from rotoscope.prompts.clicks import Click, box_of, next_click
from rotoscope.runs.segment import segment
from rotoscope.weights import load, load_prompter

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]
COUNTS = (1, 2, 3, 5, 10)
LEVELS = (0.80, 0.85, 0.90)
MOST = 20
"""Clicks at most; an object that needs more counts as this many."""
LEAST = 64
"""Pixels of the smallest object that is clicked on."""


class Target(NamedTuple):
    """A picture, and the object in it that is meant."""

    image: Rgb
    truth: Mask


def photographs(root: str) -> Iterator[Target]:
    """Objects of the photographs kept apart."""
    for photograph in Photographs.open(root).split()[1].masked:
        image, labels = photograph.read()
        for i in np.unique(labels):
            if i not in (0, VOID) and (labels == i).sum() >= LEAST:
                yield Target(image, labels == i)


def first_frames(dataset: VideoDataset) -> Iterator[Target]:
    """Objects of the first annotated frame of each clip."""
    for sequence in dataset:
        name = next(iter(sequence.annotations))
        labels = sequence.labels(name)
        for i in np.unique(labels):
            if i not in (0, VOID):
                yield Target(read_rgb(sequence.images[name]), labels == i)


def placed_of(clicks: Sequence[Click], box: tuple[int, int, int, int] | None = None) -> Placed:
    """Clicks as a prompter takes them, in the order in which they were made."""
    places = np.array([(c.x, c.y) for c in clicks], np.int64).reshape(-1, 2)
    return Placed(places, np.array([c.wanted for c in clicks], bool), box)


class Curve(NamedTuple):
    """IoU after each number of clicks from 1 on, IoU from the box alone, and the clicks."""

    scores: list[float]
    box: float
    clicks: list[Click]


def curve(prompter: Prompter, target: Target, most: int, given: Sequence[Click] | None = None) -> Curve:
    """Click until nothing is wrong or ``most`` is reached; with ``given``, these clicks."""
    picture = prompter.open(target.image)
    clicks: list[Click] = []
    scores: list[float] = []
    answer = np.zeros_like(target.truth)
    for number in range(most):
        if given is None:
            following = next_click(answer, target.truth)
        else:
            following = given[number] if number < len(given) else None
        if following is None:
            break
        clicks.append(following)
        answer = picture.answer(placed_of(clicks)).chosen
        scores.append(region_similarity(answer, target.truth))
    scores += scores[-1:] * (most - len(scores))
    box = picture.answer(Placed(np.zeros((0, 2), np.int64), np.zeros(0, bool), box_of(target.truth))).chosen
    return Curve(scores, region_similarity(box, target.truth), clicks)


def row(name: str, curves: Sequence[Curve]) -> dict[str, Any]:
    """Means over objects."""
    scores = np.array([c.scores for c in curves])
    found: dict[str, Any] = {"way": name, "objects": len(curves)}
    found |= {f"IoU@{count}": float(scores[:, count - 1].mean()) for count in COUNTS}
    found["box"] = float(np.mean([c.box for c in curves]))
    for level in LEVELS:
        needed = [next((n for n, score in enumerate(c.scores, 1) if score >= level), MOST) for c in curves]
        found[f"clicks for {level:.2f}"] = float(np.mean(needed))
    return found


def first_points(prompter: Prompter, target: Target, count: int) -> Points:
    """So many simulated clicks."""
    clicks = curve(prompter, target, count).clicks
    wanted = [(c.x, c.y) for c in clicks if c.wanted]
    return Points(wanted, [(c.x, c.y) for c in clicks if not c.wanted])


def followed(model: Method, prompter: Prompter, dataset: VideoDataset, count: int) -> list[dict[str, Any]]:
    """Mean J of clips of one object, begun with simulated clicks and with the true mask."""
    rows: list[dict[str, Any]] = []
    model.prompter = lambda: prompter
    for sequence, target in zip(dataset, first_frames(dataset), strict=True):
        frames = np.stack([read_rgb(sequence.images[name]) for name in sequence.frames])
        points = first_points(prompter, target, count)
        scores: dict[str, Any] = {"clip": sequence.name}
        for name, given in (("clicks", {0: {1: points}}), ("true mask", {0: {1: target.truth}})):
            found = [prediction.labels == 1 for prediction in segment(frames, given, model)]
            inner = sequence.frames[1:-1]
            j = [region_similarity(found[i], sequence.labels(n) > 0) for i, n in enumerate(inner, 1)]
            scores[f"J from {name}"] = float(np.mean(j))
            if name == "clicks":
                scores["IoU of first mask"] = region_similarity(first_mask(prompter, target, points), target.truth)
        rows.append(scores)
    means = {key: float(np.mean([r[key] for r in rows])) for key in rows[0] if key != "clip"}
    return [*rows, {"clip": "mean", **means}]


def first_mask(prompter: Prompter, target: Target, points: Points) -> Mask:
    """The mask that a clip begins with."""
    height, width = target.truth.shape
    return prompter.open(target.image).answer(points.placed((width, height))).chosen


def corrected(model: Method, prompter: Prompter, dataset: VideoDataset, count: int, every: int) -> list[dict[str, Any]]:
    """Mean IoU of masks that a method found, after so many clicks on each: by the click network alone, and with parts.

    A method follows the true first mask. Every so many frames, simulated clicks correct what it found there: as it is
    done, where a click on a detached part takes that part away, and with the click network for all clicks.
    """
    scores: dict[str, list[list[float]]] = {"with parts": [], "network alone": []}
    for sequence, target in zip(dataset, first_frames(dataset), strict=True):
        names = list(sequence.frames)[: 4 * every + 1]
        frames = np.stack([read_rgb(sequence.images[name]) for name in names])
        for prediction in segment(frames, {0: {1: target.truth}}, model):
            if prediction.index and prediction.index % every == 0:
                truth = np.asarray(sequence.labels(names[prediction.index]) > 0)
                found = prediction.to_numpy()[1]
                for way, share in (("with parts", parts.LARGEST), ("network alone", 0.0)):
                    with patch.object(parts, "LARGEST", share):
                        scores[way].append(clicked(prompter, Target(frames[prediction.index], truth), found, count))
    return [
        {"way": way, "masks": len(found)} | {f"IoU@{n}": v for n, v in enumerate(np.mean(found, axis=0).tolist())}
        for way, found in scores.items()
    ]


def clicked(prompter: Prompter, target: Target, found: NDArray[np.float32], count: int) -> list[float]:
    """IoU of a mask as it was found, and after each of some clicks that correct it."""
    picture, answer, clicks = prompter.open(target.image), found > 0.5, list[Click]()
    scores = [region_similarity(answer, target.truth)]
    for _ in range(count):
        following = next_click(answer, target.truth)
        if following is not None:
            clicks.append(following)
            answer = picture.answer(placed_of(clicks), found).chosen
        scores.append(region_similarity(answer, target.truth))
    return scores


def times(prompter: Prompter, target: Target, clicks: int = 10) -> dict[str, Any]:
    """Milliseconds that a picture takes once, and each click; medians of five rounds."""
    opening, clicking = [], []
    for _ in range(5):
        begun = time.perf_counter()
        picture = prompter.open(target.image)
        opening.append(time.perf_counter() - begun)
        made: list[Click] = []
        answer = np.zeros_like(target.truth)
        for _ in range(clicks):
            following = next_click(answer, target.truth)
            if following is None:
                break
            made.append(following)
            begun = time.perf_counter()
            answer = picture.answer(placed_of(made)).chosen
            clicking.append(time.perf_counter() - begun)
    return {"picture ms": 1000 * float(np.median(opening)), "click ms": 1000 * float(np.median(clicking))}


def main() -> None:
    chosen = options(
        __doc__,
        weights="prompts-small",
        data="../shared/data",
        dataset="davis16:../shared/data/davis-dev?split=val",
        ways="grabcut,flood,edges",
        every=1,
        most=MOST,
        only="",
        own_clicks=False,
        follow=0,
        correct=0,
        only_time=False,
    )
    prompter = load_prompter(chosen.weights, "cpu")
    dataset = open_dataset(chosen.dataset)
    frames = list(first_frames(dataset))
    clock = times(prompter, frames[0])
    height, width = frames[0].truth.shape
    report("prompts_time", f"time at {width}x{height}", [{"way": chosen.weights, **clock}], chosen)
    if chosen.only_time:
        return
    if chosen.correct:
        rows = corrected(load("stcn-small", device="cpu"), prompter, dataset, chosen.correct, 10)
        report("prompts_corrected", "masks that stcn-small found, after clicks on them", rows, chosen)
    stills = list(photographs(chosen.data))[:: chosen.every] if chosen.only in ("", "photographs") else []
    for name, targets in (("photographs", stills), ("first frames", frames if chosen.only in ("", "frames") else [])):
        if not targets:
            continue
        torch.manual_seed(0)
        own = [curve(prompter, target, chosen.most) for target in targets]
        rows = [row(Path(chosen.weights).stem, own)]
        for way in chosen.ways.split(",") if chosen.ways else ():
            other = load_prompter(way)
            given = [None if chosen.own_clicks else c.clicks for c in own]
            rows.append(row(way, [curve(other, t, chosen.most, g) for t, g in zip(targets, given, strict=True)]))
        report(f"prompts_{name.split()[0]}", f"objects of {name}", rows, chosen)
    if chosen.follow:
        rows = followed(load("stcn-small", device="cpu"), prompter, dataset, chosen.follow)
        report("prompts_followed", f"stcn-small, begun with {chosen.follow} clicks", rows, chosen)


if __name__ == "__main__":
    main()
