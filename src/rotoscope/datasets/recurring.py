"""Clips in which only one object recurs: whatever else stands out in a frame is in no other frame.

A network that finds what stands out in each frame by itself cannot answer them; one that looks at the other frames can.
Frames are far apart in time: nothing is near where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.datasets.compositing import CELL, Layer, colour_change, composite, gain_and_gamma
from rotoscope.datasets.motion import Path2D
from rotoscope.datasets.photographs import VOID, Photographs, read_rgb
from rotoscope.datasets.sprites import lay
from rotoscope.datasets.synthetic import Clip, SyntheticClips, SyntheticConfig
from rotoscope.datasets.video_clips import VideoClips
from rotoscope.errors import InputError

Rgb = NDArray[np.uint8]
Labels = NDArray[np.uint8]
OBJECT = 1
ATTEMPTS = 16
PARTLY_LABELLED = "cocop"
"""Kind of photographs in which further objects are not labelled."""


@dataclass(frozen=True)
class RecurringChances:
    """How clips are drawn.

    Attributes:
        filmed: share of clips whose frames are of a video, where videos are given.
        scene: share of the others in which the object is what a photograph shows, seen by a moving camera; it is pasted
            in the rest.
        moved: share of the clips with a pasted object in which each frame has a background of its own; what a common
            one shows of objects recurs as well.
        distractors: chance of 0, 1, 2, 3 distractors in a frame.
        smallest, largest: square root of the area of what is pasted, as a share of the side.
        front: chance that a distractor may hide a part of the object.
        least: share of a frame that the object must show, in every frame.
    """

    filmed: float = 0.4
    scene: float = 0.35
    moved: float = 0.8
    distractors: tuple[float, ...] = (0.1, 0.4, 0.35, 0.15)
    smallest: float = 0.2
    largest: float = 0.55
    front: float = 0.3
    least: float = 0.01


class RecurringClips:
    """Clips of any number of frames; the object is number 1, and there is no other.

    Args:
        photographs: objects, distractors, and what stands behind them.
        videos: whose frames are taken too, with all that they label as the object.
        chances: how clips are drawn.

    Raises:
        InputError: no photograph has all its objects labelled.
    """

    def __init__(
        self, photographs: Photographs, videos: Sequence[VideoClips] = (), chances: RecurringChances | None = None
    ) -> None:
        whole = tuple(p for p in photographs.masked if p.kind != PARTLY_LABELLED)
        if not whole:
            raise InputError("clips of a recurring object need photographs in which all objects are labelled.")
        self.photographs = Photographs(whole, photographs.textures)
        self.videos = [video for video in videos for _ in video.sequences]
        self.chances = chances or RecurringChances()
        self._cutter = SyntheticClips(self.photographs, SyntheticConfig(shapes=0.0))

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip."""
        for _ in range(ATTEMPTS):
            frames, marks = self._base(rng, shape)
            self.distract(rng, frames, marks)
            shares = [float((mark == OBJECT).mean()) for mark in marks]
            if min(shares) >= self.chances.least and max(shares) < 0.6:
                unknown = np.full((len(frames), shape.size // CELL, shape.size // CELL, 3), -1, np.float32)
                return Clip(np.stack(frames), np.stack(marks), unknown)
        raise InputError("sixteen clips in a row show no object in all of their frames; look at the masks.")

    def distract(self, rng: np.random.Generator, frames: list[Rgb], marks: list[Labels]) -> None:
        """Paste other objects into each frame, in place; none of them is in two frames."""
        chances = self.chances
        for frame, mark in zip(frames, marks, strict=True):
            for _ in range(int(rng.choice(len(chances.distractors), p=chances.distractors))):
                rgba = self._cutter._cut_out(rng)
                layer = Layer(rgba, self._apart(rng, rgba, 1, len(frame)), 0)
                sprite = layer.seen(0, len(frame))[0]
                sprite[..., :3] = gain_and_gamma(np.ascontiguousarray(sprite[..., :3]), colour_change(rng, 0.5))
                lay([frame], [mark], sprite[None], 0, () if rng.random() < chances.front else (OBJECT,))

    def _base(self, rng: np.random.Generator, shape: ClipShape) -> tuple[list[Rgb], list[Labels]]:
        """Frames with the object, without distractors, and masks of the object, 0 or 1."""
        chances = self.chances
        if self.videos and rng.random() < chances.filmed:
            videos = self.videos[rng.integers(len(self.videos))]
            sequence = videos.sequences[rng.integers(len(videos.sequences))]
            far = replace(shape, skip=max(shape.skip, len(sequence.images)))
            frames, marks = videos.window(rng, sequence, far, crops=4)
            return frames, [((mark > 0) & (mark < VOID)).astype(np.uint8) for mark in marks]
        if rng.random() < chances.scene:
            return self._rendered(rng, shape, None, moved=False)
        rgba = self._cutter._cut_out(rng)
        layer = Layer(rgba, self._apart(rng, rgba, shape.frames, shape.size), OBJECT)
        return self._rendered(rng, shape, layer, rng.random() < chances.moved)

    def _rendered(
        self, rng: np.random.Generator, shape: ClipShape, layer: Layer | None, moved: bool
    ) -> tuple[list[Rgb], list[Labels]]:
        """Frames with a layer on them, of one background or each of its own.

        Without a layer, the object is all that a photograph shows of objects. Frames are rendered one by one, since
        what lies between them is no motion and must not be smeared as such; light and noise are drawn alike for all.
        """
        seed, size = int(rng.integers(2**62)), shape.size
        background, labels = self._behind(rng, layer is None, moved)
        camera = self._camera(rng, background, shape.frames, size)
        frames, marks = [], []
        for t in range(shape.frames):
            if moved and t:
                background, _ = self._behind(rng, False, moved)
                camera = self._camera(rng, background, shape.frames, size)
            layers = [] if layer is None else [Layer(layer.rgba, at(layer.path, t), OBJECT)]
            same = np.random.default_rng(seed)
            image, mark, _ = composite(same, background, labels, [OBJECT], at(camera, t), layers, size)
            frames.append(image[0])
            marks.append(mark[0])
        return frames, marks

    def _behind(self, rng: np.random.Generator, scene: bool, moved: bool) -> tuple[Rgb, Labels | None]:
        """A photograph; with the mask of its objects for a scene. What is behind a whole clip has no object, if it can
        be helped, as that would recur too."""
        photographs = self.photographs
        if not scene and photographs.textures and (not moved or rng.random() < 0.6):
            return read_rgb(photographs.textures[rng.integers(len(photographs.textures))]), None
        image, marked = photographs.masked[rng.integers(len(photographs.masked))].read()
        return image, np.where((marked > 0) & (marked < VOID), OBJECT, 0).astype(np.uint8) if scene else None

    def _camera(self, rng: np.random.Generator, background: Rgb, count: int, size: int) -> Path2D:
        """Views of a background that have little to do with each other."""
        height, width = background.shape[:2]
        scale = size / min(height, width) * np.exp(rng.uniform(0.1, 0.5, count))
        slack = np.maximum(np.outer(scale, [width, height]) - size, 0) / 2
        centre = size / 2 + rng.uniform(-1, 1, (count, 2)) * slack
        return still_path(centre, rng.normal(0, 0.05, count), scale)

    def _apart(self, rng: np.random.Generator, rgba: Rgb, count: int, size: int) -> Path2D:
        """Places of a cut-out that have little to do with each other; its size changes less than its place."""
        chances = self.chances
        area = max(float((rgba[..., 3] > 127).sum()), 1.0)
        side = size * np.exp(rng.uniform(np.log(chances.smallest), np.log(chances.largest)))
        scale = side / np.sqrt(area) * np.exp(np.clip(rng.normal(0, 0.2, count), -0.5, 0.5))
        centre = rng.uniform(0.2, 0.8, (count, 2)) * size
        bend = rng.normal(0, 0.03 * max(rgba.shape[:2]), (count, 4, 4, 2))
        return still_path(centre, rng.normal(0, 0.15) + rng.normal(0, 0.2, count), scale, bend)


def still_path(
    centre: NDArray[np.float64],
    angle: NDArray[np.float64],
    scale: NDArray[np.float64],
    bend: NDArray[np.float64] | None = None,
) -> Path2D:
    """A path without shear, of one scale for both axes, ``[T]``."""
    count = len(angle)
    bent = np.zeros((count, 4, 4, 2)) if bend is None else bend
    return Path2D(centre, angle, np.repeat(scale[:, None], 2, axis=1), np.zeros(count), bent)


def at(path: Path2D, t: int) -> Path2D:
    """One frame of a path, as a path of one frame."""
    now = slice(t, t + 1)
    return Path2D(path.centre[now], path.angle[now], path.scale[now], path.shear[now], path.bend[now])
