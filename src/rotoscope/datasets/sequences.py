"""Video data sets as lists of sequences: which frames there are, which are annotated, how their masks are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.codings import VOID, Coding, DamagedMaskError, coding_of, object_ids, read_label_file, unknown
from rotoscope.errors import InputError, shown
from rotoscope.files import is_plain_name

__all__ = [
    "TASKS",
    "VOID",
    "Codec",
    "DamagedMaskError",
    "ObjectFacts",
    "Task",
    "VideoDataset",
    "VideoSequence",
    "object_ids",
    "read_label_file",
    "unknown",
]
Codec = Literal["index", "binary", "objects", "regions"]
"""How a set's mask files are read: labels; one object, whatever is not 0; one file per object; coloured regions."""
Task = Literal["semi", "unsupervised", "zero-shot"]
TASKS: tuple[Task, ...] = ("semi", "unsupervised", "zero-shot")


@dataclass(frozen=True)
class ObjectFacts:
    """What a data set says of an object beside its masks.

    Attributes:
        category: the kind of thing that the object is, such as ``person``.
        seen: whether training videos show this category; None if it is not known.
        frames: the names of the frames in which the object is annotated, in order of time.
    """

    category: str | None = None
    seen: bool | None = None
    frames: tuple[str, ...] = ()


@dataclass(frozen=True)
class VideoSequence:
    """One video of a data set.

    Attributes:
        name: the name of the sequence, as folders of results have it; it may hold slashes.
        frames: the names of all frames, in order of time.
        images: the frames that have an image file, by name.
        annotations: the mask files of each annotated frame, by name of the frame and in order of time; there are
            several where each holds one object.
        codec: how the mask files are read.
        category: the kind of thing that the whole sequence shows; None where the data set does not say.
        objects: what is known of each object, by id; empty where the masks alone tell.
        background: the colour that means background, for codec ``regions``.
        submitted: names of the frames whose masks a server takes; all if empty.

    Raises:
        InputError: a name that leads out of the folder of results.
    """

    name: str
    frames: tuple[str, ...]
    images: Mapping[str, Path]
    annotations: Mapping[str, tuple[Path, ...]]
    codec: Codec = "index"
    category: str | None = None
    objects: Mapping[int, ObjectFacts] = field(default_factory=dict)
    background: tuple[int, int, int] | None = None
    submitted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.name.split("/"), *self.frames):
            if not is_plain_name(name):
                raise InputError(
                    f"sequence {shown(repr(self.name), 80)}: {shown(repr(name), 80)} is no name of a folder or file. "
                    "Correct the data set's list."
                )

    @property
    def annotated(self) -> tuple[str, ...]:
        """Names of the annotated frames, in order of time."""
        return tuple(self.annotations)

    def labels(self, frame: str) -> NDArray[Any]:
        """Labels of an annotated frame, ``[H, W]``, uint8 or uint16; 0 is background, 255 unknown (but see ``codec``).

        Raises:
            DamagedMaskError: a file cannot be read.
        """
        files = self.annotations[frame]
        if self.codec == "objects":
            return _stacked(files)
        array = read_label_file(files[0])
        if self.codec == "regions":
            return _regions(array, self.background)
        if self.codec == "binary" and self.coding.kind != "white":
            return ((array if array.ndim == 2 else array.max(axis=2)) > 0).astype(np.uint8)
        return self.coding.labels(array)

    @property
    def coding(self) -> Coding:
        """How the mask files are read; of ``binary`` ones the first decides, else all that it takes."""
        files = tuple(files[0] for files in self.annotations.values())
        return coding_of(files[:1] if self.codec == "binary" else files)

    @property
    def decision(self) -> str:
        """What was decided in reading the masks, for a person; empty where they can mean nothing else."""
        if self.codec not in ("index", "binary") or (self.codec == "binary" and self.coding.kind != "white"):
            return ""
        if self.codec == "index" and self.coding.kind == "white" and not self.coding.note:
            return f"{self.name}: its annotations hold only 255 beside 0, no ids; 255 read as object 1."
        return self.coding.note

    def first_labels(self) -> NDArray[Any]:
        """Labels of the first annotated frame."""
        return self.labels(next(iter(self.annotations)))


@dataclass(frozen=True)
class VideoDataset:
    """A data set, or a split of one.

    Attributes:
        spec: the text that it was opened by, such as ``davis17:DAVIS?split=val``.
        kind: the name of the data set, such as ``davis16``.
        root: the folder that it is in.
        split: the name of the split, such as ``val``; empty where the set has none.
        sequences: the sequences, in the order of the list of the split.
        other_splits: the names of the sequences of each other split that is in the folder; warnings tell them apart.
        notes: what a person should know, such as a missing list or a sequence without images; one line each.
    """

    spec: str
    kind: str
    root: Path
    split: str
    sequences: tuple[VideoSequence, ...]
    other_splits: Mapping[str, frozenset[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[VideoSequence]:
        return iter(self.sequences)

    def __len__(self) -> int:
        return len(self.sequences)

    def explain(self) -> list[str]:
        """Lines for a person: how many sequences, frames, annotated frames and objects; then the notes."""
        frames = sum(len(s.frames) for s in self.sequences)
        annotated = sum(len(s.annotations) for s in self.sequences)
        split = f", split {self.split}" if self.split else ""
        objects, trouble = self.count_objects()
        lines = [
            f"{self.kind}{split}: {len(self.sequences)} sequences, {frames} frames, {annotated} of them annotated, "
            f"{objects} objects"
        ]
        categories = {s.category for s in self.sequences if s.category}
        if categories:
            lines.append(f"{len(categories)} categories: {', '.join(sorted(categories))}")
        return lines + list(self.notes) + trouble

    def count_objects(self) -> tuple[int, list[str]]:
        """Objects of all sequences, by first annotations or the set's own list; and masks that cannot be read."""
        total, trouble = 0, []
        for sequence in self.sequences:
            if sequence.objects:
                total += len(sequence.objects)
            elif sequence.annotations:
                try:
                    total += len(object_ids(sequence.first_labels()))
                except DamagedMaskError as error:
                    trouble.append(str(error))
        return total, trouble


def _stacked(files: tuple[Path, ...]) -> NDArray[np.uint8]:
    """One file per object, in order of the ids; where they overlap the later stands in front."""
    labels: NDArray[np.uint8] | None = None
    for object_id, path in enumerate(files, 1):
        array = read_label_file(path)
        mask = (array if array.ndim == 2 else array.max(axis=2)) > 127
        if labels is None:
            labels = np.zeros(mask.shape, np.uint8)
        if mask.shape != labels.shape:
            raise DamagedMaskError(f"{path}: is of another size than the masks of the other objects.")
        labels[mask] = object_id
    assert labels is not None
    return labels


def _regions(array: NDArray[Any], background: tuple[int, int, int] | None) -> NDArray[np.uint8]:
    """Coloured regions, numbered in the order of their colours; the background is given, else white, else black."""
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    codes = array[..., 0].astype(np.int64) << 16 | array[..., 1].astype(np.int64) << 8 | array[..., 2]
    values, inverse = np.unique(codes, return_inverse=True)
    white, black = 0xFFFFFF, 0
    if background is not None:
        behind = background[0] << 16 | background[1] << 8 | background[2]
    else:
        behind = white if white in values else black
    table = np.zeros(len(values), np.uint8)
    table[values != behind] = np.arange(1, (values != behind).sum() + 1)
    return np.asarray(table[inverse].reshape(codes.shape))
