"""What work took: the one record of frames, time and memory, whether of a video, a data set or a benchmark."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from rotoscope.methods.base import Session


@dataclass
class Measurement:
    """Frames, time and memory of a piece of work.

    Attributes:
        frames: how many frames were answered.
        wall: seconds in all, with reading and writing.
        parts: seconds by part of the work; parts overlap where threads do.
        peak: the most memory that the process has held so far, in bytes.
        remembered: the most frames' worth of features that a session held; None if the method does not tell.
        looks: how often it was asked what it holds, once a frame.
        held: the sum of what it held then, in frames' worth of features.
    """

    frames: int = 0
    wall: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    peak: int = 0
    remembered: float | None = None
    looks: int = 0
    held: float = 0.0

    @property
    def rate(self) -> float:
        """Frames per second in all; not a number where nothing was timed."""
        return self.frames / self.wall if self.wall else float("nan")

    @property
    def per_frame(self) -> float:
        """Seconds per frame in all; not a number where no frame was answered."""
        return self.wall / self.frames if self.frames else float("nan")

    @property
    def remembered_on_average(self) -> float | None:
        """The mean over frames of what a session held, in frames' worth of features; None as of ``remembered``."""
        return self.held / self.looks if self.looks else None

    @property
    def parts_per_frame(self) -> dict[str, float]:
        """Seconds per frame by part."""
        return {name: seconds / max(self.frames, 1) for name, seconds in self.parts.items()}

    def spend(self, part: str, seconds: float) -> None:
        """Add seconds to a part."""
        self.parts[part] = self.parts.get(part, 0.0) + seconds

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time spent inside the ``with`` block to a part."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.spend(name, time.perf_counter() - begun)

    def saw(self, session: Session) -> None:
        """Note how much a session remembers now."""
        held = session.frames_remembered
        if held is not None:
            self.remembered = max(self.remembered or 0.0, held)
            self.looks += 1
            self.held += held

    def add(self, other: Measurement) -> None:
        """Take in other work that came before or after: frames and seconds add up, of memory the most counts."""
        self.frames += other.frames
        self.wall += other.wall
        self.peak = max(self.peak, other.peak)
        for name, seconds in other.parts.items():
            self.spend(name, seconds)
        self.looks += other.looks
        self.held += other.held
        if other.remembered is not None:
            self.remembered = max(self.remembered or 0.0, other.remembered)


def peak_memory() -> int:
    """The most memory that this process has held, in bytes: on the GPU if it uses one; 0 where it cannot be told."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells begins, in a process that was started by a larger one, with that one's
        peak = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if peak is not None:
            return int(peak.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
