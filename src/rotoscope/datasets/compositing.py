"""Layers of a synthetic clip and how they become frames: lighting, blur, order, noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.motion import Path2D

CELL = 16
"""Side of the cells, in pixels, whose correspondence between frames is given."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A cut-out on its way through the clip.

    Attributes:
        rgba: the picture of the layer with its alpha, uint8 ``[h, w, 4]``.
        path: where the layer is in each frame.
        target: the label that its pixels get; 0 for a layer that is not labelled.
    """

    rgba: NDArray[np.uint8]
    path: Path2D
    target: int

    def seen(self, t: int, size: int) -> tuple[NDArray[np.uint8], tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """The layer alone in frame ``t``: uint8 ``[size, size, 4]``, and the maps it was sampled by."""
        maps = self.path.sampling_map(t, (self.rgba.shape[1], self.rgba.shape[0]), size)
        moved = cv2.remap(self.rgba, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0))
        return np.asarray(moved, dtype=np.uint8), maps


def composite(
    rng: np.random.Generator,
    background: NDArray[np.uint8],
    scene_labels: NDArray[np.uint8] | None,
    scene_ids: list[int],
    camera: Path2D,
    layers: list[Layer],
    size: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Render a clip.

    Args:
        rng: the source of randomness.
        background: RGB photograph behind everything.
        scene_labels: its index mask, or None.
        scene_ids: the ids of that mask to label, as 1, 2, ….
        camera: motion of the background.
        layers: cut-outs, from back to front.
        size: side of the frames.
    Returns: frames uint8 ``[T, size, size, 3]``, labels uint8 ``[T, size, size]``, and places float32
        ``[T, size / CELL, size / CELL, 3]`` (see :class:`~rotoscope.datasets.synthetic.Clip`).
    """
    count = len(camera.angle)
    frames = np.empty((count, size, size, 3), np.uint8)
    labels = np.empty((count, size, size), np.uint8)
    places = np.empty((count, size // CELL, size // CELL, 3), np.float32)
    scene = None
    if scene_labels is not None and scene_ids:
        table = np.zeros(256, np.uint8)
        table[scene_ids] = np.arange(1, len(scene_ids) + 1)
        scene = table[scene_labels]
    coats = [colour_change(rng, 0.5) for _ in range(len(layers) + 1)]
    blurred = rng.random() < 0.35  # motion blur, longer where the movement is faster
    shutter = rng.uniform(0.2, 0.7)
    finish = _Finish.draw(rng)
    for t in range(count):
        map_x, map_y = camera.sampling_map(t, (background.shape[1], background.shape[0]), size)
        image = cv2.remap(background, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        image = gain_and_gamma(image, coats[0]).astype(np.float32)
        places[t] = _places(map_x, map_y, background.shape, float(camera.scale[0].mean()), 0)
        label: NDArray[Any] = np.zeros((size, size), np.uint8)
        if scene is not None:
            label = cv2.remap(scene, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
        if blurred:
            image = _smear(image, camera.velocity(t) * shutter)
        for number, (layer, coat) in enumerate(zip(layers, coats[1:], strict=True), 1):
            moved, (map_x, map_y) = layer.seen(t, size)
            alpha = moved[..., 3:].astype(np.float32) / 255
            colour = gain_and_gamma(moved[..., :3], coat).astype(np.float32)
            label[moved[..., 3] > 127] = layer.target
            seen = moved[CELL // 2 :: CELL, CELL // 2 :: CELL, 3] > 127
            here = _places(map_x, map_y, layer.rgba.shape, float(layer.path.scale[0].mean()), number)
            places[t][seen] = here[seen]
            if blurred:
                both = _smear(np.dstack([colour * alpha, alpha]), layer.path.velocity(t) * shutter)
                image = image * (1 - both[..., 3:]) + both[..., :3]
            else:
                image = image + (colour - image) * alpha
        frames[t] = finish.apply(rng, image)
        labels[t] = label
    return frames, labels, places


def _places(
    map_x: NDArray[np.float32], map_y: NDArray[np.float32], shape: tuple[int, ...], scale: float, number: int
) -> NDArray[np.float32]:
    """Which point of a layer the centre of each cell shows; number -1 where it lies beyond the layer's edge."""
    x, y = (m[CELL // 2 :: CELL, CELL // 2 :: CELL] for m in (map_x, map_y))
    inside = (x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0])
    return np.stack([np.where(inside, number, -1), x * scale, y * scale], axis=-1).astype(np.float32)


def colour_change(rng: np.random.Generator, chance: float) -> tuple[NDArray[np.float32], float]:
    """Gain per channel and gamma of a layer, the same in all frames."""
    if rng.random() > chance:
        return np.ones(3, np.float32), 1.0
    gain = rng.uniform(0.7, 1.25) * rng.uniform(0.9, 1.1, 3)
    return gain.astype(np.float32), float(rng.uniform(0.75, 1.35))


def gain_and_gamma(image: NDArray[Any], coat: tuple[NDArray[np.float32], float]) -> NDArray[Any]:
    """Apply a drawn gain per channel and gamma to a picture, uint8 ``[H, W, 3]``."""
    gain, gamma = coat
    if gamma == 1.0:
        return image
    ramp = (np.arange(256, dtype=np.float32) / 255) ** gamma
    table = np.clip(ramp[:, None] * gain[None] * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, np.ascontiguousarray(table[None])))


def _smear(image: NDArray[Any], move: NDArray[np.float64]) -> NDArray[Any]:
    """Motion blur along ``move`` pixels."""
    length = min(float(np.hypot(*move)), 21.0)
    if length < 2:
        return image
    side = int(length) | 1
    kernel = np.zeros((side, side), np.float32)
    middle, reach = side // 2, move / np.hypot(*move) * (side // 2)
    cv2.line(
        kernel,
        (round(middle - reach[0]), round(middle - reach[1])),
        (round(middle + reach[0]), round(middle + reach[1])),
        1.0,
    )
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101))


@dataclass(frozen=True)
class _Finish:
    """What a camera and a codec do to a whole clip."""

    grey: bool
    flicker: float
    noise: float
    quality: int | None
    soft: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Finish:
        return cls(
            grey=bool(rng.random() < 0.05),
            flicker=float(rng.choice([0.0, 0.04, 0.12], p=[0.4, 0.4, 0.2])),
            noise=float(rng.choice([0.0, 3.0, 8.0], p=[0.6, 0.25, 0.15])),
            quality=int(rng.integers(25, 85)) if rng.random() < 0.25 else None,
            soft=float(rng.uniform(0.5, 1.6)) if rng.random() < 0.2 else 0.0,
        )

    def apply(self, rng: np.random.Generator, image: NDArray[Any]) -> NDArray[np.uint8]:
        if self.soft:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), self.soft), dtype=np.float32)
        if self.flicker:
            image = image * np.float32(1 + rng.normal(0, self.flicker)) + np.float32(rng.normal(0, 60 * self.flicker))
        if self.noise:
            image = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(self.noise)
        done = np.clip(image, 0, 255).astype(np.uint8)
        if self.grey:
            done = np.repeat(cv2.cvtColor(done, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        if self.quality is not None:
            coded = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
            done = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
        return done
