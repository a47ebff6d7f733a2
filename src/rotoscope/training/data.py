"""What a run is trained on: data sets by spec, with weights, sorted into what each stage asks for."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rotoscope.datasets.clip_sources import ClipShape, ClipSource, Mixture, StillClips, SynthVOS
from rotoscope.datasets.composed import ComposedClips
from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.datasets.pictures import PictureClips
from rotoscope.datasets.recurring import PARTLY_LABELLED, RecurringClips
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.datasets.spec import STILL_SETS, is_spec, open_dataset, open_stills, parse_spec
from rotoscope.datasets.stills import Still, StillDataset
from rotoscope.datasets.synthetic import Clip, SyntheticClips, SyntheticConfig
from rotoscope.datasets.video_clips import MotionlessClips, VideoClips
from rotoscope.datasets.wide_clips import clips_of
from rotoscope.errors import InputError
from rotoscope.methods.augmentation import Augmentation
from rotoscope.methods.recipe import Recipe
from rotoscope.methods.sources import ANY_SET, FILMED, ON_DEVICE, Origin, Sets, Source
from rotoscope.training.layered.source import LayeredClips
from rotoscope.video.source import stamp_of

AnySet = TypeVar("AnySet", bound=StillDataset | VideoDataset)

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
ALIKE: dict[str, Any] = {"copies": 0.6, "gathered": 0.8, "scene": 0.2, "shapes": 0.1, "smallest": 0.12, "largest": 0.4}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "salient": COMPLETE,
    "primary": PRIMARY,
    "hiding": HIDING,
    "alike": ALIKE,
}
"""How kinds of synthetic clips differ: see :class:`SyntheticConfig`. For methods that find objects everything is
labelled; the primary object is the one that is pasted, or all that a photograph shows of objects, with or without one
pasted on it. In clips of hiding objects what is pasted is covered whole for a while; in those of objects that are alike
most of what is pasted looks like what was pasted before it, and begins beside it."""


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
        side = max(shape.across)
        asked = {"size": side, "frames": shape.frames, "objects": shape.objects, "pace": shape.pace}
        config = SyntheticConfig(**{**asked, **self.options})
        made = SyntheticClips(self.photographs, config, int(rng.integers(2**62)))
        return clips_of(made, shape.size, shape.width).clip(0)


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
    def open(cls, specs: Sequence[str | Path]) -> TrainingData:
        """Open what ``--data`` names: folders of photographs, or specs, each ``WEIGHT*SPEC`` or ``SPEC``.

        Without any, ``$ROTOSCOPE_DATA``. A set drawn five times as often as its size says is ``5*davis17:PATH``.

        Raises:
            InputError: nothing is given, or something given is not there.
        """
        photographs: Photographs | None = None
        stills, videos = [], []
        for text in [str(entry) for entry in specs] or [os.environ.get("ROTOSCOPE_DATA", "")]:
            match = re.fullmatch(r"(\d+(?:\.\d+)?)\*(.+)", text)
            weight, name = (float(match[1]), match[2]) if match and is_spec(match[2]) else (1.0, text)
            if not is_spec(name):
                if photographs is not None:
                    raise InputError(f"{name}: a second folder of photographs; give it as a spec, such as stills:PATH.")
                photographs = Photographs.open(data_root(name))
            elif parse_spec(name).kind in STILL_SETS:
                dataset = open_stills(name)
                stills.append((weight * len(dataset), dataset))
            else:
                opened = open_dataset(name)
                videos.append((weight * len(opened), opened))
        return cls(photographs, tuple(stills), tuple(videos))

    def sources(self, recipe: Recipe) -> dict[Origin, ClipSource]:
        """What makes the clips of each of a recipe's sources, but for those that the device makes.

        Raises:
            InputError: a set that the recipe names is not given, or nothing given can make the clips.
        """
        self._check_names(recipe)
        if recipe.on_device and self.photographs is None and not self.videos:
            raise InputError("layered clips need photographs with masks or videos: --data FOLDER, --data davis17:PATH…")
        here = [origin for origin in recipe.origins() if origin.source not in ON_DEVICE]
        return {origin: self.source(origin.source, recipe.augmentation, origin.sets) for origin in here}

    @functools.cached_property
    def layered(self) -> LayeredClips:
        """Layered clips of the folder of photographs and of all videos, each of these drawn alike."""
        return LayeredClips(self.photographs, [VideoClips(videos) for _, videos in self.videos])

    def _all(self) -> list[tuple[float, StillDataset | VideoDataset]]:
        return [*self.stills, *self.videos]

    def _check_names(self, recipe: Recipe) -> None:
        """Refuse a recipe that names sets which are not given; all of them are said at once."""
        kinds = {dataset.kind for _, dataset in self._all()}
        asked = dict.fromkeys(name for origin in recipe.origins() for name in origin.sets.all)
        missing = [name for name in asked if name not in kinds]
        if missing:
            raise InputError(
                f"{recipe.name} trains on {', '.join(asked)}; not given: {', '.join(missing)}. Add "
                f"{' '.join(f'--data {name}:PATH' for name in missing)}, or train on whatever sets are given that fit: "
                "--set any_set=true."
            )

    def source(self, kind: Source, how: Augmentation | None = None, sets: Sets | None = None) -> ClipSource:
        """Clips of a kind, out of ``sets``; those of videos, and those of photographs, changed as ``how`` says.

        Raises:
            InputError: nothing given can make them.
        """
        how, sets = how or Augmentation(), sets or ANY_SET
        if kind in ("synthetic", *OPTIONS):
            if self.photographs is None:
                raise InputError("synthetic clips need a folder of photographs: --data FOLDER.")
            return SyntheticSource(self.photographs, kind)
        if kind == "pictures":
            if self.photographs is None:
                raise InputError("single pictures need a folder of photographs: --data FOLDER; videos may be added.")
            return PictureClips(self.photographs, [VideoClips(dataset) for _, dataset in self.videos])
        if kind == "recurring":
            if self.photographs is None:
                raise InputError(
                    "clips of what recurs need a folder of photographs: --data FOLDER; videos may be added."
                )
            return RecurringClips(self.photographs, [VideoClips(dataset) for _, dataset in self.videos])
        if kind in FILMED:
            opened = [(weight, _filmed(dataset, how)) for weight, dataset in chosen(self.videos, sets, sets.names)]
            if not opened:
                raise InputError("this stage trains on videos: --data davis17:PATH?split=train, youtubevos:PATH…")
            if kind == "composed":
                return Mixture([(weight, ComposedClips(videos, self.photographs)) for weight, videos in opened])
            return Mixture(opened)
        stills = self._stills(sets, sets.names)
        if kind == "synthvos":
            behind = [still for _, dataset in self._stills(sets, sets.behind) for still in dataset]
            return Mixture([(weight, SynthVOS(dataset, behind)) for weight, dataset in stills])
        if how.stills == "own":
            return Mixture([(weight, MotionlessClips(dataset, how)) for weight, dataset in stills])
        return Mixture([(weight, StillClips(dataset)) for weight, dataset in stills])

    def _stills(self, sets: Sets, names: tuple[str, ...]) -> list[tuple[float, tuple[Still, ...]]]:
        """Photographs with masks by set; without any set, those of the folder."""
        weighted = [(weight, opened.stills) for weight, opened in chosen(self.stills, sets, names)]
        if not weighted and self.photographs is not None and not self.stills:
            weighted = [(1.0, tuple(Still(p.image, p.mask, False) for p in self.photographs.masked))]
        if not weighted:
            raise InputError("this stage trains on photographs with masks: --data duts:PATH, --data stills:PATH…")
        return weighted

    def describe(self) -> list[str]:
        """Lines that say what was found, and what a set lacks that its lists name: nothing else says so."""
        lines = []
        if self.photographs is not None:
            masked, textures = len(self.photographs.masked), len(self.photographs.textures)
            lines.append(f"photographs: {masked} with masks, {textures} textures")
        return lines + [line for _, dataset in self._all() for line in (dataset.explain()[0], *dataset.notes)]

    def lacking(self) -> list[str]:
        """Lines that say what sets lack of what their lists name."""
        return [note for _, dataset in self._all() for note in dataset.notes]

    def shares(self, recipe: Recipe) -> list[str]:
        """Lines that say how often each source of a recipe draws from each set, where it has several."""
        lines = []
        for origin in recipe.origins():
            sets: Sequence[tuple[float, StillDataset | VideoDataset]] = self.stills
            if origin.source in FILMED:
                sets = self.videos
            elif origin.source not in ("stills", "synthvos"):
                continue
            taken = chosen(sets, origin.sets, origin.sets.names)
            total = sum(weight for weight, _ in taken)
            if len(taken) > 1:
                parts = [f"{100 * weight / total:.0f} % {dataset.spec}" for weight, dataset in taken]
                lines.append(f"{origin.source}{origin.sets.describe()}: {', '.join(parts)}")
        return lines

    def fingerprint(self) -> dict[str, str]:
        """What tells this data from other data, by kind: codes of weights, names and sizes of all files.

        Where the folders lie does not count, so that a run goes on after they were moved.
        """
        codes = {}
        if self.photographs is not None:
            files = [file for photo in self.photographs.masked for file in (photo.image, photo.mask)]
            codes["photographs"] = _code([*files, *self.photographs.textures])
        if self.stills:
            codes["photographs with masks"] = _code(part for entry in self.stills for part in _parts_of_stills(*entry))
        if self.videos:
            codes["videos"] = _code(part for entry in self.videos for part in _parts_of_videos(*entry))
        return codes

    def split(self) -> tuple[TrainingData, Photographs | None]:
        """The part that is trained on, and photographs kept apart for validation."""
        if self.photographs is None:
            return self, None
        training, validation = self.photographs.split()
        return TrainingData(training, self.stills, self.videos), validation


def chosen(opened: Sequence[tuple[float, AnySet]], sets: Sets, names: tuple[str, ...]) -> list[tuple[float, AnySet]]:
    """Those of the sets given that a source takes, and how often it draws from each.

    Args:
        opened: sets with their weights, which count their sequences or photographs.
        sets: what the source asks.
        names: sets that are taken; all if empty.
    """
    often = dict(sets.often)
    taken = [(weight, dataset) for weight, dataset in opened if not names or dataset.kind in names]
    if sets.even:  # several parts of one set share what that set has
        size = {dataset.kind: sum(w for w, other in taken if other.kind == dataset.kind) for _, dataset in taken}
        return [(often.get(dataset.kind, 1.0) * weight / size[dataset.kind], dataset) for weight, dataset in taken]
    return [(often.get(dataset.kind, 1.0) * weight, dataset) for weight, dataset in taken]


def _filmed(dataset: VideoDataset, how: Augmentation) -> VideoClips:
    """Clips of the videos of a set.

    Raises:
        InputError: the recipe needs all frames, and the set has images of annotated ones only.
    """
    step = SPARSE.get(dataset.kind, 1)
    whole = step == 1 or any(len(sequence.images) > len(sequence.annotations) for sequence in dataset)
    if how.every_frame and not whole:
        raise InputError(
            f"{dataset.spec}: holds images of annotated frames only, and this recipe trains on all frames. Give those, "
            f"such as {dataset.kind}:{dataset.root}?split=train_all_frames."
        )
    return VideoClips(dataset, step > 1 and how.between and whole, how, step)


def _parts_of_stills(weight: float, dataset: StillDataset) -> Iterator[Part]:
    yield from (weight, dataset.kind)
    for still in dataset.stills:
        yield from (still.image, still.mask)


def _parts_of_videos(weight: float, dataset: VideoDataset) -> Iterator[Part]:
    yield from (weight, dataset.kind)
    for sequence in dataset:
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
