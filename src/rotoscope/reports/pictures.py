"""Small pictures of frames with the contours of the truth and of the masks, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.datasets.sequences import VideoDataset, VideoSequence
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError
from rotoscope.evaluation.results import SequenceResults
from rotoscope.evaluation.truth import ObjectScores, Truth
from rotoscope.files import inside
from rotoscope.masks.drawing import overlay
from rotoscope.reports.records import Scored
from rotoscope.video import open_video

APART = 5
"""Scored frames between two worst frames of one object."""
PER_OBJECT = 2
"""Worst frames of one object."""
TRUTH = (255, 255, 255)


@dataclass(frozen=True)
class Shot:
    """A frame of a sequence.

    Attributes:
        sequence, frame: names of the sequence and of the frame.
        object_id: the object that it is shown for; None for all.
        j, f: of that object, or the means over all, in [0, 1]; None where it is not scored.
    """

    sequence: str
    frame: str
    object_id: int | None
    j: float | None
    f: float | None


class Gallery:
    """Frames of scored masks, with what their data set shows.

    Args:
        scored: the masks and their scores.
        spec: the data set in place of the one that was recorded, which may have moved.

    Raises:
        InputError: the data set is not there, or lacks a sequence that was scored.
    """

    def __init__(self, scored: Scored, spec: str | None = None) -> None:
        self.scored = scored
        way = "Give its place with --dataset SPEC, or leave the pictures out with --no-pictures."
        try:
            self.dataset: VideoDataset = open_dataset(spec or scored.evaluation.dataset)
        except InputError as error:
            raise InputError(f"{scored.place}: its data set cannot be opened ({error}) {way}") from None
        self.by_name: dict[str, list[ObjectScores]] = {}
        for scores in scored.evaluation.objects:
            self.by_name.setdefault(scores.sequence, []).append(scores)
        known = {sequence.name: sequence for sequence in self.dataset}
        missing = [name for name in self.by_name if name not in known]
        if missing:
            raise InputError(f"{scored.place}: {self.dataset.spec} has no sequence {missing[0]}. {way}")
        if not scored.masks.is_dir():
            raise InputError(f"{scored.place}: its masks are not in {scored.masks}. Leave them out with --no-pictures.")
        self.sequences: Mapping[str, VideoSequence] = {name: known[name] for name in self.by_name}

    def along(self, name: str, count: int) -> list[Shot]:
        """Scored frames of a sequence, evenly spread from the first to the last."""
        objects = self.by_name[name]
        frames = [f for f in self.sequences[name].annotated if any(f in scores.frames for scores in objects)]
        chosen = (
            dict.fromkeys(frames[round(place)] for place in np.linspace(0, len(frames) - 1, count)) if frames else ()
        )
        return [self._shot(name, frame) for frame in chosen]

    def worst(self, count: int) -> list[Shot]:
        """The frames of the lowest J, a few of each object at most, and those not beside each other.

        None is as good as the mean over all of them.
        """
        values = [j for scores in self.scored.evaluation.objects for j in scores.j]
        mean = sum(values) / len(values)
        every = sorted(
            (j, number, place)
            for number, scores in enumerate(self.scored.evaluation.objects)
            for place, j in enumerate(scores.j)
            if j < mean
        )
        taken: dict[int, list[int]] = {}
        shots: list[Shot] = []
        for j, number, place in every:
            places = taken.setdefault(number, [])
            if len(places) >= PER_OBJECT or any(abs(place - other) < APART for other in places):
                continue
            places.append(place)
            scores = self.scored.evaluation.objects[number]
            shots.append(Shot(scores.sequence, scores.frames[place], scores.object_id, j, scores.f[place]))
            if len(shots) == count:
                break
        return shots

    def draw(self, shot: Shot, width: int) -> str:
        """A frame with its masks in colour and the truth's contours in white, a data URI.

        Raises:
            InputError: the image or the truth cannot be read.
        """
        sequence, how = self.sequences[shot.sequence], self.scored.evaluation.protocol
        truth = Truth(sequence, how).labels(shot.frame)
        results = SequenceResults(
            inside(self.scored.masks, *shot.sequence.split("/")), how.merged, len(self.by_name[shot.sequence]) == 1
        )
        labels = results.labels(shot.frame, truth.shape)
        if how.matching != "ids":
            labels = _as_objects(labels, self.by_name[shot.sequence])
        if shot.object_id is not None:
            labels, truth = (np.where(x == shot.object_id, shot.object_id, 0) for x in (labels, truth))
        image = np.full((*truth.shape, 3), 110, np.uint8)
        if shot.frame in sequence.images:
            with open_video(sequence.images[shot.frame]) as video:
                image = video[0].image
        return small(image, labels, width, truth)

    def _shot(self, name: str, frame: str) -> Shot:
        scored = [scores for scores in self.by_name[name] if frame in scores.frames]
        j, f = (float(np.mean([x[o.frames.index(frame)] for o, x in values])) for values in (
            [(o, o.j) for o in scored], [(o, o.f) for o in scored]
        ))  # fmt: skip
        return Shot(name, frame, None, j, f)


def _as_objects(labels: NDArray[Any], objects: Sequence[ObjectScores]) -> NDArray[Any]:
    """Proposals as the objects that they were matched to; others are nothing."""
    matched = np.zeros_like(labels)
    for entry in objects:
        if entry.proposal is not None:
            matched[labels == entry.proposal] = entry.object_id
    return matched


def small(image: NDArray[np.uint8], labels: NDArray[Any], width: int, truth: NDArray[Any] | None = None) -> str:
    """A frame with masks over it, so many pixels wide, as a data URI.

    Args:
        image: RGB uint8 ``[H, W, 3]``; brought to the size of the labels' shape.
        labels: ids ``[H, W]``.
        width: of the picture.
        truth: ids ``[H, W]`` whose contours are drawn in white; None for none.
    """
    height = max(round(labels.shape[0] * width / labels.shape[1]), 1)
    image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    drawn = overlay(image, shrunk(labels, (width, height)), alpha=0.35)
    for object_id in np.unique(truth) if truth is not None else ():
        if object_id:
            mask = shrunk(np.where(truth == object_id, 1, 0), (width, height)).astype(np.uint8)
            lines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            dark = cv2.drawContours(drawn.copy(), lines, -1, (0, 0, 0), 2, cv2.LINE_AA)
            drawn = np.asarray(cv2.addWeighted(drawn, 0.5, dark, 0.5, 0), np.uint8)  # is seen on white too
            cv2.drawContours(drawn, lines, -1, TRUTH, 1, cv2.LINE_AA)
    return as_uri(drawn)


def shrunk(labels: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Labels at a width and height, each object where it fills half of a pixel."""
    small = np.zeros(size[::-1], np.uint16)
    for object_id in np.unique(labels):
        if object_id:
            share = cv2.resize((labels == object_id).astype(np.float32), size, interpolation=cv2.INTER_AREA)
            small[share >= 0.5] = object_id
    return small


def as_uri(image: NDArray[np.uint8]) -> str:
    """An RGB picture as the data URI of a JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
