"""All pictures of a training set, decoded once and held in one buffer, so that a device can cut clips out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.datasets.photographs import VOID, Photographs, read_rgb
from rotoscope.datasets.video_clips import VideoClips
from rotoscope.errors import InputError

Rgb = NDArray[np.uint8]
Labels = NDArray[np.uint8]
LEVELS = 3
"""Each picture is held at its own size, at half and at a quarter, so that what is made small does not flicker."""
MOST = 480
"""Pictures whose shorter side has more pixels are made smaller when they are read."""
LEAST_AREA = 200
"""Pixels of an object, below which it is not cut out."""


@dataclass(frozen=True)
class Strip:
    """A photograph, or the annotated frames of a video.

    Attributes:
        first: number of its first picture in the stock.
        count: how many pictures it has.
        height, width: of each, in pixels.
        filmed: whether it is a video.
        kind: kind of the photograph, such as ``coco``; empty for videos.
    """

    first: int
    count: int
    height: int
    width: int
    filmed: bool
    kind: str = ""


@dataclass(frozen=True)
class Thing:
    """An object of a strip.

    Attributes:
        strip: the number of its strip.
        label: its value in the strip's masks.
        boxes: middle and half of the extent of each picture's mask, x, y, x, y in pixels, ``[count, 4]``; 0 where it
            is not seen.
        areas: pixels of each picture's mask, ``[count]``.
    """

    strip: int
    label: int
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]


@dataclass
class Stock:
    """Pictures and masks as flat buffers.

    Attributes:
        strips: photographs with masks and videos.
        textures: photographs without masks, as strips.
        things: all objects that can be cut out.
        sizes: height and width of each picture at each level, int64 ``[P, LEVELS, 2]``.
        starts: where the pixels of each picture begin at each level, int64 ``[P, LEVELS]``.
        colours: RGB of all pixels, uint8 ``[N, 3]``.
        labels: labels of all pixels, uint8 ``[N]``; 0 where nothing is labelled or known.
    """

    strips: list[Strip]
    textures: list[Strip]
    things: list[Thing]
    sizes: Tensor
    starts: Tensor
    colours: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Stock:
        """The same with its buffers on a device."""
        return Stock(
            self.strips,
            self.textures,
            self.things,
            self.sizes.to(device),
            self.starts.to(device),
            self.colours.to(device),
            self.labels.to(device),
        )

    @classmethod
    def read(
        cls, photographs: Photographs | None, videos: Sequence[VideoClips], most: int = MOST, threads: int = 4
    ) -> Stock:
        """Decode everything.

        Args:
            photographs: with masks, and textures.
            videos: annotated ones, whose annotated frames are taken.
            most: longest that the shorter side of a picture stays, in pixels.
            threads: how many pictures are decoded at a time.

        Raises:
            InputError: there is neither a photograph nor a video, a file cannot be read, or a mask does not fit.
        """
        builder = _Builder(most, threads)
        for photograph in photographs.masked if photographs else ():
            builder.add([photograph.read], False, photograph.kind)
        for clips in videos:
            for sequence in clips.sequences:
                names = [name for name in sequence.annotated if name in sequence.images]
                builder.add(
                    [
                        lambda name=name, sequence=sequence, clips=clips: (  # type: ignore[misc]
                            read_rgb(sequence.images[name]),
                            clips.labels(sequence, name),
                        )
                        for name in names
                    ],
                    True,
                )
        textures = list(photographs.textures) if photographs else []
        return builder.stock(textures)


@dataclass
class _Picture:
    levels: list[tuple[Rgb, Labels]]
    boxes: dict[int, tuple[NDArray[np.float64], float]]


class _Builder:
    """Gathers what is to be read, reads it in threads, and joins it."""

    def __init__(self, most: int, threads: int) -> None:
        self.most = most
        self.threads = threads
        self.readers: list[Callable[[], tuple[Rgb, Labels]]] = []
        self.runs: list[tuple[int, bool, str]] = []

    def add(self, readers: Sequence[Callable[[], tuple[Rgb, Labels]]], filmed: bool, kind: str = "") -> None:
        """Add a strip."""
        self.readers += readers
        self.runs.append((len(readers), filmed, kind))

    def stock(self, textures: Sequence[Path]) -> Stock:
        """Read everything, textures last."""
        if not self.readers:
            raise InputError("layered clips need photographs with masks or annotated videos: --data FOLDER.")
        behind = [lambda path=path: _plain(path) for path in textures]
        with ThreadPoolExecutor(self.threads) as pool:
            pictures = list(pool.map(self._picture, [*self.readers, *behind]))
        strips, things = self._strips(pictures)
        sizes = np.array([[mark.shape for _, mark in picture.levels] for picture in pictures], np.int64)
        counts = sizes.prod(axis=2)
        starts = np.concatenate([[0], np.cumsum(counts.ravel())[:-1]]).reshape(counts.shape)
        flat = [level for picture in pictures for level in picture.levels]
        first = len(self.readers)
        behind_strips = [
            Strip(first + i, 1, int(sizes[first + i, 0, 0]), int(sizes[first + i, 0, 1]), False)
            for i in range(len(textures))
        ]
        return Stock(
            strips,
            behind_strips,
            things,
            torch.from_numpy(sizes),
            torch.from_numpy(starts),
            torch.from_numpy(np.concatenate([image.reshape(-1, 3) for image, _ in flat])),
            torch.from_numpy(np.concatenate([mark.ravel() for _, mark in flat])),
        )

    def _picture(self, read: Callable[[], tuple[Rgb, Labels]]) -> _Picture:
        image, labels = read()
        labels = np.where(labels == VOID, 0, labels).astype(np.uint8)
        height, width = labels.shape
        factor = self.most / min(height, width)
        if factor < 1:
            size = (max(round(width * factor), 1), max(round(height * factor), 1))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        levels = [(image, labels)]
        for _ in range(LEVELS - 1):
            size = (max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
            levels.append((image, labels))
        return _Picture(levels, _boxes(levels[0][1]))

    def _strips(self, pictures: list[_Picture]) -> tuple[list[Strip], list[Thing]]:
        strips: list[Strip] = []
        things: list[Thing] = []
        first = 0
        for count, filmed, kind in self.runs:
            part = pictures[first : first + count]
            height, width = part[0].levels[0][1].shape
            for label in sorted({label for picture in part for label in picture.boxes}):
                boxes, areas = np.zeros((count, 4)), np.zeros(count)
                for number, picture in enumerate(part):
                    if label in picture.boxes:
                        boxes[number], areas[number] = picture.boxes[label]
                if areas.max() >= LEAST_AREA:
                    things.append(Thing(len(strips), label, boxes, areas))
            strips.append(Strip(first, count, height, width, filmed, kind))
            first += count
        return strips, things


def _plain(path: Path) -> tuple[Rgb, Labels]:
    image = read_rgb(path)
    return image, np.zeros(image.shape[:2], np.uint8)


def _boxes(labels: Labels) -> dict[int, tuple[NDArray[np.float64], float]]:
    """Middle, half of the extent, and area of each object of a picture."""
    extents = {}
    for label in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[1:]) + 1:
        mask = labels == label
        left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
        box = np.array([left + (width - 1) / 2, top + (height - 1) / 2, width / 2, height / 2])
        extents[int(label)] = box, float(mask.sum())
    return extents
