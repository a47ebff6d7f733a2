"""Which frames count, how predictions are matched to objects, and what is averaged: a protocol is data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rotoscope.datasets.sequences import TASKS, Task
from rotoscope.errors import InputError

ADAPTIVE = "Ḟ"
"""F with a tolerance that grows with the object, as MOSEv2 has it."""

Matching = Literal["ids", "hungarian", "first-frame"]
Frames = Literal["inner", "all", "after-first"]
FRAMES: tuple[Frames, ...] = ("inner", "all", "after-first")


@dataclass(frozen=True)
class Protocol:
    """How results are scored.

    Attributes:
        name: what tables and files call it.
        task: what was given to whoever made the results.
        frames: ``inner``: annotated frames less the first and the last of the sequence; ``all``: every annotated
            frame; ``after-first``: for each object the frames it is annotated in, after its first.
        matching: ``ids``: a prediction's id is the object's; ``hungarian``: proposals are assigned to objects so that
            the mean of J and F is largest; ``first-frame``: proposals are assigned by their overlap in the first
            annotated frame of each object (RVOS).
        merged: all ids are one object, on both sides.
        appearing: objects are those of all annotated frames; else those of the first, up to its highest id.
        void: pixels of unknown truth (255) are left out of both; else they are background.
        measures: J and F always; T, and F with MOSEv2's tolerance, where they are part of the protocol.
        groups: further averages: by category, by seen and unseen categories, by number of objects.
        proposals: most predictions of a sequence that are looked at, for the matchings.
    """

    name: str
    task: Task = "semi"
    frames: Frames = "inner"
    matching: Matching = "ids"
    merged: bool = False
    appearing: bool = False
    void: bool = False
    measures: tuple[str, ...] = ("J", "F")
    groups: tuple[str, ...] = ()
    proposals: int = 20

    def describe(self) -> str:
        """The protocol in a sentence."""
        frames = {
            "inner": "first and last frame of each sequence left out",
            "all": "all annotated frames",
            "after-first": "each object's annotated frames after its first",
        }[self.frames]
        matching = {
            "ids": "ids as given",
            "hungarian": f"up to {self.proposals} proposals assigned to objects by Hungarian matching of (J + F) / 2",
            "first-frame": f"up to {self.proposals} proposals assigned by overlap in the objects' first frame",
        }[self.matching]
        merged = ", all ids as one object" if self.merged else ""
        void = "; unknown pixels left out" if self.void else ""
        return f"{self.name}: {frames}; {matching}{merged}{void}"


_PROTOCOLS: dict[tuple[str, Task], Protocol] = {
    ("davis16", "semi"): Protocol("DAVIS 2016", merged=True, measures=("J", "F", "T")),
    ("davis16", "unsupervised"): Protocol("DAVIS 2016 unsupervised", merged=True, measures=("J", "F", "T")),
    ("davis16", "zero-shot"): Protocol("RVOS zero-shot on DAVIS 2016", matching="first-frame", proposals=10),
    ("davis17", "semi"): Protocol("DAVIS 2017 semi-supervised", groups=("instances",)),
    ("davis17", "unsupervised"): Protocol(
        "DAVIS 2019 unsupervised", frames="all", matching="hungarian", void=True, groups=("instances",)
    ),
    ("davis17", "zero-shot"): Protocol(
        "RVOS zero-shot on DAVIS 2017", matching="first-frame", proposals=10, groups=("instances",)
    ),
    ("youtubevos", "semi"): Protocol("YouTube-VOS", frames="after-first", appearing=True, groups=("seen", "instances")),
    ("youtubevos", "zero-shot"): Protocol(
        "RVOS zero-shot on YouTube-VOS",
        frames="after-first",
        matching="first-frame",
        appearing=True,
        proposals=10,
        groups=("seen", "instances"),
    ),
    ("fbms", "unsupervised"): Protocol("FBMS-59, foreground", frames="all", merged=True),
    ("youtubeobjects", "unsupervised"): Protocol(
        "YouTube-Objects", frames="all", merged=True, groups=("category",)
    ),
    ("youtubeobjects", "semi"): Protocol(
        "YouTube-Objects, first mask given", frames="after-first", merged=True, groups=("category",)
    ),
    ("segtrack", "semi"): Protocol("SegTrack v2", frames="after-first", groups=("instances",)),
    ("segtrack", "unsupervised"): Protocol("SegTrack v2, foreground", frames="all", merged=True),
    ("mose", "semi"): Protocol("MOSE", appearing=True, measures=("J", "F", ADAPTIVE), groups=("instances",)),
    ("lvos", "semi"): Protocol("LVOS", appearing=True, measures=("J", "F", ADAPTIVE), groups=("instances",)),
    ("burst", "semi"): Protocol("BURST, first masks given", appearing=True, groups=("instances",)),
    ("vipseg", "semi"): Protocol("VIPSeg, first masks given", appearing=True, groups=("instances",)),
    ("pairs", "semi"): Protocol("first masks given", appearing=True, groups=("instances",)),
    ("pairs", "unsupervised"): Protocol(
        "several objects, none given",
        frames="all",
        matching="hungarian",
        appearing=True,
        void=True,
        groups=("instances",),
    ),
    ("pairs", "zero-shot"): Protocol(
        "RVOS zero-shot", matching="first-frame", appearing=True, proposals=10, groups=("instances",)
    ),
}  # fmt: skip


def known_protocols() -> tuple[tuple[str, Task], ...]:
    """Data sets and tasks that there is a protocol for."""
    return tuple(_PROTOCOLS)


def default_task(kind: str, task: str) -> str | None:
    """The task of a data set that fits a method of ``task``; None takes the first the data set has."""
    if task == "semi":
        return None
    return next((t for k, t in _PROTOCOLS if k == kind and t != "semi"), None)


def protocol(kind: str, task: str | None = None, frames: str | None = None) -> Protocol:
    """The protocol of a data set and a task.

    Args:
        kind: the data set's name.
        task: ``semi``, ``unsupervised`` or ``zero-shot``; None takes the first the data set has.
        frames: counts other frames than the protocol says: ``inner``, ``all`` or ``after-first``.

    Raises:
        InputError: no such task for this data set, or no such choice of frames.
    """
    known = [t for k, t in _PROTOCOLS if k == kind]
    chosen = task or known[0]
    if chosen not in known:
        hint = "" if chosen in TASKS else f" ({chosen!r} is not a task at all)"
        raise InputError(f"{kind} has no protocol for task {chosen!r}{hint}; it has {', '.join(known)}.")
    chosen_protocol = replace(_PROTOCOLS[(kind, chosen)], task=chosen)
    if frames is None or frames == chosen_protocol.frames:
        return chosen_protocol
    if frames not in FRAMES:
        raise InputError(f"frames {frames!r} is not known; use {', '.join(FRAMES)}.")
    return replace(chosen_protocol, frames=frames, name=f"{chosen_protocol.name}, frames={frames}")
