"""Long synthetic clips, each kind of which asks for one thing that real clips of a few seconds hardly show.

``wandering``: objects wander, pass behind others, leave and come back. ``small``: tiny ones that wander about one
place, so that size is all that is asked for. ``hidden``: each object is covered whole, again and again, by something
that glides over it and away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.compositing import Layer, composite
from rotoscope.datasets.motion import Path2D
from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.synthetic import SyntheticClips, SyntheticConfig
from rotoscope.errors import InputError
from rotoscope.masks.saving import save_png

Kind = Literal["wandering", "small", "hidden"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ATTEMPTS = 256
EXTRAS = 3
"""Layers without a label, which only get in the way; one of them looks like an object."""
SIDES: dict[Kind, tuple[float, float]] = {"wandering": (0.2, 0.38), "small": (0.05, 0.09), "hidden": (0.15, 0.25)}
"""Square root of an object's area, as a share of the frame's side."""
REACH: dict[Kind, tuple[float, float]] = {"wandering": (0.55, 0.25), "small": (0.12, 0.25), "hidden": (0.2, 0.1)}
"""How far objects wander, as a share of the frame's side, and turn, in radians."""
PERIOD = 40
"""Frames from one hiding to the next."""
LEAST_HIDDEN = 5
"""Frames without a pixel of the object, for every hiding."""


def write_long_clips(
    photographs: Photographs,
    folder: Path,
    clips: int,
    frames: int,
    size: int,
    objects: int = 2,
    seed: int = 0,
    kind: Kind = "wandering",
) -> Path:
    """Make clips and write them as ``JPEGImages/NAME`` and ``Annotations/NAME``, which ``pairs:FOLDER`` reads.

    Args:
        photographs: raw material; keep apart what weights were trained on.
        folder: where to write.
        clips: how many.
        frames: length of each.
        size: side of the square frames in pixels.
        objects: labelled in each.
        seed: decides everything.
        kind: what the clips ask for; see above.
    Returns: the folder, to which further clips with other numbers of objects may be added.
    """
    for number in range(clips):
        images, labels = long_clip(photographs, frames, size, (seed, number), objects, kind)
        for part, pictures in (("JPEGImages", images), ("Annotations", labels)):
            place = folder / part / f"{'long' if kind == 'wandering' else kind}-{objects}-{number}"
            place.mkdir(parents=True, exist_ok=True)
            for t, picture in enumerate(pictures):
                name = f"{t:05d}"
                if part == "JPEGImages":
                    written = np.ascontiguousarray(picture[..., ::-1])
                    cv2.imwrite(str(place / f"{name}.jpg"), written, [cv2.IMWRITE_JPEG_QUALITY, 95])
                else:
                    save_png(place / f"{name}.png", picture)
    return folder


def long_clip(
    photographs: Photographs,
    frames: int,
    size: int,
    seed: tuple[int, ...],
    objects: int = 2,
    kind: Kind = "wandering",
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One clip: RGB frames ``[T, size, size, 3]`` and labels ``[T, size, size]``, all objects in the first frame.

    Raises:
        InputError: hidden objects in fewer frames than a hiding takes; or nothing that was drawn shows what the kind
            asks for, which takes photographs of unusual objects.
    """
    if kind == "hidden" and frames < PERIOD:
        raise InputError(f"clips of {frames} frames are too short for hidden objects; give at least {PERIOD}.")
    config = SyntheticConfig(size=size, shapes=0.0, extra=0.0)
    maker = SyntheticClips(photographs, config)
    least = (size // (40 if kind == "small" else 14)) ** 2
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng((*seed, attempt))
        background = photographs.masked[rng.integers(len(photographs.masked))].read()[0]
        height, width = background.shape[:2]
        cover = 1.5 * size / min(height, width)
        camera = wandering(rng, frames, (size / 2, size / 2), 0.12 * size, cover, periods=(150, 400), turn=0.05)
        cut_outs = [maker._cut_out(rng) for _ in range(objects + EXTRAS - 1)]
        cut_outs.append(cut_outs[0])  # a look-alike of the first object
        layers = [
            _layer(rng, rgba, size, frames, slot + 1 if slot < objects else 0, kind)
            for slot, rgba in enumerate(cut_outs)
        ]
        layers = [layers[i] for i in rng.permutation(len(layers))]
        if kind == "hidden":  # no passers-by: what comes back is the object and nothing else
            layers = [layer for layer in layers if layer.target]
            layers += [maker.covering(rng, layer, PERIOD) for layer in layers]
        images, labels, _ = composite(rng, background, None, [], camera, layers, size)
        seen = [(labels == i).sum(axis=(1, 2)) for i in range(1, objects + 1)]
        if all(counts[0] > least for counts in seen) and (
            kind != "hidden" or all(_hides(counts, least) for counts in seen)
        ):
            return images, labels
    raise InputError(
        f"no {kind} clip of {size}x{size} and {frames} frames shows all {objects} objects in its first frame; "
        "ask for fewer objects or give other photographs."
    )


def _layer(
    rng: np.random.Generator, rgba: NDArray[Any], size: int, frames: int, number: int, kind: Kind = "wandering"
) -> Layer:
    area = max(float((rgba[..., 3] > 127).sum()), 1.0)
    scale = size * rng.uniform(*SIDES[kind]) / np.sqrt(area)
    centre = rng.uniform(0.3, 0.7, 2) * size
    reach, turn = REACH[kind]
    path = wandering(rng, frames, (centre[0], centre[1]), reach * size, scale, periods=(60, 160), turn=turn)
    return Layer(rgba, path, number)


def _hides(counts: NDArray[np.int64], least: int) -> bool:
    """Whether an object of so many visible pixels in each frame is gone for a while in every period, and comes back."""
    periods = [counts[start : start + PERIOD] for start in range(0, len(counts) - PERIOD + 1, PERIOD)]
    gone = all((part == 0).sum() >= LEAST_HIDDEN for part in periods)
    return bool(periods) and gone and all(part[-4:].max() > least for part in periods)


def wandering(
    rng: np.random.Generator,
    frames: int,
    centre: tuple[float, float],
    reach: float,
    scale: float,
    *,
    periods: tuple[float, float],
    turn: float,
) -> Path2D:
    """A path that goes on for ever without leaving for good: sums of two slow waves for each quantity.

    Args:
        rng: the source of randomness.
        frames: length.
        centre: about which it wanders, in pixels.
        reach: how far it may go, in pixels; it may leave the frame for a while.
        scale: mean size of the layer, frame pixels per layer pixel.
        periods: shortest and longest period of the waves, in frames.
        turn: amplitude of the rotation in radians.
    """
    time = np.arange(frames)[:, None]

    def waves(count: int) -> NDArray[np.float64]:
        total = np.zeros((frames, count))
        for share in (0.65, 0.35):
            period, phase = rng.uniform(*periods, count), rng.uniform(0, 2 * np.pi, count)
            total += share * np.sin(2 * np.pi * time / period + phase)
        return total

    return Path2D(
        centre=np.array(centre) + reach * waves(2),
        angle=turn * waves(1)[:, 0],
        scale=scale * np.exp(0.2 * np.repeat(waves(1), 2, axis=1)),
        shear=0.05 * waves(1)[:, 0],
        bend=np.zeros((frames, 4, 4, 2)),
    )
