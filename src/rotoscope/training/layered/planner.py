"""Draws what layered clips show: a scene with its objects, others laid over it, copies, and what hides them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.training.layered.plan import Chances, ClipPlan, Floats, Layer
from rotoscope.training.layered.stock import Stock, Strip, Thing
from rotoscope.training.layered.ways import LARGEST, SMALLEST, Ways, seen_track

CANDIDATES = 3
"""Places of which the one farthest from other objects is taken."""
WIDEST = 0.3
"""What has a larger half extent than this share of the frame is not hidden."""


class Planner:
    """Draws clips.

    Args:
        stock: what they are made of; only its lists are used.
        chances: how often which way.
    """

    def __init__(self, stock: Stock, chances: Chances | None = None) -> None:
        self.strips, self.textures = stock.strips, stock.textures
        self.chances = chances or Chances()
        numbers = range(len(self.strips))
        self.scenes: tuple[list[int], list[int]] = (
            [number for number in numbers if self.strips[number].filmed],
            [number for number in numbers if not self.strips[number].filmed],
        )
        self.of_strip: dict[int, list[Thing]] = {}
        for thing in stock.things:
            self.of_strip.setdefault(thing.strip, []).append(thing)
        self.filmed = [thing for thing in stock.things if self.strips[thing.strip].filmed]
        self.pictured = [thing for thing in stock.things if not self.strips[thing.strip].filmed]

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> ClipPlan:
        """Draw a clip; one of a scene without objects has at least one thing laid over it."""
        return _Drawing(self, rng, shape).clip()

    def thing(self, rng: np.random.Generator) -> Thing | None:
        """An object to cut out; None if there is none."""
        film = self.filmed and (rng.random() < self.chances.filmed or not self.pictured)
        known = self.filmed if film else self.pictured
        return known[rng.integers(len(known))] if known else None

    def texture(self, rng: np.random.Generator) -> Strip:
        """A photograph for what has an outline of another thing, or of nothing."""
        known = self.textures or self.strips
        strip = known[rng.integers(len(known))]
        return replace(strip, first=strip.first + int(rng.integers(strip.count)), count=1, filmed=False)


class _Drawing:
    """One clip in the making."""

    def __init__(self, planner: Planner, rng: np.random.Generator, shape: ClipShape) -> None:
        self.planner, self.rng, self.shape = planner, rng, shape
        self.chances = planner.chances
        self.ways = Ways(rng, shape, planner.chances)
        self.targets = np.zeros(256, np.uint8)
        self.count = 0
        self.own: list[Layer] = []  # the scene's objects as layers, for copies of them
        self.layers: list[Layer] = []

    def clip(self) -> ClipPlan:
        """Draw it."""
        rng, chances, frames = self.rng, self.chances, self.shape.frames
        scene = self._scene()
        left = self.shape.objects - self.count
        if self.count and left > 0 and rng.random() < 0.25:
            left -= 1
        if left > 1 and rng.random() < chances.crossing:
            self._crossing(left)
        else:
            for _ in range(left):
                self._paste(labelled=True)
        for _ in range(2):
            if rng.random() < chances.extra:
                self._paste(labelled=False)
        order = rng.permutation(len(self.layers))
        layers = [self.layers[number] for number in order]
        if frames > 2 and rng.random() < chances.hide:
            layers += self._hiding()
        flicker = float(rng.choice([0.0, 0.04, 0.12], p=[0.5, 0.35, 0.15]))
        return ClipPlan(
            scene,
            self.targets,
            tuple(layers),
            rng.normal(0, 1, (frames, 2)) * flicker * np.array([1.0, 60.0]) + np.array([1.0, 0.0]),
            noise=float(rng.choice([0.0, 3.0, 8.0], p=[0.65, 0.25, 0.1])),
            soft=float(rng.uniform(0.5, 1.5)) if rng.random() < 0.15 else 0.0,
            grey=bool(rng.random() < chances.grey),
            seed=int(rng.integers(2**31)),
        )

    def _target(self) -> int:
        self.count += 1
        return self.count

    def _scene(self) -> Layer:
        """What is behind everything, its objects labelled, maybe."""
        planner, rng, frames = self.planner, self.rng, self.shape.frames
        there = (*(bool(known) for known in planner.scenes), bool(planner.textures))
        shares = np.array(self.chances.scene) * there
        kind = int(rng.choice(3, p=shares / shares.sum())) if shares.sum() else int(np.argmax(there))
        if kind == 2:
            strip = planner.texture(rng)
            return self.ways.window(strip, np.full(frames, strip.first), None)
        number = planner.scenes[kind][rng.integers(len(planner.scenes[kind]))]
        strip = planner.strips[number]
        times = self.ways.times(strip)
        seen = [thing for thing in planner.of_strip.get(number, ()) if thing.areas[times[0]] > 0]
        seen = [seen[place] for place in rng.permutation(len(seen))]
        scene = self.ways.window(strip, strip.first + times, seen[0].boxes[times] if seen else None)
        hidden = rng.random() < self.chances.unlabelled
        for thing in seen[: self.shape.objects]:
            layer = replace(scene, label=thing.label, track=seen_track(thing.boxes[times], scene.matrices))
            if not hidden:
                self.targets[thing.label] = self._target()
            self.own.append(layer)
        return scene

    def _paste(self, labelled: bool) -> None:
        """Lay an object of another strip, or once more one that is there, over the clip."""
        rng = self.rng
        known = [layer for layer in (*self.layers, *self.own) if layer.label and layer.track[0, 2:].any()]
        if known and rng.random() < self.chances.twin:
            self.layers.append(self.ways.again(known[rng.integers(len(known))], self._target() if labelled else 0))
            return
        thing = self.planner.thing(rng)
        if thing is None:
            return
        strip = self.planner.strips[thing.strip]
        layer = self.ways.moving(strip, thing, self._place(), self._target() if labelled else 0)
        if rng.random() < self.chances.painted:
            middle = thing.boxes[int(layer.masks[0]) - strip.first, :2]
            layer = self.ways.painted(layer, middle, self.planner.texture(rng))
        self.layers.append(layer)

    def _crossing(self, count: int) -> None:
        """Lay copies of an object over the clip, on ways that meet."""
        rng, thing = self.rng, self.planner.thing(self.rng)
        if thing is None:
            return
        share = float(np.exp(rng.uniform(np.log(3 * SMALLEST), np.log(LARGEST / 2))))
        middle, ahead = rng.uniform(0.3, 0.7, 2) * self.ways.frame, rng.uniform(0, 2 * np.pi)
        layer = self.ways.moving(self.planner.strips[thing.strip], thing, middle, 0, share)
        for copy in range(count):
            angle = ahead + 2 * np.pi * copy / count + rng.uniform(-0.4, 0.4)
            self.layers.append(replace(self.ways.crossing(layer, middle, angle), target=self._target()))

    def _hiding(self) -> list[Layer]:
        """Something that glides over one of the objects, if one is small enough."""
        targets = [layer.track for layer in self.layers if layer.target]
        targets += [layer.track for layer in self.own if self.targets[layer.label]]
        narrow = [track for track in targets if (track[:, 2:] < WIDEST * self.ways.frame).all()]
        if not narrow:
            return []
        return [self.ways.covering(self.planner.texture(self.rng), narrow[self.rng.integers(len(narrow))])]

    def _place(self) -> Floats:
        """Where a pasted object begins: of some places the one farthest from the objects that are there."""
        places = self.rng.uniform(0.1, 0.9, (CANDIDATES, 2)) * self.ways.frame
        taken = [layer.track[0, :2] for layer in (*self.layers, *self.own)]
        distances = [min((np.hypot(*(place - middle)) for middle in taken), default=0.0) for place in places]
        return np.asarray(places[int(np.argmax(distances))])
