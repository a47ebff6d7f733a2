"""Training clips from photographs, and what all sources share; each clip is a function of a random generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.augment import Affine, Colour, recolour, thin_plate, to_grey, warp
from rotoscope.datasets.compositing import CELL
from rotoscope.datasets.photographs import read_rgb
from rotoscope.datasets.sequences import VOID, object_ids, read_label_file
from rotoscope.datasets.stills import Still
from rotoscope.datasets.synthetic import Clip
from rotoscope.errors import InputError

Rgb = NDArray[np.uint8]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class ClipShape:
    """What a stage of training asks of a clip.

    Attributes:
        size: side of square frames, or the height of others, in pixels.
        frames: how many.
        objects: slots for objects.
        skip: most frames left out between two frames of a video.
        pace: how fast synthetic clips move, as a share of the usual.
        width: of frames that are not square; 0 for squares.
    """

    size: int
    frames: int
    objects: int
    skip: int = 5
    pace: float = 1.0
    width: int = 0

    @property
    def across(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self.width or self.size, self.size


class ClipSource(Protocol):
    """Makes clips."""

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip; every object of its labels is in its first frame."""


class StillClips:
    """STCN's static "video": changed versions of one photograph (released code, ``dataset/static_dataset.py``).

    One scale, flip and colour for the clip; for each frame an affine map, a crop, a little colour, and now and then a
    thin-plate bend. Photographs with several objects give up to as many as there are slots.
    """

    SCALE = (0.8, 1.5)
    FRAME = Affine(degrees=20, scale=(0.9, 1.1), shear=10)
    CLIP_COLOUR = Colour(0.1, 0.05, 0.05, 0.05)
    FRAME_COLOUR = Colour(0.1, 0.05, 0.05, 0.0)
    BENT, GREY = 1 / 3, 0.05

    def __init__(self, stills: Sequence[Still]) -> None:
        if not stills:
            raise InputError("no photographs with masks are given.")
        self.stills = tuple(stills)

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip."""
        for _ in range(16):
            still = self.stills[rng.integers(len(self.stills))]
            image, labels = read_still(still)
            frames, marks = self._versions(rng, image, labels, shape)
            clip = finished(rng, frames, marks, shape.objects, classes_of(still, labels))
            if clip is not None:
                return clip
        raise InputError("sixteen photographs in a row show no object large enough; look at their masks.")

    def _versions(
        self, rng: np.random.Generator, image: Rgb, labels: Labels, shape: ClipShape
    ) -> tuple[list[Rgb], list[Labels]]:
        height, width = labels.shape
        across, down = shape.across
        factor = max(rng.uniform(*self.SCALE), 1.0) * max(across / width, down / height)
        wide = (max(round(width * factor), across), max(round(height * factor), down))
        image = np.asarray(cv2.resize(image, wide, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        labels = np.asarray(cv2.resize(labels, wide, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        if rng.random() < 0.5:
            image, labels = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(labels[:, ::-1])
        image = recolour(image, self.CLIP_COLOUR.draw(rng))
        if rng.random() < self.GREY:
            image = to_grey(image)
        frames, marks = [], []
        for _ in range(shape.frames):
            moved, marked = warp(image, labels, self.FRAME.draw(rng, wide), wide)
            left = int(rng.integers(0, wide[0] - across + 1))
            top = int(rng.integers(0, wide[1] - down + 1))
            window = slice(top, top + down), slice(left, left + across)
            moved, marked = np.ascontiguousarray(moved[window]), np.ascontiguousarray(marked[window])
            if rng.random() < self.BENT:
                moved, marked = thin_plate(rng, moved, marked)
            frames.append(recolour(moved, self.FRAME_COLOUR.draw(rng)))
            marks.append(marked)
        return frames, marks


class SynthVOS:
    """Objects of one photograph's mask moved over other photographs (A-GAME's first stage).

    The paper says: one to five salient objects (MSRA10K) on an image (VOC 2012), moved across it. What it leaves open
    is chosen here: objects take a third of the frame's side on average, start anywhere, move straight with a slight
    wobble, turn and grow slowly, and are laid over the background in a random order without blending.
    """

    MOST = 5

    def __init__(self, stills: Sequence[Still], backgrounds: Sequence[Still] | None = None) -> None:
        if not stills:
            raise InputError("no photographs with masks are given.")
        self.stills = tuple(stills)
        self.backgrounds = tuple(backgrounds or stills)

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip."""
        for _ in range(16):
            behind = read_rgb(self.backgrounds[rng.integers(len(self.backgrounds))].image)
            behind = np.asarray(cv2.resize(behind, shape.across, interpolation=cv2.INTER_AREA), np.uint8)
            count = int(rng.integers(1, self.MOST + 1))
            frames = [behind.copy() for _ in range(shape.frames)]
            marks = [np.zeros(shape.across[::-1], np.uint8) for _ in range(shape.frames)]
            for object_id in range(1, count + 1):
                self._lay(rng, object_id, frames, marks, shape.across)
            clip = finished(rng, frames, marks, shape.objects)
            if clip is not None:
                return clip
        raise InputError("sixteen photographs in a row show no object large enough; look at their masks.")

    def _lay(
        self,
        rng: np.random.Generator,
        object_id: int,
        frames: list[Rgb],
        marks: list[Labels],
        across: tuple[int, int],
    ) -> None:
        image, labels = read_still(self.stills[rng.integers(len(self.stills))])
        ids = object_ids(labels)
        if not ids:
            return
        mask = (labels == ids[rng.integers(len(ids))]).astype(np.uint8)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        centre = np.array([columns.mean(), rows.mean()])
        size = float(np.sqrt(across[0] * across[1]))
        scale = size * rng.uniform(0.15, 0.5) / np.sqrt(max(int(mask.sum()), 1))
        place, step = rng.uniform(0.15, 0.85, 2) * across, rng.normal(0, 0.04 * size, 2)
        angle, turn, grow = 0.0, rng.normal(0, 0.05), rng.normal(0, 0.03)
        for frame, mark in zip(frames, marks, strict=True):
            linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            matrix = np.column_stack([linear, place - linear @ centre])
            moved, marked = warp(image, mask, matrix, across)
            frame[marked > 0], mark[marked > 0] = moved[marked > 0], object_id
            place = place + step + rng.normal(0, 0.01 * size, 2)
            angle, scale = angle + turn, scale * np.exp(grow)


class Mixture:
    """Clips of several sources, each as often as its weight says."""

    def __init__(self, sources: Sequence[tuple[float, ClipSource]]) -> None:
        self.sources = [source for _, source in sources]
        weights = np.array([weight for weight, _ in sources], np.float64)
        self.shares = weights / weights.sum()

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip of a source drawn by weight."""
        return self.sources[rng.choice(len(self.sources), p=self.shares)].clip(rng, shape)


def read_still(still: Still) -> tuple[Rgb, Labels]:
    """A photograph and its labels, 255 where the truth is unknown.

    Raises:
        InputError: image and mask have different sizes, or cannot be read.
    """
    image, mask = read_rgb(still.image), read_label_file(still.mask)
    if mask.ndim == 3:
        mask = mask.max(axis=2)
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"{still.mask}: mask is {mask.shape[1]}x{mask.shape[0]} but the image is {image.shape[1]}x{image.shape[0]}."
        )
    return image, (mask > 127).astype(np.uint8) if still.binary else mask.astype(np.uint8)


def classes_of(still: Still, labels: Labels) -> NDArray[np.int64] | None:
    """The class of each label, ``[256]``: the smallest inside the object (RSIS, released code); None if none is known.

    Raises:
        InputError: the classes have another size than the labels.
    """
    if still.classes is None:
        return None
    classes = read_label_file(still.classes)
    if classes.shape != labels.shape:
        raise InputError(f"{still.classes}: is not of the size of {still.mask}. Make them the same size.")
    class_of = np.full(256, VOID, np.int64)
    np.minimum.at(class_of, labels.ravel(), classes.ravel().astype(np.int64))
    return np.where(class_of == VOID, 0, class_of)


def finished(
    rng: np.random.Generator,
    frames: list[Rgb],
    marks: list[Labels],
    objects: int,
    classes: NDArray[np.int64] | None = None,
) -> Clip | None:
    """Choose up to ``objects`` of the first frame's objects, in random order; None if there is none of any size.

    ``classes`` is the class of each label.
    """
    labels = np.stack(marks)
    counts = np.bincount(labels[0].ravel(), minlength=256)
    least = max(16, labels[0].size // 2000)
    seen = [i for i in range(1, VOID) if counts[i] >= least]
    if not seen:
        return None
    chosen = rng.permutation(seen)[:objects]
    table = np.zeros(256, np.uint8)
    table[chosen] = np.arange(1, len(chosen) + 1)
    unknown = np.full((len(frames), labels.shape[1] // CELL, labels.shape[2] // CELL, 3), -1, np.float32)
    return Clip(np.stack(frames), table[labels], unknown, None if classes is None else classes[chosen])
