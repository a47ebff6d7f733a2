"""One string names a data set everywhere: ``davis17:PATH?split=test-dev``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

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

OPTIONS: dict[str, tuple[str, ...]] = {
    "davis16": ("split", "resolution"),
    "davis17": ("split", "resolution", "task"),
    "youtubevos": ("split", "seen"),
    "fbms": ("split", "background"),
    "youtubeobjects": (),
    "segtrack": (),
    "mose": ("split",),
    "lvos": ("split",),
    "burst": ("split",),
    "vipseg": ("split",),
    "pairs": ("split",),
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
        InputError: no data set of that name, no folder, or an option that the set does not have.
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
    return dataset


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
