"""What a layered clip shows, as numbers: which pictures, where, in which order, with which ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.training.layered.stock import LEVELS

Floats = NDArray[np.float64]
GRID = 4
"""Points of an elastic bend along a side of the frame."""


@dataclass(frozen=True)
class Chances:
    """How often clips are laid together in which way.

    Attributes:
        scene: shares of clips whose background is a video, a photograph with its objects, a texture.
        filmed: chance that a pasted object is a video's, with its own motion.
        extra: chance of each of two things that are not labelled: passers-by and occluders.
        twin: chance that a further thing is a copy of one that is there.
        crossing: chance that a clip of several objects has copies of one thing whose ways meet.
        painted: chance that a pasted outline is filled with a texture.
        behind: chance that what is pasted passes behind the scene's own objects.
        leave: chance that what is pasted leaves the picture.
        hide: chance that something glides over an object and covers it whole for a while.
        unlabelled: chance that the objects of a scene are not labelled where something else is.
        grey: chance that a clip has no colour.
        approach: chance that what is filmed or pasted comes nearer all along the clip, or goes away.
    """

    scene: tuple[float, float, float] = (0.6, 0.25, 0.15)
    filmed: float = 0.5
    extra: float = 0.3
    twin: float = 0.25
    crossing: float = 0.12
    painted: float = 0.12
    behind: float = 0.4
    leave: float = 0.1
    hide: float = 0.2
    unlabelled: float = 0.12
    grey: float = 0.05
    approach: float = 0.25


@dataclass(frozen=True)
class Layer:
    """Something that is laid over a clip, or the scene behind everything.

    Attributes:
        pictures: the picture of the stock that each frame shows, ``[T]``.
        matrices: from a pixel of the frame to one of the picture, ``[T, 2, 3]``.
        masks, mask_matrices: the same for where it is seen; those of the pictures unless its outline is another's.
        label: value of the mask that is seen; 0 for the whole picture.
        target: what it is labelled as; 0 for nothing.
        bend: elastic displacement on a coarse grid over the frame, in pixels of the picture, ``[T, GRID, GRID, 2]``.
        gain: factor of each channel.
        gamma: exponent of the brightness.
        behind: whether the scene's own objects hide it.
        scale: pixels of the first frame per pixel of the picture, where what it shows can be followed; else 0.
        shutter: share of the way from frame to frame over which it is smeared.
        track: middle and half of the extent of what is seen in each frame, x, y, x, y in pixels, ``[T, 4]``.
    """

    pictures: NDArray[np.int64]
    matrices: Floats
    masks: NDArray[np.int64]
    mask_matrices: Floats
    label: int
    target: int
    bend: Floats
    gain: Floats
    gamma: float
    track: Floats
    behind: bool = False
    scale: float = 0.0
    shutter: float = 0.0


@dataclass(frozen=True)
class ClipPlan:
    """A clip.

    Attributes:
        scene: what is behind everything.
        targets: what each label of the scene's masks is labelled as, ``[256]``.
        layers: from back to front.
        flicker: change of the brightness of each frame, factor and term, ``[T, 2]``.
        noise: standard deviation of the noise, of 255.
        soft: standard deviation of the blur, in pixels.
        grey: whether it has no colour.
        seed: of the noise.
    """

    scene: Layer
    targets: NDArray[np.uint8]
    layers: tuple[Layer, ...]
    flicker: Floats
    noise: float
    soft: float
    grey: bool
    seed: int


class Laid(NamedTuple):
    """One layer of each of N clips, ready for a device.

    Attributes:
        rows: which of the step's clips they are of, ``[N]``.
        smeared: which of them are smeared, counted among themselves.
        pictures, masks: see :class:`Layer`, ``[N, T]``.
        matrices, outlines: its matrices and mask matrices, float32 ``[N, T, 2, 3]``.
        speeds: change of both from frame to frame, times the shutter, float32 ``[2, N, T, 2, 3]``.
        levels: the level that each picture and each mask is read at, ``[2, N, T]``.
        bend: float32 ``[N, T, GRID, GRID, 2]``; None where nothing is bent.
        numbers: label and target, int64 ``[2, N]``.
        values: gain of three channels, gamma, behind (0 or 1) and scale, float32 ``[6, N]``.
        own: whether outlines are those of the pictures themselves.
    """

    rows: Tensor
    smeared: Tensor
    pictures: Tensor
    masks: Tensor
    matrices: Tensor
    outlines: Tensor
    speeds: Tensor
    levels: Tensor
    bend: Tensor | None
    numbers: Tensor
    values: Tensor
    own: bool

    def on(self, device: torch.device) -> Laid:
        """The same on a device, which is not waited for."""
        moved = [x.to(device, non_blocking=True) if isinstance(x, Tensor) else x for x in self]
        return Laid._make(moved)


class StepPlan(NamedTuple):
    """The clips of a step, ready for a device.

    Attributes:
        scenes: the scene of each clip.
        tables: what each label of the scenes is labelled as, int64 ``[B, 256]``.
        layers: the others, from back to front.
        flicker: factor and term of each frame's brightness, float32 ``[B, T, 2]``.
        finish: standard deviation of the noise, and 1 where there is no colour, float32 ``[2, B]``.
        soft: standard deviation of each clip's blur, in pixels.
        seed: of the noise.
        width, height: of the frames.
        objects: slots for objects.
        most: the highest label.
    """

    scenes: Laid
    tables: Tensor
    layers: list[Laid]
    flicker: Tensor
    finish: Tensor
    soft: list[float]
    seed: int
    width: int
    height: int
    objects: int
    most: int


def step_plan(clips: Sequence[ClipPlan], shape: ClipShape) -> StepPlan:
    """Clips as a plan of a step."""
    depth = max(len(clip.layers) for clip in clips)
    layers = []
    for order in range(depth):
        rows = [number for number, clip in enumerate(clips) if len(clip.layers) > order]
        layers.append(_laid(rows, [clips[number].layers[order] for number in rows]))
    width, height = shape.across
    return StepPlan(
        _laid(list(range(len(clips))), [clip.scene for clip in clips]),
        torch.from_numpy(np.stack([clip.targets for clip in clips])).long(),
        layers,
        torch.from_numpy(np.stack([clip.flicker for clip in clips])).float(),
        torch.tensor([[clip.noise for clip in clips], [float(clip.grey) for clip in clips]]),
        [clip.soft for clip in clips],
        clips[0].seed,
        width,
        height,
        shape.objects,
        max(int(target) for clip in clips for target in (*clip.targets, *(layer.target for layer in clip.layers))),
    )


def _laid(rows: list[int], layers: Sequence[Layer]) -> Laid:
    shutter = np.array([layer.shutter for layer in layers])
    both = np.stack([[layer.matrices, layer.mask_matrices] for layer in layers], axis=1)  # [2, N, T, 2, 3]
    still = both.shape[2] < 2
    speeds = np.zeros_like(both) if still else np.gradient(both, axis=2) * shutter[None, :, None, None, None]
    apart = np.sqrt(np.abs(np.linalg.det(both[..., :2])))
    levels = np.clip(np.floor(np.log2(np.maximum(apart, 1e-6)) + 0.5), 0, LEVELS - 1)
    bend = np.stack([layer.bend for layer in layers])
    values = [[*layer.gain, layer.gamma, float(layer.behind), layer.scale] for layer in layers]
    return Laid(
        torch.tensor(rows),
        torch.from_numpy(np.flatnonzero(shutter * (not still))),
        torch.from_numpy(np.stack([layer.pictures for layer in layers])).long(),
        torch.from_numpy(np.stack([layer.masks for layer in layers])).long(),
        torch.from_numpy(both[0]).float(),
        torch.from_numpy(both[1]).float(),
        torch.from_numpy(speeds).float(),
        torch.from_numpy(levels).long(),
        torch.from_numpy(bend).float() if bend.any() else None,
        torch.tensor([[layer.label for layer in layers], [layer.target for layer in layers]]),
        torch.tensor(values, dtype=torch.float32).T.contiguous(),
        all(layer.mask_matrices is layer.matrices and layer.masks is layer.pictures for layer in layers),
    )
