"""One string names a data set everywhere: ``davis17:PATH?split=test-dev``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from rotoscope.datasets.folders import check_listed, read_list
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.datasets.stills import StillDataset
from rotoscope.errors import InputError, suggestion

VIDEO_SETS: dict[str, str] = {
    "davis16": "rotoscope.datasets.davis:davis16",
    "davis17": "rotoscope.datasets.davis:davis17",
    "youtubevos": "rotoscope.datasets.youtubevos:youtubevos",
    "fbms": "rotoscope.datasets.motion_sets:fbms",
    "youtubeobjects": "rotoscope.datasets.motion_sets:youtubeobjects",
    "segtrack": "rotoscope.datasets.motion_sets:segtrack",
    "mose": "rotoscope.datasets.large_sets:mose",
    "lvos": "rotoscope.datasets.large_sets:lvos",
    "burst": "rotoscope.datasets.large_sets:burst",
    "vipseg": "rotoscope.datasets.large_sets:vipseg",
    "pairs": "rotoscope.datasets.motion_sets:pairs",
}
"""Video sets: name, and the function that lists one (``(root, **options) -> VideoDataset``)."""

STILL_SETS: tuple[str, ...] = (
    "msra10k", "dut-omron", "duts", "ecssd", "big", "hrsod", "fss1000", "voc2012", "stills",
)  # fmt: skip
"""Sets of photographs with masks, see :mod:`rotoscope.datasets.stills`."""

OF_VIDEOS = ("list", "part")
"""Options of every video set: a file that names the videos taken, and a part of them by percent."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "davis16": ("split", "resolution", *OF_VIDEOS),
    "davis17": ("split", "resolution", "task", *OF_VIDEOS),
    "youtubevos": ("split", "seen", *OF_VIDEOS),
    "fbms": ("split", "background", *OF_VIDEOS),
    "youtubeobjects": OF_VIDEOS,
    "segtrack": OF_VIDEOS,
    "mose": ("split", *OF_VIDEOS),
    "lvos": ("split", *OF_VIDEOS),
    "burst": ("split", *OF_VIDEOS),
    "vipseg": ("split", *OF_VIDEOS),
    "pairs": ("split", *OF_VIDEOS),
    **dict.fromkeys(STILL_SETS, ("split",)),
}
"""Options that a spec may carry after its question mark."""


@dataclass(frozen=True)
class Spec:
    """A data set's name, folder and options."""

    kind: str
    path: Path
    options: Mapping[str, str]

    def __str__(self) -> str:
        tail = "&".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.kind}:{self.path}" + (f"?{tail}" if tail else "")


def is_spec(text: str) -> bool:
    """Whether a text begins with the name of a data set and a colon, and is no file's name itself."""
    return text.partition(":")[0] in OPTIONS and ":" in text and not Path(text).exists()


def parse_spec(text: str) -> Spec:
    """Take a spec apart.

    Raises:
        InputError: no data set of that name, no folder, or an option that the set does not have or that is given twice.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in OPTIONS:
        raise InputError(
            f"data set {text!r} is not understood{suggestion(kind, OPTIONS)}; write NAME:PATH or NAME:PATH?split=…, "
            f"NAME one of {', '.join(OPTIONS)}."
        )
    path, _, tail = (rest, "", "") if Path(rest).is_dir() else rest.rpartition("?") if "?" in rest else (rest, "", "")
    if not path:
        raise InputError(f"data set {text!r} names no folder; write {kind}:PATH.")
    options: dict[str, str] = {}
    for part in tail.split("&") if tail else ():
        key, equals, value = part.partition("=")
        if not equals or key not in OPTIONS[kind]:
            known = ", ".join(OPTIONS[kind]) or "none"
            raise InputError(f"data set {text!r}: option {part!r} is not known; {kind} takes {known}, as NAME=VALUE.")
        if key in options:
            raise InputError(f"data set {text!r}: option {key} is given twice. Give it once.")
        options[key] = value
    if not Path(path).is_dir():
        raise InputError(f"{path}: no such folder (in {text!r}).")
    return Spec(kind, Path(path), options)


def open_dataset(text: str | Spec) -> VideoDataset:
    """Open a video data set by its spec.

    Raises:
        InputError: see :func:`parse_spec`; a set of photographs; or a folder that does not hold what it should.
    """
    spec = parse_spec(text) if isinstance(text, str) else text
    if spec.kind not in VIDEO_SETS:
        raise InputError(f"{spec}: {spec.kind} holds photographs, not videos; use one of {', '.join(VIDEO_SETS)}.")
    module, _, name = VIDEO_SETS[spec.kind].partition(":")
    opener: Any = getattr(import_module(module), name)
    dataset: VideoDataset = opener(spec)
    return _taken(dataset, spec)


def _taken(dataset: VideoDataset, spec: Spec) -> VideoDataset:
    """The videos of a set that its options ``list`` and ``part`` leave.

    Raises:
        InputError: no such list, a name in it that the set lacks, a part that is none, or nothing is left.
    """
    if not set(OF_VIDEOS) & set(spec.options):
        return dataset
    kept = dataset.sequences
    if "list" in spec.options:
        path = Path(spec.options["list"])
        if not path.is_file():
            raise InputError(f"{path}: no such list of videos (in {str(spec)!r}).")
        wanted = read_list(path)
        check_listed(path, wanted, {sequence.name for sequence in kept}, spec)
        kept = tuple(sequence for sequence in kept if sequence.name in set(wanted))
    if "part" in spec.options:
        match = re.fullmatch(r"(\d{1,3})-(\d{1,3})", spec.options["part"])
        low, high = (int(match[1]), int(match[2])) if match else (0, 0)
        if not low < high <= 100:
            raise InputError(f"{spec}: part {spec.options['part']!r} is none; write it in percent, such as part=0-80.")
        mixed = sorted(kept, key=lambda sequence: hashlib.blake2b(sequence.name.encode()).digest())
        names = {s.name for s in mixed[round(low * len(mixed) / 100) : round(high * len(mixed) / 100)]}
        kept = tuple(sequence for sequence in kept if sequence.name in names)
    if not kept:
        raise InputError(f"{spec}: no video is left of {len(dataset)}. Take a larger part, or another list.")
    note = f"{len(kept)} of {len(dataset)} sequences taken, as asked"
    return replace(dataset, sequences=kept, notes=(note, *dataset.notes))


def open_stills(text: str | Spec) -> StillDataset:
    """Open a set of photographs with masks by its spec.

    Raises:
        InputError: as :func:`open_dataset`.
    """
    from rotoscope.datasets.stills import list_stills

    spec = parse_spec(text) if isinstance(text, str) else text
    if spec.kind not in STILL_SETS:
        raise InputError(f"{spec}: {spec.kind} holds videos; photographs are in {', '.join(STILL_SETS)}.")
    return list_stills(spec.kind, spec.path, spec.options, str(spec))
