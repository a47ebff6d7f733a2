"""Long videos, cut at prompted frames into pieces that are jobs of their own.

A piece is a run of its own that starts from the masks inside it and remembers nothing of the pieces before: it gives
what ``rotoscope segment`` gives with the piece's ``--start`` and ``--end``. A video is cut only where no object is lost
by it, which is at a frame whose masks show again every object that would else have to come over from elsewhere:

- ``forward``: each object that was given on an earlier frame; the next piece begins with the frame.
- ``backward``: each object that was given on a later frame; the piece before ends with the frame.
- ``both``: each object of the video; the frame ends a piece and begins the next, so that both passes start from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.errors import InputError

JOINED = ("palette", "objects", "soft", "npz", "coco", "cutout", "overlay")
"""Formats of which pieces can be joined."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a video.

    Attributes:
        first: index of its first frame.
        stop: index of the frame after its last; None for the video's end.
        shared: whether its last frame is the next piece's first, which answers it.
    """

    first: int
    stop: int | None
    shared: bool = False

    def holds(self, frame: int) -> bool:
        """Whether a frame is in it."""
        return frame >= self.first and (self.stop is None or frame < self.stop)

    def __str__(self) -> str:
        return f"frames {self.first} to {'the end' if self.stop is None else self.stop - 1}"


def find_cuts(prompts: Mapping[int, Mapping[int, Any]], direction: str, start: int = 0) -> tuple[int, ...]:
    """The frames at which a video may be cut.

    Args:
        prompts: masks by frame and object.
        direction: see :func:`rotoscope.segment`.
        start: index of the video's first frame that is answered, which is no place to cut.
    Returns: frame indices in order; none if it may not be cut.
    """
    if direction == "both":
        wanted = {object_id for masks in prompts.values() for object_id in masks}
        return tuple(frame for frame in sorted(prompts) if frame > start and wanted <= set(prompts[frame]))
    known: set[int] = set()
    cuts = []
    for frame in sorted(prompts, reverse=direction == "backward"):
        if known and known <= set(prompts[frame]):
            cuts.append(frame)
        known |= set(prompts[frame])
    return tuple(sorted(cuts))


def pieces_of(job: BatchJob) -> list[Piece]:
    """The pieces that a job's cuts make, in the order of the frames."""
    after = 1 if job.direction in ("backward", "both") else 0  # whether a piece holds the frame at which it ends
    overlap = 1 if job.direction == "both" else 0
    begins = [job.start, *(cut + after - overlap for cut in job.cuts)]
    ends = [*(cut + after for cut in job.cuts), job.end]
    last = len(job.cuts)
    return [
        Piece(begin, end, bool(overlap) and n < last) for n, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]


def piece_jobs(job: BatchJob) -> list[BatchJob]:
    """The jobs of a job's pieces; none if it has no cuts.

    They write no overlay, which is made of the joined masks.
    """
    if not job.cuts:
        return []
    formats = tuple(dict.fromkeys("palette" if name == "overlay" else name for name in job.formats))
    return [replace(job, piece=number, formats=formats) for number in range(len(job.cuts) + 1)]


def title(job: BatchJob) -> str:
    """What a job is called in the journal: its name, of a piece with its frames."""
    return job.name if job.piece is None else f"{job.name}, {pieces_of(job)[job.piece]}"


def check_formats(jobs: Sequence[BatchJob]) -> None:
    """See that what jobs write can be joined.

    Raises:
        InputError: it cannot.
    """
    for job in jobs:
        for name in job.formats:
            if name not in JOINED:
                raise InputError(f"job {job.name}: pieces of format {name} cannot be joined. Leave it or --split out.")
