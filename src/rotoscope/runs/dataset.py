"""Segment every sequence of a data set as its task says, into a folder that ``evaluate`` reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.sequences import VideoDataset, VideoSequence, object_ids
from rotoscope.errors import InputError
from rotoscope.evaluation.protocol import Protocol
from rotoscope.evaluation.scores import Truth
from rotoscope.files import check_folder, inside
from rotoscope.masks.writing import PaletteWriter
from rotoscope.methods.base import Method
from rotoscope.runs.job import Job, Outputs
from rotoscope.runs.measure import Measurement, peak_memory
from rotoscope.runs.passes import Passes
from rotoscope.runs.prompts import Prompts
from rotoscope.video.images import ImageSequence


@dataclass
class DatasetRun:
    """What segmenting a data set took.

    Attributes:
        folder: where the masks are, a folder per sequence.
        measured: frames, time and memory; its parts are the methods' own.
        rates: frames per second of each sequence, with reading and writing.
        problems: images that could not be read, one line each.
    """

    folder: Path
    measured: Measurement = field(default_factory=Measurement)
    rates: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def network(self) -> float:
        """Seconds in the sessions."""
        return sum(self.measured.parts.values())

    def as_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "frames": self.measured.frames,
            "frames_per_second": self.measured.rate,
            "seconds": self.measured.wall,
            "seconds_in_the_network": self.network,
            "seconds_by_part": self.measured.parts,
            "peak_memory_bytes": self.measured.peak,
            "memory_in_frames": self.measured.remembered,
            "mean_memory_in_frames": self.measured.remembered_on_average,
            "frames_per_second_by_sequence": self.rates,
        }


def segment_dataset(
    dataset: VideoDataset,
    protocol: Protocol,
    model: Method,
    folder: Path,
    on_frame: Callable[[Any], None] | None = None,
    **options: Any,
) -> DatasetRun:
    """Segment all sequences; each gets a folder of palette masks named as its frames.

    Given are the annotations of each object's first frame, and nothing else; nothing at all where the task says so.
    All sequences are checked before the first is segmented.

    Args:
        dataset: what to segment.
        protocol: says which objects there are and whether they are one.
        model: a loaded method.
        folder: where to write; nothing may be there yet, so that no earlier mask is scored.
        on_frame: called with each prediction.
        options: of the method's session.

    Raises:
        InputError: the folder holds something or cannot be written to, a sequence lacks its images or its masks, an
            option does not fit, or the task gives no masks to a method that needs them.
    """
    if (protocol.task == "semi") != (model.task == "semi"):
        needs = "needs masks" if model.task == "semi" else "finds objects by itself"
        raise InputError(f"{protocol.name} is of task {protocol.task!r}, but this method {needs}. Choose another task.")
    check_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: holds something already. Give another folder, so that no earlier mask is scored.")
    for sequence in dataset:
        with _job(sequence, protocol, model, folder, options):
            pass
    run = DatasetRun(folder)
    for sequence in dataset:
        with _job(sequence, protocol, model, folder, options) as job:
            measured = _segment(job, folder_of(sequence, folder), on_frame)
            run.problems += job.video.problems
        run.rates[sequence.name] = measured.rate
        run.measured.add(measured)
    return run


def folder_of(sequence: VideoSequence, folder: Path) -> Path:
    """Where a sequence's masks are written in a folder of results; a name with slashes is a folder in folders.

    Raises:
        InputError: the name leads out of the folder.
    """
    return inside(folder, *sequence.name.split("/"))


@contextmanager
def _job(
    sequence: VideoSequence, protocol: Protocol, model: Method, folder: Path, options: Mapping[str, Any]
) -> Iterator[Job]:
    """A sequence as a checked job, with its images open."""
    if not sequence.images:
        raise InputError(f"{sequence.name}: has no images; nothing can be segmented.")
    outputs = Outputs(folder_of(sequence, folder))
    with ImageSequence(list(sequence.images.values()), sequence.name) as video:
        prompts = prompts_of(sequence, protocol) if protocol.task == "semi" else {}
        yield Job(video, prompts, model, options=options, outputs=outputs)


def _segment(job: Job, folder: Path, on_frame: Callable[[Any], None] | None) -> Measurement:
    begun = time.perf_counter()
    measured = Measurement()
    writer = PaletteWriter(folder)
    passes = Passes(job)
    for step in passes:
        writer.write(step.prediction, None)
        measured.frames += 1
        measured.saw(passes.sessions[-1])
        if on_frame is not None:
            on_frame(step.prediction)
    measured.parts = passes.seconds
    measured.peak = peak_memory()
    measured.wall = time.perf_counter() - begun
    return measured


def prompts_of(sequence: VideoSequence, protocol: Protocol) -> Prompts:
    """Masks of each object in its first annotated frame, by index of the frame.

    Raises:
        InputError: no annotation, or one without an image.
    """
    position = {name: index for index, name in enumerate(sequence.images)}
    prompts: dict[int, dict[int, NDArray[Any]]] = {}
    if protocol.merged:
        labels = sequence.first_labels()
        first = {1: sequence.annotated[0]}
        maps: dict[str, NDArray[Any]] = {sequence.annotated[0]: (labels > 0).astype(np.uint8)}
    else:
        first = Truth.first_frames(sequence, protocol)
        maps = {frame: sequence.labels(frame) for frame in set(first.values())}
    for object_id, frame in first.items():
        if frame not in position:
            raise InputError(f"{sequence.name}: frame {frame} is annotated but has no image.")
        if object_id in object_ids(maps[frame]):
            prompts.setdefault(position[frame], {})[object_id] = maps[frame] == object_id
    if not prompts:
        raise InputError(f"{sequence.name}: its first annotation marks no object.")
    return dict(sorted(prompts.items()))  # type: ignore[arg-type]
