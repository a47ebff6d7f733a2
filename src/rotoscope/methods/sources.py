"""What the clips of a stage of training are made of, as data; :mod:`rotoscope.training.data` finds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

Source = Literal[
    "synthetic",
    "salient",
    "primary",
    "hiding",
    "alike",
    "stills",
    "videos",
    "composed",
    "synthvos",
    "pictures",
    "recurring",
    "layered",
]
SOURCES: tuple[Source, ...] = get_args(Source)
"""What clips are made of: our synthetic clips, the same with nothing that moves left unlabelled (for methods that find
objects by themselves), the same with all that is labelled as one object, the same with objects that are covered whole
for a while, the same with objects that look alike and touch, changed photographs, annotated videos, annotated videos
with further objects put into them, A-GAME's synthetic clips, single pictures (photographs, frames of videos, either
with an object pasted in), clips in which one object recurs while whatever else stands out differs from frame to frame
(made of photographs, and of videos), and clips that are laid together on the training device out of photographs and
videos."""

FILMED: tuple[Source, ...] = ("videos", "composed")
"""Sources whose frames come from videos, so that gaps lie between them."""

ON_DEVICE: tuple[Source, ...] = ("layered",)
"""Sources that make whole steps, on the device that trains."""

RECTANGULAR: tuple[Source, ...] = (
    "videos",
    "stills",
    "synthvos",
    "synthetic",
    "salient",
    "primary",
    "hiding",
    "alike",
    "layered",
)
"""Sources whose clips may be wider than high."""


@dataclass(frozen=True)
class Sets:
    """Which of the data sets that are given a source takes.

    Attributes:
        names: data sets by their names in specs, all of which must be given; whatever fits the source if empty.
        behind: of ``synthvos``, the sets whose photographs lie behind; those of ``names`` if empty.
        often: sets that are drawn more often than their size says, and how many times.
        even: whether all sets are drawn alike, whatever their size.
    """

    names: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    often: tuple[tuple[str, float], ...] = ()
    even: bool = False

    @property
    def all(self) -> tuple[str, ...]:
        """Every set that must be given."""
        return tuple(dict.fromkeys((*self.names, *self.behind)))

    def unnamed(self) -> Sets:
        """The same for whatever sets are given."""
        return replace(self, names=(), behind=())

    def describe(self) -> str:
        """In words, as what follows the name of a source; empty where nothing is asked."""
        often = dict(self.often)
        named = [f"{often[name]:g} x {name}" if name in often else name for name in self.names]
        words = f" of {', '.join(named)}" if named else ""
        words += f" on photographs of {', '.join(self.behind)}" if self.behind else ""
        return words + (", drawn alike" if self.even and len(named) != 1 else "")


ANY_SET = Sets()
"""Whatever is given that fits."""


@dataclass(frozen=True)
class Origin:
    """One source of clips.

    Attributes:
        source: what clips are made of.
        sets: which data sets it takes.
        share: chance of each clip of a stage that it comes from here.
    """

    source: Source
    sets: Sets = ANY_SET
    share: float = 1.0
