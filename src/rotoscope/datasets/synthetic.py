"""Synthetic clips made on the fly: cut-out objects moving over moving photographs, with exact masks.

A clip is a pure function of the seed and its number, so a training run needs no stored data and can continue
exactly where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.compositing import Layer, composite
from rotoscope.datasets.motion import Path2D, random_path
from rotoscope.datasets.photographs import VOID, Photograph, Photographs, read_rgb
from rotoscope.datasets.shapes import random_shape

Rgb = NDArray[np.uint8]
COVERED = 0.25
"""Share of the time in which a cover lies on its object."""


@dataclass(frozen=True)
class SyntheticConfig:
    """How synthetic clips look.

    Attributes:
        size: side of the square frames in pixels.
        frames: length of a clip.
        objects: objects asked for; fewer are labelled where the draw does not give so many.
        scene: share of clips whose background photograph brings its own masked objects.
        shapes: share of pasted objects that are random outlines filled with texture rather than real cut-outs.
        extra: chance of each of two pasted objects that are not labelled: passers-by and occluders.
        copies: chance that a pasted object that is labelled looks like the one pasted before it.
        gathered: chance that all that is pasted and labelled begins about one place, so that it touches.
        twin: chance that such an extra looks like one of the labelled objects.
        smallest, largest: square root of a pasted object's area, as a share of ``size``.
        complete: label everything: all objects of a background photograph, and one to three that are pasted on it, as
            far as ``objects`` goes, which is then the most and not what is asked for. For methods that find objects.
        pasted: most that ``complete`` pastes.
        merged: all labelled objects are one, number 1.
        cover: chance that the pasted objects of a clip are covered whole in its middle, each by something that glides
            over it and away.
        pace: how fast everything moves, turns, grows and bends, as a share of the usual.
        weights: how often a cut-out is taken from each kind of photograph.
    """

    size: int = 192
    frames: int = 3
    objects: int = 1
    scene: float = 0.45
    shapes: float = 0.3
    extra: float = 0.35
    copies: float = 0.0
    gathered: float = 0.0
    twin: float = 0.3
    smallest: float = 0.08
    largest: float = 0.6
    complete: bool = False
    pasted: int = 3
    merged: bool = False
    cover: float = 0.0
    pace: float = 1.0
    weights: dict[str, float] = field(default_factory=lambda: {"coco": 4.0, "cocop": 1.0, "ccp": 0.5})


@dataclass(frozen=True)
class Clip:
    """A clip with exact masks.

    Attributes:
        frames: RGB uint8 ``[T, H, W, 3]``.
        labels: uint8 ``[T, H, W]``; objects are 1..N, every one visible in the first frame.
        places: float32 ``[T, H / 16, W / 16, 3]``: what the centre of each cell shows, as the number of a layer (-1:
            nothing that can be followed) and a point on it, in pixels of the first frame. Two cells of different
            frames show the same thing if these agree.
        classes: class of each object, int64 ``[N]``, 0 where it is not known; None if no class is.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    places: NDArray[np.float32]
    classes: NDArray[np.int64] | None = None


class SyntheticClips:
    """Makes clip number ``index`` of a seed."""

    def __init__(self, photographs: Photographs, config: SyntheticConfig, seed: int = 0) -> None:
        self.photographs = photographs
        self.config = config
        self.seed = seed
        weights = np.array([config.weights.get(p.kind, 1.0) for p in photographs.masked])
        self._weights = weights / weights.sum()

    def clip(self, index: int) -> Clip:
        """Make a clip; the same index gives the same clip."""
        best: Clip | None = None
        for attempt in range(4):
            clip = self._attempt(np.random.default_rng((self.seed, index, attempt)))
            if clip is not None and (best is None or clip.labels[0].max() > best.labels[0].max()):
                best = clip
            if best is not None and (self.config.complete or best.labels[0].max() >= self.config.objects):
                break
        if best is None:
            return self.clip(index + 1_000_003)
        return replace(best, labels=np.minimum(best.labels, 1)) if self.config.merged else best

    def _attempt(self, rng: np.random.Generator) -> Clip | None:
        config = self.config
        calm = draw_speed(rng) * config.size
        background, scene_labels = self._background(rng)
        camera = self._camera(rng, background, calm)
        scene_ids = [] if scene_labels is None else self._scene_objects(rng, scene_labels)
        layers: list[Layer] = []
        wanted = config.objects - len(scene_ids)
        if config.complete:
            wanted = min(wanted, int(rng.integers(0 if scene_ids else 1, config.pasted + 1)))
        for slot in range(max(wanted, 0)):
            target = len(scene_ids) + slot + 1
            if layers and config.copies and rng.random() < config.copies:
                layers.append(self._moving(rng, layers[-1].rgba, calm, target))
            else:
                layers.append(self.pasted(rng, calm, target))
        if config.gathered and rng.random() < config.gathered:
            layers = self._gathered(rng, layers)
        for _ in range(2):
            if rng.random() < config.extra:
                layers.append(self._passer_by(rng, calm, layers))
        rng.shuffle(layers)
        if config.cover and rng.random() < config.cover:
            layers += [self.covering(rng, layer, config.frames) for layer in layers if layer.target]
        frames, labels, places = composite(rng, background, scene_labels, scene_ids, camera, layers, config.size)
        kept = visible_first(labels, config.objects, minimum=max(24, (config.size // 24) ** 2))
        return None if kept is None else Clip(frames, kept, places)

    def _background(self, rng: np.random.Generator) -> tuple[Rgb, NDArray[np.uint8] | None]:
        if rng.random() < self.config.scene or not self.photographs.textures:
            image, labels = self._photograph(rng).read()
            return image, labels
        return read_rgb(self.photographs.textures[rng.integers(len(self.photographs.textures))]), None

    def _photograph(self, rng: np.random.Generator) -> Photograph:
        return self.photographs.masked[rng.choice(len(self._weights), p=self._weights)]

    def _camera(self, rng: np.random.Generator, background: Rgb, calm: float) -> Path2D:
        pace = self.config.pace
        size, (height, width) = self.config.size, background.shape[:2]
        scale = size / min(height, width) * rng.uniform(1.0, 2.0)
        slack = np.maximum(np.array([width, height]) * scale - size, 0) / 2
        centre = size / 2 + rng.uniform(-1, 1, 2) * slack
        return random_path(
            rng,
            self.config.frames,
            start=(centre[0], centre[1]),
            scale=scale,
            speed=pace * calm * rng.uniform(0.1, 1.0),
            turn=pace * rng.choice([0.01, 0.05, 0.15], p=[0.5, 0.35, 0.15]),
            zoom=pace * rng.choice([0.01, 0.04, 0.12], p=[0.4, 0.4, 0.2]),
            elastic=pace * rng.choice([0.0, 2.0, 5.0], p=[0.4, 0.4, 0.2]),
        )

    def _scene_objects(self, rng: np.random.Generator, labels: NDArray[np.uint8]) -> list[int]:
        """Ids of the background photograph to label: large ones first to be drawn, at most what is asked for."""
        counts = np.bincount(labels.ravel(), minlength=256)
        counts[[0, VOID]] = 0
        share = counts / labels.size
        ids = np.flatnonzero((share > 0.004) & (share < 0.7))
        if not len(ids):
            return []
        if self.config.complete:
            return [int(i) for i in ids[np.argsort(-share[ids])][: self.config.objects]]
        chance = np.sqrt(share[ids]) / np.sqrt(share[ids]).sum()
        most = min(len(ids), self.config.objects)
        return [int(i) for i in rng.choice(ids, int(rng.integers(1, most + 1)), replace=False, p=chance)]

    def pasted(self, rng: np.random.Generator, calm: float, target: int) -> Layer:
        """A cut-out or a textured outline on its way, at about ``calm`` pixels per frame, labelled ``target``."""
        rgba = self._shape(rng) if rng.random() < self.config.shapes else self._cut_out(rng)
        return self._moving(rng, rgba, calm, target)

    def _gathered(self, rng: np.random.Generator, layers: list[Layer]) -> list[Layer]:
        """Layers that begin about one place, and move on from there as they would have."""
        middle, size = rng.uniform(0.3, 0.7, 2) * self.config.size, self.config.size
        moved = []
        for layer in layers:
            place = np.clip(middle + rng.normal(0, 0.16 * size, 2), 0.1 * size, 0.9 * size)
            path = replace(layer.path, centre=layer.path.centre + (place - layer.path.centre[0]))
            moved.append(replace(layer, path=path))
        return moved

    def covering(self, rng: np.random.Generator, hidden: Layer, period: int) -> Layer:
        """Something larger than an object that glides onto it, lies there, and glides off on the other side.

        Args:
            rng: the source of randomness.
            hidden: the object.
            period: frames from one hiding to the next; the cover is away at the start and lies on it in the middle.
        """
        frames = len(hidden.path.centre)
        height, width = hidden.rgba.shape[:2]
        texture = self._photograph(rng).read()[0]
        side = 128
        rgba = np.dstack([cv2.resize(texture, (side, side), interpolation=cv2.INTER_AREA), np.full((side, side), 255)])
        reach = float(np.hypot(width, height) * hidden.path.scale.max())  # its shape turned by any angle
        away = rng.choice([-1, 1]) * (reach + 0.75 * self.config.size)
        phase = (np.arange(frames) % period) / period  # 0 and 1: away; 0.5: on it
        slide = np.clip((np.abs(phase - 0.5) - COVERED / 2) / (0.5 - COVERED / 2), 0, 1) * np.sign(phase - 0.5)
        centre = hidden.path.centre.copy()
        centre[:, 0] += away * slide
        scale = np.full((frames, 2), 1.1 * reach / side)
        still = np.zeros(frames)
        path = Path2D(centre=centre, angle=still, scale=scale, shear=still, bend=np.zeros((frames, 4, 4, 2)))
        return Layer(rgba.astype(np.uint8), path, 0)

    def _passer_by(self, rng: np.random.Generator, calm: float, others: list[Layer]) -> Layer:
        targets = [layer for layer in others if layer.target]
        if targets and rng.random() < self.config.twin:
            rgba = targets[rng.integers(len(targets))].rgba
        else:
            rgba = self._shape(rng) if rng.random() < self.config.shapes else self._cut_out(rng)
        return self._moving(rng, rgba, calm, target=0)

    def _moving(self, rng: np.random.Generator, rgba: Rgb, calm: float, target: int) -> Layer:
        config, pace = self.config, self.config.pace
        area = max(float((rgba[..., 3] > 127).sum()), 1.0)
        side = config.size * np.exp(rng.uniform(np.log(config.smallest), np.log(config.largest)))
        scale = side / np.sqrt(area)
        start = rng.uniform(0.1, 0.9, 2) * config.size
        path = random_path(
            rng,
            config.frames,
            start=(start[0], start[1]),
            scale=scale,
            speed=pace * calm * rng.uniform(0.3, 1.2),
            turn=pace * rng.choice([0.03, 0.12, 0.35], p=[0.4, 0.4, 0.2]),
            zoom=pace * rng.choice([0.02, 0.08, 0.2], p=[0.4, 0.4, 0.2]),
            elastic=pace * rng.choice([0.0, 0.02, 0.05], p=[0.25, 0.45, 0.3]) * max(rgba.shape[:2]),
        )
        return Layer(rgba, path, target)

    def _shape(self, rng: np.random.Generator) -> Rgb:
        alpha = random_shape(rng, 160)
        if self.photographs.textures:
            texture = read_rgb(self.photographs.textures[rng.integers(len(self.photographs.textures))])
        else:
            texture = self._photograph(rng).read()[0]
        side = int(min(texture.shape[:2]) * rng.uniform(0.25, 1.0))
        top = int(rng.integers(0, texture.shape[0] - side + 1))
        left = int(rng.integers(0, texture.shape[1] - side + 1))
        patch = cv2.resize(texture[top : top + side, left : left + side], (160, 160), interpolation=cv2.INTER_AREA)
        return np.dstack([patch, alpha])

    def _cut_out(self, rng: np.random.Generator) -> Rgb:
        """One masked object as RGBA, cropped to its box with a margin."""
        for _ in range(8):
            image, labels = self._photograph(rng).read()
            ids = [i for i in np.unique(labels) if i not in (0, VOID)]
            areas = np.array([(labels == i).sum() for i in ids])
            ids = [i for i, area in zip(ids, areas, strict=True) if area >= 500]
            if not ids:
                continue
            mask = (labels == ids[rng.integers(len(ids))]).astype(np.uint8)
            left, top, width, height = cv2.boundingRect(mask)
            margin = 6
            rows = slice(max(top - margin, 0), top + height + margin)
            columns = slice(max(left - margin, 0), left + width + margin)
            alpha = cv2.GaussianBlur(mask[rows, columns] * 255, (3, 3), 0)
            rgba = np.dstack([image[rows, columns], alpha])
            return np.ascontiguousarray(rgba[:, ::-1] if rng.random() < 0.5 else rgba)
        return self._shape(rng)


def draw_speed(rng: np.random.Generator) -> float:
    """How far things move per frame, as a share of the picture's side: mostly little, now and then a lot."""
    return float(rng.choice([0.015, 0.05, 0.14, 0.28], p=[0.3, 0.35, 0.25, 0.1]))


def visible_first(labels: NDArray[np.uint8], objects: int, minimum: int) -> NDArray[np.uint8] | None:
    """Keep the objects seen well enough in the first frame, renumbered 1..N; None if there is none."""
    counts = np.bincount(labels[0].ravel(), minlength=256)
    seen = [i for i in range(1, 256) if counts[i] >= minimum][:objects]
    if not seen:
        return None
    table = np.zeros(256, np.uint8)
    table[seen] = np.arange(1, len(seen) + 1)
    return table[labels]
