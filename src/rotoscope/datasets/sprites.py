"""Objects cut out of clips, one picture a frame, and how they are laid into other clips.

A sprite is uint8 RGBA ``[T, size, size, 4]``: what is laid over each frame of a clip, the last channel its opacity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.compositing import gain_and_gamma
from rotoscope.datasets.synthetic import draw_speed

Rgb = NDArray[np.uint8]
Labels = NDArray[np.uint8]
Sprite = NDArray[np.uint8]
Boxes = NDArray[np.float64]

PAD = 2
"""Transparent pixels around a cut-out, so that its edge blends with what it is laid on, not with black."""


def lay(frames: list[Rgb], marks: list[Labels], sprite: Sprite, label: int, front: Sequence[int] = ()) -> None:
    """Lay a sprite over a clip, in place; pixels it covers by more than half get its label.

    Args:
        frames: RGB uint8 ``[size, size, 3]`` each.
        marks: their labels ``[size, size]``.
        sprite: uint8 ``[T, size, size, 4]``.
        label: 0 for one that is not labelled.
        front: labels of objects that stay in front of it.
    """
    for frame, mark, rgba in zip(frames, marks, sprite, strict=True):
        alpha = np.ascontiguousarray(rgba[..., 3])
        if front:
            kept = np.isin(mark, front).astype(np.uint8) * 255
            alpha = np.minimum(alpha, 255 - cv2.GaussianBlur(kept, (3, 3), 0))
            alpha[kept > 0] = np.minimum(alpha[kept > 0], 127)  # even a spot of one pixel stays in front
        left, top, width, height = cv2.boundingRect(alpha)
        if not width:
            continue
        window = slice(top, top + height), slice(left, left + width)
        behind = frame[window].astype(np.float32)
        share = alpha[window][..., None].astype(np.float32) / 255
        frame[window] = np.rint(behind + (rgba[window][..., :3] - behind) * share).astype(np.uint8)
        mark[window][alpha[window] > 127] = label


def cut_out(image: Rgb, mask: NDArray[np.bool_], matrix: NDArray[np.float64], size: int) -> Sprite:
    """One frame of a sprite: the masked part of a picture, moved by an affine map.

    Args:
        image: RGB uint8 ``[H, W, 3]``.
        mask: bool ``[H, W]``.
        matrix: ``[2, 3]`` from pixels of the picture to those of the frame.
        size: side of the frame.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if not width:
        return np.zeros((size, size, 4), np.uint8)
    window = slice(top, top + height), slice(left, left + width)
    colour = cv2.copyMakeBorder(image[window], PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(mask[window].astype(np.uint8) * 255, PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=0)
    rgba = np.dstack([colour, alpha])
    linear, offset = matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ (left - PAD, top - PAD)
    factor = float(np.sqrt(abs(np.linalg.det(linear))))
    if factor < 0.6:  # bilinear sampling would skip pixels
        small = (max(round(rgba.shape[1] * factor), 1), max(round(rgba.shape[0] * factor), 1))
        back = np.array([rgba.shape[1] / small[0], rgba.shape[0] / small[1]])
        rgba = np.asarray(cv2.resize(rgba, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        offset = offset + linear @ ((back - 1) / 2)  # centres of pixels are moved, not corners
        linear = linear * back
    moved = cv2.warpAffine(rgba, np.column_stack([linear, offset]), (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(moved, dtype=np.uint8)


def drift(rng: np.random.Generator, frames: int, size: int, pace: float, leaves: bool) -> NDArray[np.float64]:
    """Smooth movement added to an object's own, in pixels from where it is at first, ``[T, 2]``.

    Args:
        rng: the source of randomness.
        frames: length of the clip.
        size: side of the frames.
        pace: multiplies the speed.
        leaves: it moves out of the picture until some frame; else it moves on, or away and back.
    """
    angle, time = rng.uniform(0, 2 * np.pi), np.arange(frames, dtype=np.float64)
    direction = np.array([np.cos(angle), np.sin(angle)])
    if leaves:
        gone = int(rng.integers(1, frames)) if frames > 1 else 1
        along = 1.4 * size * time / gone
    elif rng.random() < 0.35 and frames > 2:
        along = size * pace * rng.uniform(0.1, 1.2) * np.sin(np.pi * time / (frames - 1))
    else:
        along = size * pace * draw_speed(rng) * rng.uniform(0.3, 1.2) * time
    sway = np.cumsum(rng.normal(0, 0.01 * pace * size, (frames, 2)), axis=0)
    return np.asarray(direction * along[:, None] + sway - sway[0], dtype=np.float64)


def placements(
    centre: NDArray[np.float64], place: NDArray[np.float64], scale: NDArray[np.float64], angle: float, flip: bool
) -> list[NDArray[np.float64]]:
    """Affine maps ``[2, 3]`` that bring a point to a place in each frame, turned by one angle.

    Args:
        centre: the point ``[2]`` in the source, x and y.
        place: ``[T, 2]``.
        scale: ``[T]``.
        angle: in radians.
        flip: mirrored left to right first.
    """
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.diag([-1.0 if flip else 1.0, 1.0])
    return [np.column_stack([s * turn, p - s * turn @ centre]) for p, s in zip(place, scale, strict=True)]


def boxes(marks: Sequence[Labels], label: int) -> Boxes:
    """Centre and half sides of an object's box in each frame, ``[T, 4]``; where it is not seen, as seen before."""
    boxes_of = np.zeros((len(marks), 4))
    for t, mark in enumerate(marks):
        left, top, width, height = cv2.boundingRect((mark == label).astype(np.uint8))
        half = np.array([width, height]) / 2
        boxes_of[t] = (*(np.array([left, top]) + half), *half) if width else boxes_of[max(t - 1, 0)]
    return boxes_of


def cover(rng: np.random.Generator, texture: Rgb, hidden: Boxes, size: int) -> Sprite:
    """Something that glides over an object, covers it whole for a while, and mostly leaves.

    Args:
        rng: the source of randomness.
        texture: what it shows, RGB uint8 ``[H, W, 3]``.
        hidden: boxes of the object, ``[T, 4]`` (see :func:`boxes`); at least two.
        size: side of the frames.
    """
    frames = len(hidden)
    start = int(rng.integers(1, max(frames - 1, 2)))
    end = int(rng.integers(start, max(frames - 1, start + 1)))
    if rng.random() < 0.15:
        end = frames - 1
    half = hidden[start : end + 1, 2:].max(axis=0) * rng.uniform(1.1, 1.3, 2) + 4
    rounded = rng.random() < 0.5
    if rounded:
        half = half * np.sqrt(2)  # the ellipse about a box
    angle = rng.uniform(0, 2 * np.pi)
    away = np.array([np.cos(angle), np.sin(angle)]) * np.hypot(*(half + hidden[:, 2:].max(axis=0)))
    before, after = rng.integers(1, start + 1), rng.integers(1, max(frames - end, 2))
    time = np.arange(frames)
    along = np.minimum(time - start, 0) / before + np.maximum(time - end, 0) / after
    side = np.maximum(np.round(2 * half), 1).astype(int)
    patch = cv2.resize(texture, (int(side[0]), int(side[1])), interpolation=cv2.INTER_AREA)
    mask = np.zeros(patch.shape[:2], np.uint8)
    if rounded:
        cv2.ellipse(mask, ((side[0] / 2, side[1] / 2), (float(side[0]), float(side[1])), 0.0), 1, -1)
    else:
        mask[:] = 1
    place = hidden[:, :2] + along[:, None] * away
    matrices = placements((side - 1) / 2, place, np.ones(frames), 0.0, False)
    return np.stack([cut_out(np.asarray(patch, np.uint8), mask > 0, matrix, size) for matrix in matrices])


def recoloured(sprite: Sprite, coat: tuple[NDArray[np.float32], float]) -> Sprite:
    """Change the colours of a sprite, in all frames alike."""
    return np.stack([np.dstack([gain_and_gamma(np.ascontiguousarray(f[..., :3]), coat), f[..., 3]]) for f in sprite])


@dataclass(frozen=True)
class Footage:
    """An object of a clip: its frames, its masks, and the centre ``[2]`` of its box in the first frame."""

    images: list[Rgb]
    masks: list[NDArray[np.bool_]]
    centre: NDArray[np.float64]

    def sprite(self, matrices: list[NDArray[np.float64]], size: int) -> Sprite:
        """Cut out and moved by one affine map a frame."""
        cuts = zip(self.images, self.masks, matrices, strict=True)
        return np.stack([cut_out(image, mask, matrix, size) for image, mask, matrix in cuts])
