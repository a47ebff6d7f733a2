"""Synthetic clips that are wider than high: windows of square ones, so that nothing in them is stretched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rotoscope.datasets.compositing import CELL
from rotoscope.datasets.synthetic import Clip, SyntheticClips, visible_first

AGAIN = 1_000_003
"""Added to a clip's number where its window shows no object."""


class WideClips:
    """Windows of the full width of square clips, at a height drawn for each, and in whole cells of the networks.

    Args:
        clips: square clips.
        height: of the windows, a multiple of 16 and less than the clips' side.
    """

    def __init__(self, clips: SyntheticClips, height: int) -> None:
        self.clips = clips
        self.height = height

    def clip(self, index: int) -> Clip:
        """Make a clip; the same index gives the same clip."""
        whole = self.clips.clip(index)
        rng = np.random.default_rng((self.clips.seed, index, self.height))
        cells = self.height // CELL
        top = int(rng.integers(0, whole.places.shape[1] - cells + 1))
        rows = slice(CELL * top, CELL * top + self.height)
        config = self.clips.config
        kept = visible_first(whole.labels[:, rows], config.objects, max(24, (self.height // 24) ** 2))
        if kept is None:
            return self.clip(index + AGAIN)
        frames, places = np.ascontiguousarray(whole.frames[:, rows]), whole.places[:, top : top + cells]
        return replace(whole, frames=frames, labels=kept, places=np.ascontiguousarray(places))


def clips_of(clips: SyntheticClips, size: int, width: int) -> SyntheticClips | WideClips:
    """Clips as they are, or windows of them where they are wider than high.

    Args:
        clips: squares with the longer side.
        size: the height.
        width: 0 for squares.
    """
    return WideClips(clips, size) if width > size else clips
