"""Training clips from annotated videos with further objects put into them, so that they hold several.

Networks trained on clips of one object each (DAVIS 2016) forget to tell objects apart. Here the objects, their motion
and their masks are real; only that they meet is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.augment import to_grey
from rotoscope.datasets.chances import Chances
from rotoscope.datasets.clip_sources import ClipShape, finished
from rotoscope.datasets.compositing import colour_change
from rotoscope.datasets.photographs import Photographs, read_rgb
from rotoscope.datasets.sequences import VideoSequence, object_ids
from rotoscope.datasets.sprites import (
    Footage,
    Labels,
    Rgb,
    Sprite,
    boxes,
    cover,
    cut_out,
    drift,
    lay,
    placements,
    recoloured,
)
from rotoscope.datasets.synthetic import Clip, SyntheticClips, SyntheticConfig, draw_speed
from rotoscope.datasets.video_clips import VideoClips
from rotoscope.errors import InputError

SMALLEST, LARGEST = 0.005, 0.2
"""Area of a pasted object in the first frame, as a share of the frame's."""
MOST_ENLARGED = 2.0
"""A pasted object is not enlarged further than this, or it would be told by its blur."""

CROPS = 6
"""Crops of a video drawn at most until one shows its object."""
MOST_COVERED = 0.6
"""Share of an object that another may cover in the first frame; beyond it the two change their order."""


@dataclass
class _Scene:
    """A clip in the making: frames, and labels with ids as they come."""

    frames: list[Rgb]
    marks: list[Labels]

    def ids(self) -> list[int]:
        """Objects of the first frame."""
        return object_ids(self.marks[0])

    def free(self) -> int:
        """An id that no frame holds."""
        return 1 + max((i for mark in self.marks for i in object_ids(mark)), default=0)


class ComposedClips:
    """Clips of annotated videos with further objects in them.

    Args:
        videos: the clips; objects that are pasted come from them too.
        photographs: for cut-outs and covers; without, other clips serve.
        chances: how often which way.
    """

    def __init__(
        self, videos: VideoClips, photographs: Photographs | None = None, chances: Chances | None = None
    ) -> None:
        self.videos = videos
        self.photographs = photographs
        self.chances = chances or Chances()
        self._cut_outs: dict[tuple[int, int, float], SyntheticClips] = {}

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip.

        Raises:
            InputError: the videos hardly ever show an object.
        """
        for _ in range(16):
            scene = self._scene(rng, shape)
            clip = finished(rng, scene.frames, scene.marks, shape.objects)
            if clip is not None:
                return clip
        raise InputError("sixteen clips in a row show no object in their first frame; look at the annotations.")

    def _scene(self, rng: np.random.Generator, shape: ClipShape) -> _Scene:
        number = int(rng.integers(len(self.videos.sequences)))
        scene = _Scene(*self.videos.window(rng, self.videos.sequences[number], shape, CROPS))
        way = self.chances.way(rng)
        if not scene.ids():  # the crop shows nothing but a background for others
            self._paste(rng, scene, shape, number)
            way = "paste"
        if way == "photo" and self.photographs is None:
            way = "paste"
        if way in ("paste", "photo"):
            put = self._paste if way == "paste" else self._photo
            for _ in range(1 + (rng.random() < self.chances.second)):
                put(rng, scene, shape, number)
        elif way == "twin":
            self._twin(rng, scene, shape, number)
        elif way == "crossing":
            self._crossing(rng, scene, shape, number)
        elif way == "halves":
            self._halves(rng, scene, shape, number)
        elif way == "cut":
            self._cut(rng, scene)
        if rng.random() < self.chances.hide:
            self._hide(rng, scene, shape, number)
        return scene

    def _paste(self, rng: np.random.Generator, scene: _Scene, shape: ClipShape, number: int) -> None:
        """Lay an object of another clip, as it moves there, into this one."""
        taken = self._taken(rng, shape, number)
        if taken is None:
            return
        share = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST)))
        scale = min(shape.size * np.sqrt(share / taken.masks[0].sum()), MOST_ENLARGED)
        leaves = rng.random() < self.chances.leave
        place = self._place(rng, scene, shape) + drift(rng, shape.frames, shape.size, shape.pace, leaves)
        sizes = scale * np.exp(np.cumsum(rng.normal(0, 0.04 * shape.pace, shape.frames)))
        matrices = placements(taken.centre, place, sizes, rng.normal(0, 0.15), rng.random() < 0.5)
        coat = colour_change(rng, 0.5)
        self._put(rng, scene, recoloured(taken.sprite(matrices, shape.size), coat), scene.free())

    def _crossing(self, rng: np.random.Generator, scene: _Scene, shape: ClipShape, number: int) -> None:
        """Lay copies of an object of another clip into this one, on ways that meet."""
        taken = self._taken(rng, shape, number)
        if taken is None:
            return
        share = np.exp(rng.uniform(np.log(4 * SMALLEST), np.log(LARGEST / 2)))
        scale = min(shape.size * np.sqrt(share / taken.masks[0].sum()), MOST_ENLARGED)
        extent = scale * float(np.sqrt(taken.masks[0].sum()))
        middle, ahead = rng.uniform(0.3, 0.7, 2) * shape.size, rng.uniform(0, 2 * np.pi)
        copies, coat, turned = int(rng.integers(2, 4)), colour_change(rng, 0.5), rng.normal(0, 0.15)
        flips = rng.random() < 0.3
        for copy in range(copies):
            angle = ahead + 2 * np.pi * copy / copies + rng.uniform(-0.4, 0.4)
            away = extent * rng.uniform(0.8, 1.6) * np.array([np.cos(angle), np.sin(angle)])
            passed = np.linspace(1, 1 - rng.uniform(0.6, 2.2), shape.frames)[:, None]
            sway = drift(rng, shape.frames, shape.size, 0.2 * shape.pace, False)
            sizes = scale * np.exp(np.cumsum(rng.normal(0, 0.02 * shape.pace, shape.frames)))
            flip = bool(flips and rng.random() < 0.5)
            matrices = placements(taken.centre, middle + passed * away + sway, sizes, turned, flip)
            sprite = recoloured(taken.sprite(matrices, shape.size), coat)
            lay(scene.frames, scene.marks, sprite, 0 if rng.random() < 0.1 else scene.free())

    def _taken(self, rng: np.random.Generator, shape: ClipShape, number: int) -> Footage | None:
        """An object of another clip, and the frames it is seen on; None if four clips in a row begin without one."""
        for _ in range(4):
            sequence = self._other(rng, number)
            names = self.videos.choose(rng, sequence, shape)
            marks = [self.videos.labels(sequence, name) for name in names]
            ids = object_ids(marks[0])
            if ids:
                mask_id = ids[rng.integers(len(ids))]
                images = [read_rgb(sequence.images[name]) for name in names]
                return Footage(images, [mark == mask_id for mark in marks], boxes(marks[:1], mask_id)[0, :2])
        return None

    def _photo(self, rng: np.random.Generator, scene: _Scene, shape: ClipShape, number: int) -> None:
        """Let a cut-out of a photograph, or a textured outline, move over the clip or behind its objects."""
        layer = self._layers(shape).pasted(rng, draw_speed(rng) * shape.size, 0)
        sprite = np.stack([layer.seen(t, shape.size)[0] for t in range(shape.frames)])
        self._put(rng, scene, recoloured(sprite, colour_change(rng, 0.5)), self._label(rng, scene))

    def _twin(self, rng: np.random.Generator, scene: _Scene, shape: ClipShape, number: int) -> None:
        """Lay an object into its own clip once more, shifted, maybe mirrored or with its time reversed."""
        label = scene.ids()[rng.integers(len(scene.ids()))]
        track = boxes(scene.marks, label)
        low, high = (track[:, :2] - track[:, 2:]).min(axis=0), (track[:, :2] + track[:, 2:]).max(axis=0)
        at_edge = (low < 2) | (high > shape.size - 2)
        if at_edge.all():
            self._paste(rng, scene, shape, number)
            return
        # Where the picture's edge cuts the object, the twin's cut must lie on that edge too: it moves along it only.
        direction = np.where(at_edge, 0, rng.choice([-1, 1], 2))
        shift = direction * 2 * track[0, 2:] * rng.uniform(0.6, 1.6, 2)
        if not at_edge.any():
            shift[rng.integers(2)] *= rng.uniform(0, 0.5)
        place = track[0, :2] + shift
        wrong = (place < 0) | (place > shape.size)
        place = np.where(wrong, track[0, :2] - shift, place)
        flip = bool(rng.random() < 0.5 and not at_edge[0])
        times = np.arange(shape.frames)[:: -1 if rng.random() < 0.4 else 1]
        moves = drift(rng, shape.frames, shape.size, 0.3 * shape.pace, False) * ~at_edge
        matrices = placements(track[times[0], :2], place + moves, np.ones(shape.frames), 0.0, flip)
        sprite = np.stack(
            [
                cut_out(scene.frames[t], scene.marks[t] == label, m, shape.size)
                for t, m in zip(times, matrices, strict=True)
            ]
        )
        self._put(rng, scene, sprite, self._label(rng, scene))

    def _halves(self, rng: np.random.Generator, scene: _Scene, shape: ClipShape, number: int) -> None:
        """Show another clip on one side of a straight line that may move."""
        frames, marks = self.videos.window(rng, self._other(rng, number), shape, CROPS)
        angle, middle = rng.uniform(0, 2 * np.pi), (shape.size - 1) / 2
        ys, xs = np.mgrid[: shape.size, : shape.size] - middle
        distance = xs * np.cos(angle) + ys * np.sin(angle)
        speed = shape.size * shape.pace * rng.choice([0.0, 0.02, 0.06])
        offset = rng.uniform(-0.2, 0.2) * shape.size + speed * np.arange(shape.frames)
        first = scene.free() - 1
        for t, (frame, mark) in enumerate(zip(frames, marks, strict=True)):
            side = np.clip(distance - offset[t] + 0.5, 0, 1)
            lay([scene.frames[t]], [scene.marks[t]], np.dstack([frame, side * 255]).astype(np.uint8)[None], 0)
            seen = (side * 255).astype(np.uint8) > 127
            scene.marks[t][seen] = np.where((mark > 0) & (mark < 255 - first), mark + first, 0).astype(np.uint8)[seen]

    def _cut(self, rng: np.random.Generator, scene: _Scene) -> None:
        """Cut an object in two by a line that keeps its place in the object's box."""
        label, other = scene.ids()[rng.integers(len(scene.ids()))], scene.free()
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.25, 0.25)
        size = len(scene.marks[0])
        for mark, (x, y, half_width, half_height) in zip(scene.marks, boxes(scene.marks, label), strict=True):
            across = (np.arange(size) - x) / max(half_width, 1) * np.cos(angle)
            down = (np.arange(size) - y) / max(half_height, 1) * np.sin(angle)
            mark[(across[None] + down[:, None] > offset) & (mark == label)] = other

    def _hide(self, rng: np.random.Generator, scene: _Scene, shape: ClipShape, number: int) -> None:
        """Let something glide over one of the objects, if it is not too large to be covered."""
        tracks = [boxes(scene.marks, label) for label in scene.ids()]
        tracks = [track for track in tracks if track[:, 2:].max() < 0.3 * shape.size]
        if tracks and shape.frames > 1:
            track = tracks[rng.integers(len(tracks))]
            lay(scene.frames, scene.marks, cover(rng, self._texture(rng, number), track, shape.size), 0)

    def _put(self, rng: np.random.Generator, scene: _Scene, sprite: Sprite, label: int) -> None:
        """Lay a sprite over the clip, or behind its objects, where that leaves enough to see at first."""
        if (scene.frames[0][..., 0] == scene.frames[0][..., 2]).all():  # a clip without colour
            sprite = np.stack([np.dstack([to_grey(rgba[..., :3]), rgba[..., 3]]) for rgba in sprite])
        ids, first = scene.ids(), sprite[0, ..., 3] > 127
        behind = bool(rng.random() < self.chances.behind)
        covered = max((share_of(scene.marks[0] == label, first) for label in ids), default=0.0)
        hidden = share_of(first, np.isin(scene.marks[0], ids))
        if behind or covered > MOST_COVERED:
            behind = hidden <= MOST_COVERED
        lay(scene.frames, scene.marks, sprite, label, ids if behind else ())

    def _label(self, rng: np.random.Generator, scene: _Scene) -> int:
        return 0 if rng.random() < self.chances.unlabelled else scene.free()

    def _place(self, rng: np.random.Generator, scene: _Scene, shape: ClipShape) -> NDArray[np.float64]:
        """Where a pasted object begins: of three places the one farthest from the objects that are there."""
        places = rng.uniform(0.1, 0.9, (3, 2)) * shape.size
        taken = [boxes(scene.marks[:1], label)[0, :2] for label in scene.ids()]
        distances = [min((np.hypot(*(place - centre)) for centre in taken), default=0.0) for place in places]
        return np.asarray(places[int(np.argmax(distances))])

    def _other(self, rng: np.random.Generator, number: int) -> VideoSequence:
        """Another sequence than that of the number, if there is one."""
        count = len(self.videos.sequences)
        return self.videos.sequences[(number + rng.integers(1, max(count, 2))) % count]

    def _layers(self, shape: ClipShape) -> SyntheticClips:
        key = shape.size, shape.frames, shape.pace
        if key not in self._cut_outs:  # counting kinds of photographs takes longer than a clip may
            assert self.photographs is not None
            config = SyntheticConfig(
                size=shape.size, frames=shape.frames, pace=shape.pace, largest=float(np.sqrt(LARGEST))
            )
            self._cut_outs[key] = SyntheticClips(self.photographs, config)
        return self._cut_outs[key]

    def _texture(self, rng: np.random.Generator, number: int) -> Rgb:
        """Part of a texture, of a photograph, or of a frame of another clip; RGB uint8."""
        if self.photographs is None:
            paths = list(self._other(rng, number).images.values())
        else:
            paths = list(self.photographs.textures) or [p.image for p in self.photographs.masked]
        image = read_rgb(paths[rng.integers(len(paths))])
        height, width = (int(side * rng.uniform(0.3, 1.0)) for side in image.shape[:2])
        top, left = (
            int(rng.integers(0, s - part + 1)) for s, part in zip(image.shape[:2], (height, width), strict=True)
        )
        return np.ascontiguousarray(image[top : top + height, left : left + width])


def share_of(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Share of a mask that lies in another; 0 of an empty one."""
    return float((mask & other).sum() / max(int(mask.sum()), 1))
