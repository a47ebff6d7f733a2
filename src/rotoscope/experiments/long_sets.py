"""Long synthetic clips that the rows of a table are scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rotoscope.datasets.long_clips import KINDS, write_long_clips
from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.datasets.spec import open_dataset
from rotoscope.methods import look_up


@dataclass(frozen=True)
class LongClips:
    """Long synthetic clips to score on, made from the held-out part of the photographs.

    Attributes:
        count: the number of clips for each number of objects.
        frames: the number of frames of a clip.
        size: the side of the square frames in pixels.
        kinds: what the clips show, of :data:`rotoscope.datasets.long_clips.KINDS`.
    """

    count: int
    frames: int = 300
    size: int = 256
    kinds: tuple[str, ...] = ("wandering",)

    def write(self, folder: Path, photographs: Photographs, objects: Sequence[int]) -> list[tuple[str, VideoDataset]]:
        """Make the clips of each kind, with each of the numbers of objects; returns names and data sets."""
        kinds = [look_up("kind of long clips", given, {known: known for known in KINDS}) for given in self.kinds]
        made = []
        for kind in kinds:
            name = "long" if kind == "wandering" else kind
            for number in objects:
                write_long_clips(photographs, folder / name, self.count, self.frames, self.size, number, kind=kind)
            made.append((name, open_dataset(f"pairs:{folder / name}")))
        return made
