"""How long a method takes for a frame, by part and by number of objects."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rotoscope.methods import build_method
from rotoscope.methods.base import Method, Session
from rotoscope.runs.measure import Measurement, peak_memory
from rotoscope.weights import find, load
from rotoscope.weights.load import made_ready

SIZE = (854, 480)
"""Width and height of the frames of a speed table."""
OBJECTS = (1, 2, 5)
"""Numbers of objects in a speed table."""


@dataclass
class SpeedTable:
    """Times of a method, exact and fast, for several numbers of objects.

    Attributes:
        method: the name of the method.
        rows: the precision, the number of objects, and what was measured, for each row.
        alone: seconds a frame, by precision, if each of the most objects is followed in a session of its own, one after
            another; empty for a method that is given no masks.
    """

    method: str
    rows: list[tuple[str, int, Measurement]] = field(default_factory=list)
    alone: dict[str, float] = field(default_factory=dict)

    def per_object(self, precision: str) -> float:
        """Seconds a frame that each further object costs."""
        seconds = {objects: measured.per_frame for name, objects, measured in self.rows if name == precision}
        least, most = min(seconds), max(seconds)
        return (seconds[most] - seconds[least]) / (most - least)

    def together(self, precision: str) -> float:
        """How many times as fast the most objects are together as each in a session of its own."""
        most = max(objects for _, objects, _ in self.rows)
        seconds = {name: measured.per_frame for name, objects, measured in self.rows if objects == most}
        return self.alone[precision] / seconds[precision]


def moving_frames(count: int, size: tuple[int, int], seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """Frames of smooth texture that drifts: nothing here depends on what is shown, but memory reads on its variety.

    Args:
        count: how many.
        size: width and height in pixels.
        seed: the seed of the texture.
    Returns: RGB uint8 ``[H, W, 3]`` each.
    """
    import cv2

    rng = np.random.default_rng(seed)
    width, height = size
    coarse = rng.integers(0, 256, (height // 8, width // 4, 3), dtype=np.uint8)
    canvas = cv2.resize(coarse, (width * 2, height), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(canvas[:, (3 * t) % width : (3 * t) % width + width]) for t in range(count)]


def squares(objects: int, size: tuple[int, int]) -> dict[int, np.ndarray[Any, Any]]:
    """Masks of as many squares: bool ``[H, W]`` by object id, for a width and height in pixels."""
    width, height = size
    side = max(2, min(height, width) // 4)
    masks = {}
    for number in range(objects):
        mask = np.zeros((height, width), bool)
        left = (number * (width - side)) // max(objects, 1)
        top = (number * 37) % max(height - side, 1)
        mask[top : top + side, left : left + side] = True
        masks[number + 1] = mask
    return masks


def push_and_see(session: Session, image: NDArray[np.uint8]) -> None:
    """Push a frame, RGB uint8 ``[H, W, 3]``, and see its answers' labels, which are not made before that."""
    for answer in session.push(image):
        assert answer.labels is not None


def time_session(
    model: Method,
    size: tuple[int, int],
    objects: int,
    frames: int,
    warm: int = 6,
    only: int | None = None,
    **options: Any,
) -> Measurement:
    """Time a session on drawn frames.

    Args:
        model: a loaded method.
        size: width and height of the frames in pixels.
        objects: how many are given on the first frame, to a method that is given masks.
        frames: how many are timed.
        warm: how many come before, untimed.
        only: follow this one of the objects alone.
        options: fields of the method's config for the session.
    """
    session = model.session(**options)
    if model.task == "semi":
        masks = squares(objects, size)
        session.add(masks if only is None else {only: masks[only]})
    images = moving_frames(warm + frames, size)
    for image in images[:warm]:
        push_and_see(session, image)
    session.timings.seconds.clear()
    begun = time.perf_counter()
    for image in images[warm:]:
        push_and_see(session, image)
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    wall = time.perf_counter() - begun
    measured = Measurement(frames, wall, dict(session.timings.seconds), peak_memory())
    measured.saw(session)
    return measured


def method_to_time(method: str, weights: str | None, precision: str, runtime: str = "torch") -> Method:
    """A method with its weights; with random ones if none are built in or given, as speed does not depend on them."""
    entry = find(method)
    if weights is not None or entry.file is not None:
        return load(weights or method, precision=precision, runtime=runtime)
    torch.manual_seed(0)
    model = build_method(entry.method, entry.config)
    return made_ready(model, torch.device("cpu"), precision, {}, runtime)


def time_method(
    method: str, weights: str | None, frames: int, tell: Callable[[str], None] = lambda line: None
) -> SpeedTable:
    """Time a method exact and fast, for 1, 2 and 5 objects, at 854x480.

    Args:
        method: name of the method.
        weights: file of weights; None takes those built in, or random ones.
        frames: how many are timed in each row.
        tell: is told of each row when it begins and when it is measured, a line each. Nothing is told, or drawn, while
            frames are timed.
    """
    table = SpeedTable(method)
    most = max(OBJECTS)
    for precision in ("exact", "fast"):
        model = method_to_time(method, weights, precision)
        for objects in OBJECTS:
            tell(f"{method}, {precision}, {objects} object(s), {frames} frames at {SIZE[0]}x{SIZE[1]} ...")
            table.rows.append((precision, objects, time_session(model, SIZE, objects, frames)))
            tell(f"  {table.rows[-1][2].rate:.2f} frames/s")
        if model.task == "semi":  # else the number of slots is the same in all rows
            alone = []
            for number in range(most):
                tell(f"{method}, {precision}, object {number + 1} of {most} alone ...")
                alone.append(time_session(model, SIZE, most, frames, only=number + 1).per_frame)
            table.alone[precision] = sum(alone)
    return table
