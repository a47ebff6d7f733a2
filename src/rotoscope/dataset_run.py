"""Segment every sequence of a data set as its task says, into a folder that ``evaluate`` reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.sequences import VideoDataset, VideoSequence, object_ids
from rotoscope.errors import InputError
from rotoscope.evaluation.protocol import Protocol
from rotoscope.evaluation.scores import Truth
from rotoscope.masks.writing import PaletteWriter
from rotoscope.methods.base import Method
from rotoscope.running import peak_memory
from rotoscope.segmenting import Prompts, Run
from rotoscope.video.images import ImageSequence


@dataclass
class DatasetRun:
    """What segmenting a data set took.

    Attributes:
        folder: where the masks are.
        frames: frames answered.
        wall: seconds, with reading and writing.
        network: seconds in the sessions.
        parts: of these, by part.
        peak_memory: bytes, of the process.
        remembered: the most frames' worth of features that a session held; None if the method does not tell.
        rates: frames per second of each sequence.
        problems: images that could not be read.
    """

    folder: Path
    frames: int = 0
    wall: float = 0.0
    network: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    remembered: float | None = None
    rates: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second, with reading and writing."""
        return self.frames / self.wall if self.wall else float("nan")

    def as_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "frames": self.frames,
            "frames_per_second": self.fps,
            "seconds": self.wall,
            "seconds_in_the_network": self.network,
            "seconds_by_part": self.parts,
            "peak_memory_bytes": self.peak_memory,
            "memory_in_frames": self.remembered,
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

    Args:
        dataset: what to segment.
        protocol: says which objects there are and whether they are one.
        model: a loaded method.
        folder: where to write; nothing may be there yet, so that no earlier mask is scored.
        on_frame: called with each prediction.
        options: of the method's session.

    Raises:
        InputError: the folder holds something, a sequence lacks its images, or the task gives no masks to a method
            that needs them.
    """
    if (protocol.task == "semi") != (model.task == "semi"):
        needs = "needs masks" if model.task == "semi" else "finds objects by itself"
        raise InputError(f"{protocol.name} is of task {protocol.task!r}, but this method {needs}. Choose another task.")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: holds something already. Give another folder, so that no earlier mask is scored.")
    run = DatasetRun(folder)
    begun = time.perf_counter()
    for sequence in dataset:
        if not sequence.images:
            raise InputError(f"{sequence.name}: has no images; nothing can be segmented.")
        _segment(sequence, protocol, model, run, on_frame, options)
    run.wall = time.perf_counter() - begun
    run.network = sum(run.parts.values())
    run.peak_memory = peak_memory()
    return run


def _segment(
    sequence: VideoSequence,
    protocol: Protocol,
    model: Method,
    run: DatasetRun,
    on_frame: Callable[[Any], None] | None,
    options: Mapping[str, Any],
) -> None:
    begun, before = time.perf_counter(), run.frames
    writer = PaletteWriter(run.folder / sequence.name)
    with ImageSequence(list(sequence.images.values()), sequence.name) as video:
        given = given_masks(sequence, protocol) if protocol.task == "semi" else {}
        work = Run(video, given, model, options)
        for prediction in work.forward():
            writer.write(prediction, None)
            run.frames += 1
            if on_frame is not None:
                on_frame(prediction)
            remembered = work.sessions[-1].frames_remembered
            if remembered is not None:
                run.remembered = max(run.remembered or 0.0, remembered)
        run.problems += video.problems
    for part, seconds in work.seconds().items():
        run.parts[part] = run.parts.get(part, 0.0) + seconds
    run.rates[sequence.name] = (run.frames - before) / (time.perf_counter() - begun)


def given_masks(sequence: VideoSequence, protocol: Protocol) -> Prompts:
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
