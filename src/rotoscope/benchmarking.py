"""Seconds per frame by part."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.table import Table

from rotoscope.methods import method_class
from rotoscope.methods.base import Method
from rotoscope.running import peak_memory
from rotoscope.weights import find, load


@dataclass(frozen=True)
class Speed:
    """One measured run.

    Attributes:
        seconds: per frame, in all.
        parts: per frame, by part.
        rate: frames per second.
        peak_memory: bytes, of the process so far.
    """

    seconds: float
    parts: dict[str, float]
    rate: float
    peak_memory: int


def moving_frames(count: int, size: tuple[int, int], seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """Frames of smooth texture that drifts: nothing here depends on what is shown, but memory reads on its variety."""
    import cv2

    rng = np.random.default_rng(seed)
    width, height = size
    coarse = rng.integers(0, 256, (height // 8, width // 4, 3), dtype=np.uint8)
    canvas = cv2.resize(coarse, (width * 2, height), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(canvas[:, (3 * t) % width : (3 * t) % width + width]) for t in range(count)]


def squares(objects: int, size: tuple[int, int]) -> dict[int, np.ndarray[Any, Any]]:
    """Masks of as many squares."""
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


def measure(
    model: Method,
    size: tuple[int, int],
    objects: int,
    frames: int,
    warm: int = 6,
    only: int | None = None,
    **options: Any,
) -> Speed:
    """Time ``frames`` frames of a session after ``warm`` untimed ones; ``only`` follows one of the objects alone."""
    session = model.session(**options)
    if model.task == "semi":
        masks = squares(objects, size)
        session.add(masks if only is None else {only: masks[only]})
    images = moving_frames(warm + frames, size)
    for image in images[:warm]:
        session.push(image)
    session.timings.seconds.clear()
    begun = time.perf_counter()
    for image in images[warm:]:
        session.push(image)
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - begun) / frames
    parts = {name: spent / frames for name, spent in session.timings.seconds.items()}
    return Speed(seconds, parts, 1 / seconds, peak_memory())


def build(method: str, weights: str | None, precision: str) -> Method:
    """The method with its weights; with random ones if none are built in or given (speed does not depend on them)."""
    entry = find(method)
    if weights is not None or entry.file is not None:
        return load(weights or method, precision=precision)
    from rotoscope.layers.precision import has_native_bfloat16, prepare

    torch.manual_seed(0)
    cls = method_class(entry.method)
    model = cls(cls.config_class(**entry.config))
    model.requires_grad_(False).eval()
    prepare(model, precision, bfloat16=has_native_bfloat16(model.device))
    model.precision = precision
    return model


def speed_table(method: str, weights: str | None, frames: int, threads: int | None) -> Table:
    """Exact and fast, for 1, 2 and 5 objects, at 480x854."""
    if threads is not None:
        torch.set_num_threads(threads)
    table = Table(title=f"{method}, 854x480, {torch.get_num_threads()} threads, seconds per frame", box=None)
    rows, size, most = [], (854, 480), 5
    by: dict[str, list[Speed]] = {}
    apart: dict[str, float] = {}
    for precision in ("exact", "fast"):
        model = build(method, weights, precision)
        for objects in (1, 2, most):
            speed = measure(model, size, objects, frames)
            by.setdefault(precision, []).append(speed)
            rows.append((precision, objects, speed))
        if model.task == "semi":
            alone = [measure(model, size, most, frames, only=number + 1).seconds for number in range(most)]
            apart[precision] = sum(alone)
    if apart:  # else the number of slots is the same in all rows
        further = {p: (five.seconds - one.seconds) / 4 for p, one, five in ((p, s[0], s[-1]) for p, s in by.items())}
        together = {p: apart[p] / speeds[-1].seconds for p, speeds in by.items()}
        table.caption = "; ".join(
            (
                "each further object: " + ", ".join(f"{1e3 * s:.1f} ms {name}" for name, s in further.items()),
                "five objects together against each in a session of its own, one after another: "
                + ", ".join(f"{ratio:.2f} times as fast {name}" for name, ratio in together.items()),
            )
        )
    parts = list(rows[0][2].parts)
    for title in ("precision", "objects", "frames/s", "in all", *parts, "peak memory"):
        table.add_column(title, justify="right")
    for precision, objects, speed in rows:
        cells = [f"{speed.parts.get(part, 0.0):.4f}" for part in parts]
        memory = f"{speed.peak_memory / 2**20:.0f} MiB"
        table.add_row(precision, str(objects), f"{speed.rate:.2f}", f"{speed.seconds:.4f}", *cells, memory)
    return table
