"""Training clips from photographs and from annotated videos; each clip is a function of a random generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.augment import Affine, Colour, recolour, thin_plate, to_grey, warp
from rotoscope.datasets.compositing import CELL
from rotoscope.datasets.interpolation import interpolate_labels
from rotoscope.datasets.photographs import read_rgb
from rotoscope.datasets.sequences import VOID, VideoDataset, VideoSequence, object_ids, read_label_file
from rotoscope.datasets.stills import Still
from rotoscope.datasets.synthetic import Clip
from rotoscope.errors import InputError

Rgb = NDArray[np.uint8]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class ClipShape:
    """What a stage of training asks of a clip.

    Attributes:
        size: side of the square frames, in pixels.
        frames: how many.
        objects: slots for objects.
        skip: most frames left out between two frames of a video.
        pace: how fast synthetic clips move, as a share of the usual.
    """

    size: int
    frames: int
    objects: int
    skip: int = 5
    pace: float = 1.0


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
            image, labels = read_still(self.stills[rng.integers(len(self.stills))])
            frames, marks = self._versions(rng, image, labels, shape)
            clip = finished(rng, frames, marks, shape.objects)
            if clip is not None:
                return clip
        raise InputError("sixteen photographs in a row show no object large enough; look at their masks.")

    def _versions(
        self, rng: np.random.Generator, image: Rgb, labels: Labels, shape: ClipShape
    ) -> tuple[list[Rgb], list[Labels]]:
        height, width = labels.shape
        factor = max(rng.uniform(*self.SCALE), 1.0) * shape.size / min(height, width)
        wide = (max(round(width * factor), shape.size), max(round(height * factor), shape.size))
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
            left = int(rng.integers(0, wide[0] - shape.size + 1))
            top = int(rng.integers(0, wide[1] - shape.size + 1))
            window = slice(top, top + shape.size), slice(left, left + shape.size)
            moved, marked = np.ascontiguousarray(moved[window]), np.ascontiguousarray(marked[window])
            if rng.random() < self.BENT:
                moved, marked = thin_plate(rng, moved, marked)
            frames.append(recolour(moved, self.FRAME_COLOUR.draw(rng)))
            marks.append(marked)
        return frames, marks


class VideoClips:
    """Frames of an annotated video with gaps between them (STCN, released code, ``dataset/vos_dataset.py``).

    In order of time or reversed; one crop, flip and colour for the clip, a small affine map and colour for each frame.
    Annotations may be sparse: with ``between`` their gaps are filled by interpolation, else only annotated frames are
    taken.
    """

    CROP = (0.36, 1.0)
    FRAME = Affine(degrees=15, shear=10)
    CLIP_COLOUR = Colour(0.1, 0.03, 0.03, 0.0)
    FRAME_COLOUR = Colour(0.01, 0.01, 0.01, 0.0)
    GREY = 0.05

    def __init__(self, dataset: VideoDataset, between: bool = False) -> None:
        self.sequences = [s for s in dataset if len(s.images) > 1 and len(s.annotations) > 1]
        self.between = between
        if not self.sequences:
            raise InputError(f"{dataset.spec}: no sequence has two frames with masks; it cannot be trained on.")

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip."""
        for _ in range(16):
            sequence = self.sequences[rng.integers(len(self.sequences))]
            frames, marks = self.window(rng, sequence, shape)
            clip = finished(rng, frames, marks, shape.objects)
            if clip is not None:
                return clip
        raise InputError("sixteen clips in a row show no object in their first frame; look at the annotations.")

    def window(
        self, rng: np.random.Generator, sequence: VideoSequence, shape: ClipShape, crops: int = 1
    ) -> tuple[list[Rgb], list[Labels]]:
        """Choose, crop and colour frames of one sequence.

        Args:
            rng: the source of randomness.
            sequence: one of ``sequences``.
            shape: of the clip.
            crops: most crops drawn until one shows objects on a hundredth of the first frame.
        Returns: frames uint8 ``[size, size, 3]`` and their labels ``[size, size]`` with the data set's own ids; 255 is
            unknown. The last crop is taken even if it shows no object.
        """
        chosen = self.choose(rng, sequence, shape)
        images = [read_rgb(sequence.images[name]) for name in chosen]
        marks = [self.labels(sequence, name) for name in chosen]
        crop = self._crop(rng, marks[0].shape, shape.size)
        for _ in range(crops - 1):
            shown = cv2.warpAffine(marks[0], crop[:2], (shape.size, shape.size), flags=cv2.INTER_NEAREST)
            if ((shown > 0) & (shown < VOID)).mean() > 0.01:
                break
            crop = self._crop(rng, marks[0].shape, shape.size)
        return self._changed(rng, images, marks, crop, shape.size)

    def choose(self, rng: np.random.Generator, sequence: VideoSequence, shape: ClipShape) -> list[str]:
        """Names of the frames of a clip, in order of time or reversed, with gaps of at most ``shape.skip``."""
        names = [n for n in (sequence.frames if self.between else sequence.annotated) if n in sequence.images]
        if self.between:  # interpolation needs an annotation on both sides
            ends = [names.index(n) for n in sequence.annotated if n in sequence.images]
            names = names[min(ends) : max(ends) + 1]
        gaps = rng.integers(1, shape.skip + 2, shape.frames - 1)
        while gaps.sum() > len(names) - 1 and gaps.max() > 1:
            gaps = np.maximum(gaps - 1, 1)
        start = int(rng.integers(0, max(len(names) - int(gaps.sum()), 1)))
        places = np.minimum(start + np.concatenate([[0], np.cumsum(gaps)]), len(names) - 1)
        chosen = [names[place] for place in places]
        return chosen[::-1] if rng.random() < 0.5 else chosen

    def labels(self, sequence: VideoSequence, name: str) -> Labels:
        """Labels of a chosen frame, ``[H, W]``, interpolated where it is not annotated."""
        if name in sequence.annotations:
            return sequence.labels(name).astype(np.uint8)
        order = {frame: index for index, frame in enumerate(sequence.frames)}
        here = order[name]
        before = max((n for n in sequence.annotated if order[n] < here), key=order.__getitem__)
        after = min((n for n in sequence.annotated if order[n] > here), key=order.__getitem__)
        share = (here - order[before]) / (order[after] - order[before])
        return interpolate_labels(sequence.labels(before), sequence.labels(after), share)

    def _crop(self, rng: np.random.Generator, picture: tuple[int, ...], size: int) -> NDArray[np.float64]:
        """A square of a picture of height and width ``picture``, maybe mirrored, as a map ``[3, 3]`` to the frame."""
        height, width = picture
        side = np.sqrt(rng.uniform(*self.CROP)) * min(height, width)
        left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
        zoom = size / side
        to_crop = np.array([[zoom, 0, -left * zoom], [0, zoom, -top * zoom], [0, 0, 1]])
        if rng.random() < 0.5:
            to_crop = np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1]]) @ to_crop
        return np.asarray(to_crop, dtype=np.float64)

    def _changed(
        self, rng: np.random.Generator, images: list[Rgb], marks: list[Labels], crop: NDArray[np.float64], size: int
    ) -> tuple[list[Rgb], list[Labels]]:
        colour, grey = self.CLIP_COLOUR.draw(rng), rng.random() < self.GREY
        frames, moved_marks = [], []
        for image, labels in zip(images, marks, strict=True):
            turn = np.vstack([self.FRAME.draw(rng, (size, size)), [0, 0, 1]])
            moved, marked = warp(image, labels, (turn @ crop)[:2], (size, size))
            moved = recolour(recolour(moved, colour), self.FRAME_COLOUR.draw(rng))
            frames.append(to_grey(moved) if grey else moved)
            moved_marks.append(marked)
        return frames, moved_marks


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
            behind = np.asarray(cv2.resize(behind, (shape.size, shape.size), interpolation=cv2.INTER_AREA), np.uint8)
            count = int(rng.integers(1, self.MOST + 1))
            frames = [behind.copy() for _ in range(shape.frames)]
            marks = [np.zeros((shape.size, shape.size), np.uint8) for _ in range(shape.frames)]
            for object_id in range(1, count + 1):
                self._lay(rng, object_id, frames, marks, shape.size)
            clip = finished(rng, frames, marks, shape.objects)
            if clip is not None:
                return clip
        raise InputError("sixteen photographs in a row show no object large enough; look at their masks.")

    def _lay(self, rng: np.random.Generator, object_id: int, frames: list[Rgb], marks: list[Labels], size: int) -> None:
        image, labels = read_still(self.stills[rng.integers(len(self.stills))])
        ids = object_ids(labels)
        if not ids:
            return
        mask = (labels == ids[rng.integers(len(ids))]).astype(np.uint8)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        centre = np.array([columns.mean(), rows.mean()])
        scale = size * rng.uniform(0.15, 0.5) / np.sqrt(max(int(mask.sum()), 1))
        place, step = rng.uniform(0.15, 0.85, 2) * size, rng.normal(0, 0.04 * size, 2)
        angle, turn, grow = 0.0, rng.normal(0, 0.05), rng.normal(0, 0.03)
        for frame, mark in zip(frames, marks, strict=True):
            linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            matrix = np.column_stack([linear, place - linear @ centre])
            moved, marked = warp(image, mask, matrix, (size, size))
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


def finished(rng: np.random.Generator, frames: list[Rgb], marks: list[Labels], objects: int) -> Clip | None:
    """Choose up to ``objects`` of the first frame's objects, in random order; None if there is none of any size."""
    labels = np.stack(marks)
    counts = np.bincount(labels[0].ravel(), minlength=256)
    least = max(16, labels[0].size // 2000)
    seen = [i for i in range(1, VOID) if counts[i] >= least]
    if not seen:
        return None
    chosen = rng.permutation(seen)[:objects]
    table = np.zeros(256, np.uint8)
    table[chosen] = np.arange(1, len(chosen) + 1)
    side = labels.shape[1] // CELL
    unknown = np.full((len(frames), side, side, 3), -1, np.float32)
    return Clip(np.stack(frames), table[labels], unknown)
