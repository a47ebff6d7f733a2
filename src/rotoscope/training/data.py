"""What a run is trained on: data sets by spec, with weights, sorted into what each stage asks for."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rotoscope.datasets.clip_sources import ClipShape, ClipSource, Mixture, StillClips, SynthVOS
from rotoscope.datasets.composed import ComposedClips
from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.datasets.pictures import PictureClips
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.datasets.spec import STILL_SETS, is_spec, open_dataset, open_stills, parse_spec
from rotoscope.datasets.stills import Still, StillDataset
from rotoscope.datasets.synthetic import Clip, SyntheticClips, SyntheticConfig
from rotoscope.datasets.video_clips import VideoClips
from rotoscope.errors import InputError
from rotoscope.methods.augmentation import Augmentation
from rotoscope.methods.recipe import FILMED, Recipe, Source
from rotoscope.video.source import stamp_of

PARTLY_LABELLED = "cocop"
"""Kind of photographs in which further objects are not labelled."""

Part = float | str | Path
"""What a fingerprint is made of: weights, names, and files."""

SPARSE = {"youtubevos": 5}
"""Frames from one annotation to the next, of sets that are not annotated throughout."""

COMPLETE: dict[str, Any] = {"extra": 0.0, "complete": True}
PRIMARY: dict[str, Any] = {
    **COMPLETE,
    "objects": 6,
    "pasted": 1,
    "merged": True,
    "scene": 0.7,
    "shapes": 0.0,
    "smallest": 0.25,
    "largest": 0.8,
}
HIDING: dict[str, Any] = {"cover": 1.0, "scene": 0.2, "smallest": 0.12, "largest": 0.35}
OPTIONS: Mapping[str, Mapping[str, Any]] = {"salient": COMPLETE, "primary": PRIMARY, "hiding": HIDING}
"""How kinds of synthetic clips differ: see :class:`SyntheticConfig`. For methods that find objects everything is
labelled; the primary object is the one that is pasted, or all that a photograph shows of objects, with or without one
pasted on it. In clips of hiding objects what is pasted is covered whole for a while."""


class SyntheticSource:
    """Our synthetic clips as a source.

    Args:
        photographs: raw material.
        kind: those that label everything leave out photographs of one labelled person among others (``cocop``).
    """

    def __init__(self, photographs: Photographs, kind: Source = "synthetic") -> None:
        self.photographs = photographs
        self.options = OPTIONS.get(kind, {})
        if self.options.get("complete"):
            kept = tuple(p for p in photographs.masked if p.kind != PARTLY_LABELLED)
            self.photographs = Photographs(kept, photographs.textures)

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip."""
        asked = {"size": shape.size, "frames": shape.frames, "objects": shape.objects, "pace": shape.pace}
        config = SyntheticConfig(**{**asked, **self.options})
        return SyntheticClips(self.photographs, config, int(rng.integers(2**62))).clip(0)


@dataclass(frozen=True)
class TrainingData:
    """Data sets given for training.

    Attributes:
        photographs: raw material of synthetic clips; None if no folder was given.
        stills: sets of photographs with masks, and how often each is drawn from.
        videos: annotated videos, and how often each is drawn from.
    """

    photographs: Photographs | None
    stills: tuple[tuple[float, StillDataset], ...] = ()
    videos: tuple[tuple[float, VideoDataset], ...] = ()

    @classmethod
    def open(cls, given: Sequence[str | Path]) -> TrainingData:
        """Open what ``--data`` names: folders of photographs, or specs, each ``WEIGHT*SPEC`` or ``SPEC``.

        Without any, ``$ROTOSCOPE_DATA``. A set drawn five times as often as its size says is ``5*davis17:PATH``.

        Raises:
            InputError: nothing is given, or something given is not there.
        """
        photographs: Photographs | None = None
        stills, videos = [], []
        for text in [str(entry) for entry in given] or [os.environ.get("ROTOSCOPE_DATA", "")]:
            match = re.fullmatch(r"(\d+(?:\.\d+)?)\*(.+)", text)
            weight, name = (float(match[1]), match[2]) if match and is_spec(match[2]) else (1.0, text)
            if not is_spec(name):
                if photographs is not None:
                    raise InputError(f"{name}: a second folder of photographs; give it as a spec, such as stills:PATH.")
                photographs = Photographs.open(data_root(name))
            elif parse_spec(name).kind in STILL_SETS:
                found = open_stills(name)
                stills.append((weight * len(found), found))
            else:
                opened = open_dataset(name)
                videos.append((weight * len(opened), opened))
        return cls(photographs, tuple(stills), tuple(videos))

    def source(self, kind: Source, how: Augmentation | None = None) -> ClipSource:
        """Clips of a kind; those of videos changed as ``how`` says.

        Raises:
            InputError: nothing given can make them.
        """
        if kind in ("synthetic", *OPTIONS):
            if self.photographs is None:
                raise InputError("synthetic clips need a folder of photographs: --data FOLDER.")
            return SyntheticSource(self.photographs, kind)
        if kind == "pictures":
            if self.photographs is None:
                raise InputError("single pictures need a folder of photographs: --data FOLDER; videos may be added.")
            return PictureClips(self.photographs, [VideoClips(found) for _, found in self.videos])
        if kind in FILMED:
            if not self.videos:
                raise InputError("this stage trains on videos: --data davis17:PATH?split=train, youtubevos:PATH…")
            how = how or Augmentation()
            opened = [
                (weight, VideoClips(found, found.kind in SPARSE and how.between, how, SPARSE.get(found.kind, 1)))
                for weight, found in self.videos
            ]
            if kind == "composed":
                return Mixture([(weight, ComposedClips(videos, self.photographs)) for weight, videos in opened])
            return Mixture(opened)
        sets: list[tuple[float, tuple[Still, ...]]] = [(weight, found.stills) for weight, found in self.stills]
        if not sets and self.photographs is not None:
            sets = [(1.0, tuple(Still(p.image, p.mask, False) for p in self.photographs.masked))]
        if not sets:
            raise InputError("this stage trains on photographs with masks: --data duts:PATH, --data stills:PATH…")
        maker = StillClips if kind == "stills" else SynthVOS
        return Mixture([(weight, maker(stills)) for weight, stills in sets])

    def describe(self) -> list[str]:
        """Lines that say what was found."""
        lines = []
        if self.photographs is not None:
            masked, textures = len(self.photographs.masked), len(self.photographs.textures)
            lines.append(f"photographs: {masked} with masks, {textures} textures")
        total = sum(weight for weight, _ in self.stills)
        lines += [f"{100 * w / total:.0f} % of clips of photographs: {found.explain()[0]}" for w, found in self.stills]
        total = sum(weight for weight, _ in self.videos)
        lines += [f"{100 * w / total:.0f} % of clips of videos: {found.explain()[0]}" for w, found in self.videos]
        return lines

    def fingerprint(self) -> dict[str, str]:
        """What tells this data from other data, by kind: codes of weights, names and sizes of all files.

        Where the folders lie does not count, so that a run goes on after they were moved.
        """
        found = {}
        if self.photographs is not None:
            files = [file for photo in self.photographs.masked for file in (photo.image, photo.mask)]
            found["photographs"] = _code([*files, *self.photographs.textures])
        if self.stills:
            found["photographs with masks"] = _code(part for entry in self.stills for part in _parts_of_stills(*entry))
        if self.videos:
            found["videos"] = _code(part for entry in self.videos for part in _parts_of_videos(*entry))
        return found

    def split(self) -> tuple[TrainingData, Photographs | None]:
        """The part that is trained on, and photographs kept apart for validation."""
        if self.photographs is None:
            return self, None
        training, validation = self.photographs.split()
        return TrainingData(training, self.stills, self.videos), validation


def _parts_of_stills(weight: float, given: StillDataset) -> Iterator[Part]:
    yield from (weight, given.kind)
    for still in given.stills:
        yield from (still.image, still.mask)


def _parts_of_videos(weight: float, given: VideoDataset) -> Iterator[Part]:
    yield from (weight, given.kind)
    for sequence in given:
        yield sequence.name
        yield from sequence.images.values()
        for files in sequence.annotations.values():
            yield from files


def _code(parts: Iterable[Part]) -> str:
    """A code of values and of files, these by their folders' and their own names and their sizes."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, Path):
            stamp = stamp_of(part)
            part = f"{part.parent.name}/{part.name} {stamp[0] if stamp is not None else 'gone'}"
        digest.update(f"{part}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def needed(recipe: Recipe) -> list[Source]:
    """Kinds of clips that a recipe's stages ask for."""
    return list(dict.fromkeys(stage.source for stage in recipe.kinds()))
