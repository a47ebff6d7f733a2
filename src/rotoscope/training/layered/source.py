"""Layered clips as a stage of training asks for them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.video_clips import VideoClips
from rotoscope.training.layered.planner import Planner
from rotoscope.training.layered.stock import Stock

READERS = 8
"""Threads that decode pictures; decoding holds no lock of Python's."""


class LayeredClips:
    """Steps of clips that are planned here and rendered on the device.

    Args:
        photographs: with masks, and textures.
        videos: annotated ones.
    """

    def __init__(self, photographs: Photographs | None, videos: Sequence[VideoClips]) -> None:
        self.photographs = photographs
        self.videos = tuple(videos)

    @functools.cached_property
    def stock(self) -> Stock:
        """All pictures, decoded at the first asking."""
        return Stock.read(self.photographs, self.videos, threads=READERS)

    @functools.cached_property
    def planner(self) -> Planner:
        """What draws the clips."""
        return Planner(self.stock)
