"""A clip's objects as outlines, and parts followed over its frames for formats whose tracks hold one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy.optimize import linear_sum_assignment

from rotoscope.errors import InputError
from rotoscope.masks.polygons import Polygon, polygons_of
from rotoscope.shapes.source import Masks

LEAST_OVERLAP = 0.1
"""Boxes of a part on two frames share at least this much of their union, or they are two parts."""


@dataclass(frozen=True, eq=False)
class OutlinedFrame:
    """The objects of a frame.

    Attributes:
        name: the frame's name.
        objects: each object's parts, the largest first, by id; an object that is not there is missing.
    """

    name: str
    objects: Mapping[int, Sequence[Polygon]]


@dataclass(frozen=True, eq=False)
class OutlinedClip:
    """The objects of a clip.

    Attributes:
        name: of the clip.
        size: width and height in pixels.
        frames: in order; every frame of the clip, with or without objects.
        names: what each object is called, by id.
        rate: frames per second.
        suffix: of the frames' image files, such as ``.jpg``.
        exact: whether outlines give the very masks back.
    """

    name: str
    size: tuple[int, int]
    frames: tuple[OutlinedFrame, ...]
    names: Mapping[int, str]
    rate: Fraction = Fraction(25)
    suffix: str = ".png"
    exact: bool = False


def outlined(
    frames: Iterable[tuple[str, Masks]],
    name: str,
    tolerance: float,
    names: Mapping[int, str],
    *,
    rate: Fraction,
    suffix: str,
) -> OutlinedClip:
    """Draw outlines around the masks of all frames.

    Args:
        frames: name and masks of each frame.
        name: of the clip.
        tolerance: see :func:`~rotoscope.masks.polygons.polygons_of`.
        names: what objects are called; others are called ``object ID``.
        rate: frames per second.
        suffix: of the frames' image files.

    Raises:
        InputError: there is no mask at all, or a name is of no object.
    """
    size: tuple[int, int] | None = None
    outlined_frames = []
    ids: set[int] = set()
    for frame, masks in frames:
        objects = {i: polygons_of(mask, tolerance) for i, mask in sorted(masks.items())}
        for mask in masks.values():
            size = mask.shape[1], mask.shape[0]
        outlined_frames.append(OutlinedFrame(frame, {i: parts for i, parts in objects.items() if parts}))
        ids |= outlined_frames[-1].objects.keys()
    if size is None or not ids:
        raise InputError(f"{name}: no frame shows an object, so there is nothing to draw a line around.")
    unknown = sorted(names.keys() - ids)
    if unknown:
        told = ", ".join(map(str, sorted(ids)))
        raise InputError(f"{name}: there is no object {unknown[0]} to name; there are {told}.")
    called = {i: names.get(i, f"object {i}") for i in sorted(ids)}
    return OutlinedClip(name, size, tuple(outlined_frames), called, rate, suffix, tolerance <= 0)


@dataclass(eq=False)
class Part:
    """One part of an object over the frames on which it shows without a gap.

    Attributes:
        object_id: whose part it is.
        polygons: by number of the frame; consecutive.
    """

    object_id: int
    polygons: dict[int, Polygon] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The number of its last frame."""
        return max(self.polygons)


def parts(clip: OutlinedClip) -> list[Part]:
    """Each object's parts, followed from frame to frame by how much their boxes overlap."""
    made: list[Part] = []
    for object_id in clip.names:
        running: list[Part] = []
        for number, frame in enumerate(clip.frames):
            here = list(frame.objects.get(object_id, ()))
            known = [part for part in running if part.last == number - 1]
            costs = np.array([[-_overlap(p.polygons[number - 1], q) for q in here] for p in known]).reshape(
                len(known), len(here)
            )
            rows, columns = linear_sum_assignment(costs)
            taken = {int(c): known[r] for r, c in zip(rows, columns, strict=True) if costs[r, c] < -LEAST_OVERLAP}
            for column, polygon in enumerate(here):
                part = taken.get(column)
                if part is None:
                    part = Part(object_id)
                    running.append(part)
                part.polygons[number] = polygon
        made += running
    return made


def _overlap(one: Polygon, other: Polygon) -> float:
    """Intersection over union of two polygons' boxes."""
    a, b = one.box, other.box
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return common / (both - common)
