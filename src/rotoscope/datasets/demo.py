"""The built-in clip: two objects cut out of photographs that scikit-image ships, moving over a third.

The masks are those that the clip is composed with, so they are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.files import atomic_write, inside, make_folder
from rotoscope.masks.saving import save_labels, save_png
from rotoscope.video import VideoWriter

SIZE = (854, 480)
FRAMES = 60

PERSON = (
    (0, 511), (6, 440), (26, 371), (41, 288), (61, 256), (113, 211), (125, 179), (154, 151), (182, 151), (179, 134),
    (159, 115), (154, 83), (164, 51), (189, 26), (230, 15), (271, 32), (295, 64), (300, 102), (287, 125), (268, 131),
    (261, 164), (292, 192), (305, 230), (338, 250), (360, 314), (366, 348), (394, 343), (440, 352), (476, 384),
    (497, 442), (510, 474), (511, 511),
)  # fmt: skip
"""Outline of the person in ``skimage.data.astronaut()``, drawn by us; x, y in pixels."""

CUP = (((278, 228), (201, 157)), ((291, 112), (120, 95)))
"""Saucer and rim of ``skimage.data.coffee()`` as ellipses (centre, radii); the cup is their hull."""


@dataclass(frozen=True)
class DemoClip:
    """The clip.

    Attributes:
        frames: RGB uint8 ``[T, 480, 854, 3]``.
        labels: uint8 ``[T, 480, 854]``: 1 the person, 2 the cup.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def demo_clip(frames: int = FRAMES) -> DemoClip:
    """Compose the clip.

    Args:
        frames: its length; the motion is the same, faster or slower.

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise InputError('the demo needs scikit-image: pip install -e ".[demo]".') from None
    background = np.ascontiguousarray(data.stereo_motorcycle()[0])
    person = _with_alpha(data.astronaut(), _polygon(data.astronaut().shape, PERSON))
    cup = _with_alpha(data.coffee(), _hull(data.coffee().shape))
    images = np.empty((frames, SIZE[1], SIZE[0], 3), np.uint8)
    labels = np.zeros((frames, SIZE[1], SIZE[0]), np.uint8)
    noise = np.random.default_rng(0)
    for t in range(frames):
        u = t / max(frames - 1, 1)
        wave = np.sin(2 * np.pi * u)
        pan = _placement(background, (427 + 60 * (0.5 - u), 240 + 8 * wave), 1.28, 1.5 * wave)
        image = cv2.warpAffine(background, pan, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        picture = image.astype(np.float32)
        first = _placement(person, (270 + 230 * u, 318 - 10 * np.sin(6 * np.pi * u)), 0.72 + 0.05 * wave, 4 * wave)
        second = _placement(cup, (730 - 560 * u, 200 + 130 * np.sin(1.5 * np.pi * u)), 0.42 + 0.1 * u, -50 * u)
        for label, (layer, matrix) in enumerate(((person, first), (cup, second)), 1):
            moved = cv2.warpAffine(layer, matrix, SIZE, flags=cv2.INTER_LINEAR)
            alpha = moved[..., 3:].astype(np.float32) / 255
            picture += (moved[..., :3] - picture) * alpha
            labels[t][moved[..., 3] > 127] = label
        picture *= 1 + 0.06 * wave  # the light changes a little
        picture += noise.standard_normal(picture.shape, dtype=np.float32) * 2
        images[t] = np.clip(picture, 0, 255).astype(np.uint8)
    return DemoClip(images, labels)


def _placement(layer: NDArray[Any], centre: tuple[float, float], scale: float, degrees: float) -> NDArray[np.float64]:
    """Affine matrix that puts a layer's middle at ``centre``, scaled and turned."""
    middle = (layer.shape[1] / 2, layer.shape[0] / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, degrees, scale), dtype=np.float64)
    matrix[:, 2] += np.array(centre) - np.array(middle)
    return matrix


def _polygon(shape: tuple[int, ...], points: tuple[tuple[int, int], ...]) -> NDArray[np.uint8]:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.array(points, np.int32)], 255, cv2.LINE_AA)
    return mask


def _hull(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    points = [np.asarray(cv2.ellipse2Poly(centre, radii, 0, 0, 360, 3)) for centre, radii in CUP]
    mask = np.zeros(shape[:2], np.uint8)
    for ring in points:
        cv2.fillPoly(mask, [ring.astype(np.int32)], 255, cv2.LINE_AA)
    return mask


def _with_alpha(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA with a softened edge."""
    return np.dstack([image[..., :3], cv2.GaussianBlur(mask, (3, 3), 0)])


def write_clip(clip: DemoClip, folder: Path, overwrite: bool = False) -> None:
    """Write a clip as files to try things on.

    They are ``clip.mp4``, ``first.png`` with the masks of the first frame, ``1.png`` and ``2.png`` with one object of
    it each, and ``data``, a data set ``davis17:data?split=val`` of one sequence ``demo`` with its truth.

    Args:
        clip: frames and their labels.
        folder: where to; made if it is not there.
        overwrite: replace files of these names.

    Raises:
        InputError: the files are there already.
        WriteError: they cannot be written.
    """
    if (folder / "clip.mp4").exists() and not overwrite:
        raise InputError(f"{folder / 'clip.mp4'}: is there already. Choose another folder, or give --overwrite.")
    frames, truth, sets = (
        make_folder(inside(folder, "data", *names))
        for names in (("JPEGImages", "480p", "demo"), ("Annotations", "480p", "demo"), ("ImageSets", "2017"))
    )
    ids = [int(object_id) for object_id in np.unique(clip.labels) if object_id]
    with VideoWriter(inside(folder, "clip.mp4"), 25, (clip.frames.shape[2], clip.frames.shape[1])) as writer:
        for number, (image, labels) in enumerate(zip(clip.frames, clip.labels, strict=True)):
            writer.write(image)
            with atomic_write(inside(frames, f"{number:05d}.jpg")) as path:
                Image.fromarray(image).save(path, "JPEG", quality=95)
            save_labels(inside(truth, f"{number:05d}.png"), labels, ids)
    save_labels(inside(folder, "first.png"), clip.labels[0], ids)
    for object_id in ids:
        save_png(inside(folder, f"{object_id}.png"), (clip.labels[0] == object_id).astype(np.uint8) * 255)
    with atomic_write(inside(sets, "val.txt")) as path:
        path.write_text("demo\n", encoding="utf-8")
