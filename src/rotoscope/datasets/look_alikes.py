"""Clips of two or three copies of one cut-out that cross: what tells them apart is where they were, not how they look.

All copies are labelled. The motion is written here and not shared with the clips that networks train on, so that a
change of those leaves these, which are measured with, as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.pairs import ComposedClip, Cut
from rotoscope.datasets.photographs import VOID, Photographs
from rotoscope.errors import InputError

CLIPS = 12
SHORTEST, LONGEST = 24, 40
ATTEMPTS = 24
LEAST_AREA = 500
"""Pixels that an object of a photograph must have to be cut out."""
SEEN_FIRST = 0.8
"""Share of each copy that the first frame should show."""
HIDDEN = 0.4
"""Share of some copy that another should hide at some time."""


@dataclass(frozen=True, eq=False)
class Course:
    """The motion of one copy.

    Attributes:
        centre: the centre of the cut-out in each frame, ``[T, 2]``: (x, y) in pixels of the frame.
        angle: its rotation in each frame, ``[T]``, in radians.
        scale: its size in each frame, ``[T, 2]``: frame pixels per pixel of the cut-out along its two axes.
    """

    centre: NDArray[np.float64]
    angle: NDArray[np.float64]
    scale: NDArray[np.float64]

    def matrix(self, t: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """From pixels of a cut-out ``[h, w]`` to those of frame ``t``, ``[2, 3]``."""
        cos, sin = np.cos(self.angle[t]), np.sin(self.angle[t])
        linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag(self.scale[t])
        middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
        return np.column_stack([linear, self.centre[t] - linear @ middle])


class LookAlikes:
    """Makes clip number ``index`` of a seed: two copies in even ones, three in odd ones.

    Args:
        photographs: what is cut out of, and what stands behind.
        size: side of the square frames in pixels.
        frames: keep only the first so many frames; None for all, 24 to 40.
        seed: of everything, together with the index.

    Raises:
        InputError: no photograph has an object of enough pixels.
    """

    def __init__(self, photographs: Photographs, size: int = 240, frames: int | None = None, seed: int = 0) -> None:
        self.photographs = photographs
        self.size = size
        self.frames = frames
        self.seed = seed

    def __len__(self) -> int:
        return CLIPS

    def clip(self, index: int) -> ComposedClip:
        """Make a clip; the same index gives the same clip."""
        copies = 2 + index % 2
        best, most = None, -np.inf
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng((self.seed, index, attempt))
            length = int(rng.integers(SHORTEST, LONGEST + 1))
            cut_out = self._cut_out(rng)
            courses = crossing(rng, copies, length, cut_out, self.size)
            labels, seen = _labelled(cut_out, courses, self.size)
            worth = min(seen[0].min() - SEEN_FIRST, 0) + min(1 - seen[1:].min() - HIDDEN, 0)
            if worth > most:
                best, most = (rng, cut_out, courses, labels), worth
            if worth >= 0:
                break
        assert best is not None
        rng, cut_out, courses, labels = best
        count = min(len(labels), self.frames or len(labels))
        frames = self._drawn(rng, cut_out, courses, count, len(labels))
        return ComposedClip(f"look-alikes-{index:02d}", frames, labels[:count])

    def _cut_out(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """An object as RGBA, cropped to its box; one that need not be enlarged much if a few draws find it."""
        for attempt in range(200):
            image, labels = self.photographs.masked[rng.integers(len(self.photographs.masked))].read()
            ids, areas = np.unique(labels[(labels > 0) & (labels != VOID)], return_counts=True)
            ids = ids[areas >= max(LEAST_AREA, (0.15 * self.size) ** 2 if attempt < 20 else 0)]
            if len(ids):
                mask = (labels == ids[rng.integers(len(ids))]).astype(np.uint8)
                left, top, width, height = cv2.boundingRect(mask)
                rgba = np.dstack([image, mask * np.uint8(255)])[top : top + height, left : left + width]
                return np.asarray(cv2.copyMakeBorder(rgba, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)))
        raise InputError(f"no photograph has an object of {LEAST_AREA} pixels. Give other photographs.")

    def _drawn(
        self, rng: np.random.Generator, cut_out: NDArray[np.uint8], courses: list[Course], count: int, length: int
    ) -> NDArray[np.uint8]:
        """The first ``count`` of ``length`` frames: the copies over a photograph that drifts."""
        behind = self.photographs.masked[rng.integers(len(self.photographs.masked))].read()[0]
        scale = self.size / min(behind.shape[:2]) * rng.uniform(1.1, 1.5)
        room = (np.array([behind.shape[1], behind.shape[0]]) * scale - self.size) / 2
        ends = self.size / 2 + rng.uniform(-0.9, 0.9, (2, 2)) * room
        ends[1] = ends[0] + np.clip(ends[1] - ends[0], -0.2 * self.size, 0.2 * self.size)
        share = np.linspace(0, 1, length)[:, None]
        camera = Course(ends[0] + share * (ends[1] - ends[0]), np.zeros(length), np.full((length, 2), scale))
        frames = np.empty((count, self.size, self.size, 3), np.uint8)
        for t in range(count):
            view = cv2.warpAffine(
                behind, camera.matrix(t, behind.shape), (self.size, self.size), borderMode=cv2.BORDER_REFLECT_101
            )
            image = view.astype(np.float32)
            for course in courses:
                image = _moved(cut_out, course, t, self.size).over(image)
            frames[t] = np.clip(np.rint(image), 0, 255)
        return frames


def crossing(rng: np.random.Generator, copies: int, length: int, cut_out: NDArray[np.uint8], size: int) -> list[Course]:
    """Ways through the middle of the frame, from places around it to those opposite; from back to front."""
    area = max(float((cut_out[..., 3] > 127).sum()), 1.0)
    scale = size * rng.uniform(0.16, 0.28) / np.sqrt(area)
    begin, reach = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.28, 0.36)
    time = np.linspace(0, 1, length)

    def sway(amount: float) -> NDArray[np.float64]:
        """A slow swing about 0, ``[T]``."""
        return np.asarray(amount * np.sin(2 * np.pi * (rng.uniform(0.5, 1.5) * time + rng.random())))

    courses = []
    for number in range(copies):
        start = begin + 2 * np.pi * number / copies + rng.uniform(-0.25, 0.25)
        end = start + np.pi + rng.uniform(-0.35, 0.35)
        first, last = (np.array([np.cos(a), np.sin(a)]) * reach for a in (start, end))
        share = (time ** rng.uniform(0.8, 1.25))[:, None]
        centre = size / 2 + first + share * (last - first) + np.stack([sway(0.02 * size), sway(0.02 * size)], axis=1)
        stretch = np.exp(np.stack([sway(0.06), sway(0.06)], axis=1) + sway(0.06)[:, None])
        courses.append(Course(centre, sway(0.15), scale * stretch))
    return courses


def _moved(cut_out: NDArray[np.uint8], course: Course, t: int, size: int) -> Cut:
    """The cut-out where it is in frame ``t``; made smaller beforehand where it is much larger than it appears."""
    rgba = cut_out.astype(np.float32)
    alpha = rgba[..., 3:] / 255
    alone = np.concatenate([rgba[..., :3] * alpha, alpha], axis=2)
    matrix = course.matrix(t, cut_out.shape)
    share = float(course.scale[t].max())
    if share < 0.8:  # linear interpolation alone would skip pixels
        small = np.maximum(np.rint(np.array(alone.shape[1::-1]) * share), 1).astype(int)
        zoom = np.array(alone.shape[1::-1]) / small
        alone = cv2.resize(alone, (int(small[0]), int(small[1])), interpolation=cv2.INTER_AREA)
        matrix = np.column_stack([matrix[:, :2] * zoom, matrix[:, 2] + matrix[:, :2] @ ((zoom - 1) / 2)])
    moved = cv2.warpAffine(alone, matrix, (size, size), borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0))
    return Cut(np.ascontiguousarray(moved[..., :3]), np.ascontiguousarray(moved[..., 3]))


def _labelled(
    cut_out: NDArray[np.uint8], courses: list[Course], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Labels ``[T, size, size]``, and the share of each copy that no other hides, ``[T, copies]``."""
    length = len(courses[0].angle)
    labels = np.zeros((length, size, size), np.uint8)
    seen = np.ones((length, len(courses)))
    for t in range(length):
        masks = [_moved(cut_out, course, t, size).alpha >= 0.5 for course in courses]
        for number, mask in enumerate(masks, 1):
            labels[t][mask] = number
        shown = np.bincount(labels[t].ravel(), minlength=len(masks) + 1)[1:]
        seen[t] = shown / np.maximum([mask.sum() for mask in masks], 1)
    return labels, seen
