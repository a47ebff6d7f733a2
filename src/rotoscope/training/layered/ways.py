"""The ways of layers: which pictures of a strip they show, where they begin, how they move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.datasets.compositing import colour_change
from rotoscope.datasets.motion import Path2D, random_path
from rotoscope.datasets.synthetic import draw_speed
from rotoscope.training.layered.plan import GRID, Chances, Floats, Layer
from rotoscope.training.layered.stock import Strip, Thing

SMALLEST, LARGEST = 0.004, 0.25
"""Area of a pasted object, as a share of the frame's."""
MOST_ENLARGED = 2.0
"""A pasted object is not enlarged further than this, or it would be told by its blur; what comes nearer exceeds it in
the end as far as it stayed below at first."""
NEARER = 3.5
"""What comes nearer becomes at most so many times as large, and at least 1.5 times."""
SEEN = 0.3
"""Share of its largest mask that an object should show where a pasted one begins."""


class Ways:
    """Draws layers for one clip.

    Args:
        rng: the source of randomness.
        shape: of the clip.
        chances: how often which way.
    """

    def __init__(self, rng: np.random.Generator, shape: ClipShape, chances: Chances) -> None:
        self.rng, self.shape, self.chances = rng, shape, chances
        self.frame = np.array(shape.across, np.float64)
        self.side = float(np.sqrt(self.frame.prod()))
        self.calm = draw_speed(rng) * self.side * shape.pace
        self.shutter = float(rng.uniform(0.2, 0.7)) if rng.random() < 0.3 else 0.0

    def times(self, strip: Strip) -> NDArray[np.int64]:
        """Pictures of a strip, in order or reversed, with gaps; counted from its first."""
        rng, frames = self.rng, self.shape.frames
        if strip.count == 1:
            return np.zeros(frames, np.int64)
        gaps = rng.integers(1, self.shape.skip + 2, frames - 1)
        while gaps.sum() > strip.count - 1 and gaps.max(initial=1) > 1:
            gaps = np.maximum(gaps - 1, 1)
        start = int(rng.integers(0, max(strip.count - int(gaps.sum()), 1)))
        times = np.minimum(start + np.concatenate([[0], np.cumsum(gaps)]), strip.count - 1).astype(np.int64)
        return times[::-1].copy() if rng.random() < 0.5 else times

    def window(self, strip: Strip, pictures: NDArray[np.int64], boxes: Floats | None) -> Layer:
        """A scene: a window of a strip; photographs are seen by a camera that moves.

        Args:
            strip: what it is a window of.
            pictures: of the stock, one a frame.
            boxes: of an object that it mostly shows, ``[T, 4]``.
        """
        rng, pace = self.rng, self.shape.pace
        picture = np.array([strip.width, strip.height], np.float64)
        box = None if boxes is None else boxes[0]
        if strip.filmed and boxes is not None and (boxes[:, 2:] > 0).all() and rng.random() < self.chances.approach:
            return self._nearing(strip, pictures, boxes, picture)
        shown = float(min(picture / self.frame) * np.sqrt(rng.uniform(0.3, 1.0)))  # picture per frame, in pixels
        half = shown * self.frame / 2
        middle = half + rng.uniform(0, 1, 2) * np.maximum(picture - 2 * half, 0)
        if box is not None and rng.random() < 0.85:
            middle = np.clip(box[:2] + rng.uniform(-0.7, 0.7, 2) * half, half, picture - half)
        if strip.filmed:
            still = 0.003 * self.side * rng.random()
            path = self._path(self.frame / 2, 1 / shown, still, 0.004, 0.004, 0.0)
        else:
            turn = pace * rng.choice([0.01, 0.05, 0.12], p=[0.5, 0.35, 0.15])
            zoom = pace * rng.choice([0.01, 0.04, 0.1], p=[0.4, 0.4, 0.2])
            elastic = pace * rng.choice([0.0, 2.0, 5.0], p=[0.4, 0.4, 0.2])
            path = self._path(self.frame / 2, 1 / shown, self.calm * rng.uniform(0.1, 1.0), turn, zoom, elastic)
        return self._layer(strip, pictures, path, middle, 0)

    def moving(self, strip: Strip, thing: Thing, place: Floats, target: int, share: float = 0.0) -> Layer:
        """An object on its way.

        Args:
            strip: its strip.
            thing: the object.
            place: its middle in the first frame.
            target: what it is labelled as.
            share: its area in the first frame, of the frame's; drawn if 0.
        """
        rng, pace = self.rng, self.shape.pace
        times = self._beginning(strip, thing)
        first = thing.boxes[times[0]]
        wanted = share or float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
        scale = min(self.side * np.sqrt(wanted / max(thing.areas[times[0]], 1)), MOST_ENLARGED)
        speed = self.calm * rng.uniform(0.2, 1.1)
        if rng.random() < self.chances.leave:
            speed = max(speed, 1.2 * self.side / self.shape.frames)
        turn = pace * rng.choice([0.02, 0.1, 0.3], p=[0.4, 0.4, 0.2])
        zoom = pace * rng.choice([0.02, 0.07, 0.18], p=[0.4, 0.4, 0.2])
        elastic = pace * rng.choice([0.0, 0.02, 0.05], p=[0.25, 0.45, 0.3]) * 2 * first[2:].max()
        if strip.filmed:  # it has a motion of its own
            turn, zoom, elastic = 0.3 * turn, 0.5 * zoom, 0.0
        nearer = self._nearer() if rng.random() < self.chances.approach else np.ones(self.shape.frames)
        if not share:  # so small where it is far that it covers no more than half of the frame where it is near
            scale = min(scale, 2 * self.side * np.sqrt(LARGEST / max(thing.areas[times[0]], 1)) / nearer.max())
        scale = min(scale, MOST_ENLARGED / np.sqrt(nearer.max()))
        path = self._path(place, scale, speed, turn, zoom, elastic)
        path = replace(path, scale=path.scale * nearer[:, None])
        layer = self._layer(strip, strip.first + times, path, first[:2], thing.label, rng.random() < 0.5)
        track = seen_track(thing.boxes[times], layer.matrices)
        return replace(layer, target=target, behind=bool(rng.random() < self.chances.behind), track=track)

    def _nearer(self) -> Floats:
        """How many times as large as in the first frame something is, ``[T]``, on its way here or away."""
        whole = np.log(self.rng.uniform(1.5, NEARER)) * self.rng.choice([-1, 1])
        return np.exp(whole * np.linspace(0, 1, self.shape.frames) ** self.rng.uniform(0.7, 1.5))

    def _nearing(self, strip: Strip, pictures: NDArray[np.int64], boxes: Floats, picture: Floats) -> Layer:
        """A window of a film that follows an object and becomes narrower, so that all comes nearer, or wider."""
        rng, frames = self.rng, self.shape.frames
        nearer = self._nearer()
        widest = float(min(picture / self.frame))  # picture per frame, in pixels
        least = max(1 / MOST_ENLARGED, float((boxes[:, 2:] / (0.55 * self.frame)).max()))
        shown = np.clip(widest * nearer.min() / nearer, min(least, widest), widest)
        half = shown[:, None] * self.frame / 2
        time = np.linspace(-1, 1, frames)
        bends = min(2, frames - 1)
        smooth = np.stack([np.polyval(np.polyfit(time, boxes[:, axis], bends), time) for axis in (0, 1)], axis=1)
        begin, end = rng.uniform(-0.5, 0.5, (2, 2))
        beside = begin + (end - begin) * np.linspace(0, 1, frames)[:, None]
        middle = np.clip(smooth + beside * half, half, np.maximum(picture - half, half))
        flip = bool(rng.random() < 0.5)
        way = (middle[0] - middle) / shown[:, None] * np.array([-1.0 if flip else 1.0, 1.0])
        turned = np.cumsum(rng.normal(0, 0.004, frames))
        still = np.zeros((frames, GRID, GRID, 2))
        path = Path2D(self.frame / 2 + way, turned, np.tile(1 / shown[:, None], 2), np.zeros(frames), still)
        return self._layer(strip, pictures, path, middle[0], 0, flip)

    def painted(self, layer: Layer, first: Floats, texture: Strip) -> Layer:
        """The same outline filled with a texture, which moves as it does; ``first``: its middle in its picture."""
        into = np.array([texture.width, texture.height]) * self.rng.uniform(0.3, 0.7, 2)
        matrices = layer.matrices.copy()
        matrices[:, :, 2] += into - first
        return replace(layer, pictures=np.full(len(layer.masks), texture.first), matrices=matrices)

    def again(self, layer: Layer, target: int) -> Layer:
        """The same thing once more, beside it, on a way of its own."""
        rng = self.rng
        angle, extent = rng.uniform(0, 2 * np.pi), 2 * layer.track[0, 2:]
        beside = extent * rng.uniform(0.7, 1.6) * np.array([np.cos(angle), np.sin(angle)])
        outside = (layer.track[0, :2] + beside < 0) | (layer.track[0, :2] + beside > self.frame)
        beside = np.where(outside, -beside, beside)
        speed = 0.4 * self.calm * rng.uniform(0.2, 1.1)
        path = self._path(beside, 1.0, speed, 0.0, 0.0, 0.0)
        return moved(replace(layer, target=target, behind=bool(rng.random() < self.chances.behind)), path.centre)

    def covering(self, texture: Strip, track: Floats) -> Layer:
        """A texture that glides over an object, covers it whole for a while, and mostly leaves."""
        rng, frames = self.rng, len(track)
        start = int(rng.integers(1, max(frames - 1, 2)))
        end = frames - 1 if rng.random() < 0.15 else int(rng.integers(start, max(frames - 1, start + 1)))
        half = track[start : end + 1, 2:].max(axis=0) * rng.uniform(1.15, 1.4, 2) + 4
        angle = rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(angle), np.sin(angle)]) * np.hypot(*(half + track[:, 2:].max(axis=0)))
        before, after = rng.integers(1, start + 1), rng.integers(1, max(frames - end, 2))
        time = np.arange(frames)
        along = np.minimum(time - start, 0) / before + np.maximum(time - end, 0) / after
        centre = track[:, :2] + along[:, None] * away
        size = np.array([texture.width, texture.height], np.float64)
        zero = np.zeros(frames)
        path = Path2D(centre, zero, np.tile(2 * half / size, (frames, 1)), zero, np.zeros((frames, GRID, GRID, 2)))
        return self._layer(texture, np.full(frames, texture.first), path, (size - 1) / 2, 0)

    def crossing(self, layer: Layer, middle: Floats, angle: float) -> Layer:
        """The same layer on a way that passes ``middle``, from the direction of an angle."""
        rng, frames = self.rng, self.shape.frames
        extent = float(layer.track[0, 2:].sum())
        away = extent * rng.uniform(0.8, 1.6) * np.array([np.cos(angle), np.sin(angle)])
        passed = np.linspace(1, 1 - rng.uniform(0.6, 2.2), frames)[:, None]
        sway = np.cumsum(rng.normal(0, 0.003 * self.side, (frames, 2)), axis=0)
        start = layer.track[0, :2]
        return moved(layer, middle + passed * away + sway - start)

    def _beginning(self, strip: Strip, thing: Thing) -> NDArray[np.int64]:
        """Pictures of a strip of which the first shows the object well."""
        best = self.times(strip)
        for _ in range(6):
            if thing.areas[best[0]] >= SEEN * thing.areas.max():
                break
            times = self.times(strip)
            if thing.areas[times[0]] > thing.areas[best[0]]:
                best = times
        return best

    def _path(self, start: Floats, scale: float, speed: float, turn: float, zoom: float, elastic: float) -> Path2D:
        return random_path(
            self.rng,
            self.shape.frames,
            start=(float(start[0]), float(start[1])),
            scale=scale,
            speed=float(speed),
            turn=float(turn),
            zoom=float(zoom),
            elastic=float(elastic),
            grid=GRID,
        )

    def _layer(
        self,
        strip: Strip,
        pictures: NDArray[np.int64],
        path: Path2D,
        pivot: Floats,
        label: int,
        flip: bool | None = None,
    ) -> Layer:
        flip = bool(self.rng.random() < 0.5) if flip is None else flip
        matrices = matrices_of(path, pivot, flip)
        gain, gamma = colour_change(self.rng, 0.5)
        return Layer(
            pictures,
            matrices,
            pictures,
            matrices,
            label,
            0,
            path.bend,
            gain.astype(np.float64),
            gamma,
            np.zeros((len(pictures), 4)),
            scale=0.0 if strip.filmed else float(path.scale[0].mean()),
            shutter=0.0 if strip.filmed else self.shutter,
        )


def matrices_of(path: Path2D, pivot: Floats, flip: bool) -> Floats:
    """From pixels of the frames to pixels of the picture, ``[T, 2, 3]``; ``pivot`` lies on the path's centre."""
    affine = np.empty((len(path.centre), 2, 3))
    for t, (centre, angle, scale, shear) in enumerate(
        zip(path.centre, path.angle, path.scale, path.shear, strict=True)
    ):
        cos, sin = np.cos(angle), np.sin(angle)
        forward = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]]) @ np.diag(scale)
        inverse = np.linalg.inv(forward)
        if flip:
            inverse = np.diag([-1.0, 1.0]) @ inverse
        affine[t, :, :2], affine[t, :, 2] = inverse, pivot - inverse @ centre
    return affine


def moved(layer: Layer, by: Floats) -> Layer:
    """The layer shifted in each frame, by pixels of the frame ``[T, 2]``."""

    def shifted(matrices: Floats) -> Floats:
        moved = matrices.copy()
        moved[:, :, 2] -= np.einsum("tij,tj->ti", matrices[:, :, :2], by)
        return moved

    track = layer.track + np.concatenate([by, np.zeros_like(by)], axis=1)
    return replace(layer, matrices=shifted(layer.matrices), mask_matrices=shifted(layer.mask_matrices), track=track)


def seen_track(boxes: Floats, matrices: Floats) -> Floats:
    """Boxes of pictures, ``[T, 4]``, as boxes of the frames: middle and half of the extent."""
    turned = np.empty_like(boxes)
    for t, (box, matrix) in enumerate(zip(boxes, matrices, strict=True)):
        forward = np.linalg.inv(matrix[:, :2])
        turned[t, :2] = forward @ (box[:2] - matrix[:, 2])
        turned[t, 2:] = np.abs(forward) @ box[2:]
    return turned
