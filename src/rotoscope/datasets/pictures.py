"""Single pictures with masks: photographs, frames of annotated videos, and either with an object pasted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.augment import Affine, Colour, recolour, to_grey, warp
from rotoscope.datasets.clip_sources import ClipShape, finished
from rotoscope.datasets.compositing import colour_change
from rotoscope.datasets.photographs import VOID, Photographs, read_rgb
from rotoscope.datasets.sprites import cut_out, lay, placements, recoloured
from rotoscope.datasets.synthetic import Clip
from rotoscope.datasets.video_clips import VideoClips
from rotoscope.errors import InputError

Rgb = NDArray[np.uint8]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class PictureChances:
    """How often pictures are of which kind.

    Attributes:
        filmed: share of frames of videos, where videos are given.
        texture: share of textures, which show no object of their own, where there are textures.
        paste: share of pictures into which an object is pasted; into a texture always one.
        weights: how often a photograph is taken, by its kind.
    """

    filmed: float = 0.15
    texture: float = 0.08
    paste: float = 0.3
    weights: tuple[tuple[str, float], ...] = (("coco", 3.0), ("cocop", 1.0), ("ccp", 0.6))


class PictureClips:
    """Clips of one frame, or of one frame that stands still.

    Args:
        photographs: with masks, and textures.
        videos: whose frames are taken too.
        chances: how often which kind.
    """

    ZOOM = (0.85, 1.9)
    """Sides of a frame per shorter side of the picture, drawn evenly in the logarithm."""
    FRAME = Affine(degrees=12, shear=6)
    COLOUR = Colour(0.25, 0.2, 0.25, 0.03)
    GREY = 0.05
    SMALLEST, LARGEST = 0.01, 0.25
    """Share of the frame that a pasted object covers."""

    def __init__(
        self, photographs: Photographs, videos: Sequence[VideoClips] = (), chances: PictureChances | None = None
    ) -> None:
        self.photographs = photographs
        self.sequences = [sequence for dataset in videos for sequence in dataset.sequences]
        self.chances = chances or PictureChances()
        by_kind = dict(self.chances.weights)
        weights = np.array([by_kind.get(p.kind, 1.0) for p in photographs.masked])
        self.shares = weights / weights.sum()

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip."""
        for _ in range(16):
            image, labels = self._picture(rng)
            frame, mark = self._crop(rng, image, labels, shape.size)
            if not mark.any() or rng.random() < self.chances.paste:
                self._paste(rng, frame, mark)
            frame = recolour(frame, self.COLOUR.draw(rng))
            if rng.random() < self.GREY:
                frame = to_grey(frame)
            clip = finished(rng, [frame] * shape.frames, [mark] * shape.frames, shape.objects)
            if clip is not None:
                return clip
        raise InputError("sixteen pictures in a row show no object large enough; look at their masks.")

    def _picture(self, rng: np.random.Generator) -> tuple[Rgb, Labels]:
        way = rng.random()
        if self.sequences and way < self.chances.filmed:
            sequence = self.sequences[rng.integers(len(self.sequences))]
            names = [name for name in sequence.annotated if name in sequence.images]
            name = names[rng.integers(len(names))]
            return read_rgb(sequence.images[name]), sequence.labels(name).astype(np.uint8)
        textures = self.photographs.textures
        if textures and way > 1 - self.chances.texture:
            image = read_rgb(textures[rng.integers(len(textures))])
            return image, np.zeros(image.shape[:2], np.uint8)
        return self.photographs.masked[rng.choice(len(self.shares), p=self.shares)].read()

    def _crop(self, rng: np.random.Generator, image: Rgb, labels: Labels, size: int) -> tuple[Rgb, Labels]:
        """A square about some pixel of an object, turned, sheared and maybe mirrored."""
        height, width = labels.shape
        zoom = np.exp(rng.uniform(*np.log(self.ZOOM)))
        side = min(height, width) / zoom
        rows, columns = np.nonzero((labels > 0) & (labels < VOID))
        corner = rng.uniform(0, 1, 2) * (width - side, height - side)
        if len(rows):
            chosen = rng.integers(len(rows))
            low = np.array([columns[chosen], rows[chosen]]) - side * rng.uniform(0.1, 0.9, 2)
            corner = np.clip(
                low, np.minimum(0, (width - side, height - side)), np.maximum(0, (width - side, height - side))
            )
        scale = size / side
        to_crop = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale], [0, 0, 1]])
        if rng.random() < 0.5:
            to_crop = np.array([[-1.0, 0, size - 1], [0, 1, 0], [0, 0, 1]]) @ to_crop
        turn = np.vstack([self.FRAME.draw(rng, (size, size)), [0, 0, 1]])
        return warp(image, labels, (turn @ to_crop)[:2], (size, size))

    def _paste(self, rng: np.random.Generator, frame: Rgb, mark: Labels) -> None:
        """Lay an object of another photograph over a frame, in place."""
        image, labels = self.photographs.masked[rng.choice(len(self.shares), p=self.shares)].read()
        counts = np.bincount(labels.ravel(), minlength=256)
        ids = [i for i in range(1, VOID) if counts[i] >= 400]
        if not ids:
            return
        mask = labels == ids[rng.integers(len(ids))]
        share = np.exp(rng.uniform(np.log(self.SMALLEST), np.log(self.LARGEST)))
        scale = min(len(frame) * np.sqrt(share / mask.sum()), 2.0)
        left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
        centre = np.array([left + width / 2, top + height / 2])
        place = rng.uniform(0.15, 0.85, (1, 2)) * len(frame)
        matrix = placements(centre, place, np.array([scale]), rng.normal(0, 0.2), rng.random() < 0.5)[0]
        sprite = recoloured(cut_out(image, mask, matrix, len(frame))[None], colour_change(rng, 0.5))
        free = 1 + int(mark[mark < VOID].max(initial=0))
        if free < VOID:
            lay([frame], [mark], sprite, free)
