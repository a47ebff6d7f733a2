"""How often the clips that are composed of others are put together in which way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chances:
    """How often clips are composed in which way.

    Attributes:
        paste: share of clips into which objects of other clips are pasted.
        photo: share over which cut-outs of photographs, or textured outlines, move.
        twin: share in which an object is seen a second time elsewhere.
        crossing: share in which two or three copies of an object of another clip cross; only where they were tells
            which is which.
        halves: share of two clips in one picture, divided by a straight line.
        cut: share in which an object is cut in two, each part an object.
        plain: share of clips left as they are.
        second: chance that ``paste`` and ``photo`` put in two things.
        unlabelled: chance that a twin or a cut-out is not labelled, so that it only distracts or hides.
        behind: chance that what is put in passes behind the clip's own objects.
        leave: chance that what is pasted drifts out of the picture.
        hide: chance, whatever the way, that something glides over an object and covers it whole for a while.
    """

    paste: float = 0.42
    photo: float = 0.15
    twin: float = 0.1
    crossing: float = 0.08
    halves: float = 0.12
    cut: float = 0.08
    plain: float = 0.05
    second: float = 0.25
    unlabelled: float = 0.25
    behind: float = 0.4
    leave: float = 0.12
    hide: float = 0.2

    def way(self, rng: np.random.Generator) -> str:
        """Draw one of the seven ways."""
        ways = ("paste", "photo", "twin", "crossing", "halves", "cut", "plain")
        shares = np.array([getattr(self, way) for way in ways])
        return ways[rng.choice(len(ways), p=shares / shares.sum())]
