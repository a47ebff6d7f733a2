"""Moments along a clip that a run can go on from, each with the masks that led to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError
from rotoscope.files import atomic_write
from rotoscope.runs.state import RunState

EVERY = 10
"""Frames between states; a correction between two repeats at most nine frames before it."""
BUDGET = 512 << 20
"""Bytes that the states of a project may take; beyond it, those whose neighbours are nearest go first."""

Given = dict[int, dict[int, str]]
"""Names of given masks by object, by frame."""


class States:
    """States of forward passes, by the frame that they go on with.

    A state holds for a run if the masks that led to it are those given before it now. One that follows an object that
    was deleted does not: the object would go on keeping pixels from others.
    """

    def __init__(self, folder: Path, budget: int = BUDGET) -> None:
        self.folder = folder
        self.budget = budget

    def keep(self, state: RunState, method: str, first: int, given: Given) -> None:
        """Keep a state.

        Args:
            state: between two frames.
            method: name of the method and its weights.
            first: frame that the pass began with.
            given: masks that the run began with, of objects that there were; those before the state's frame count.
        """
        facts, tensors = self._files(state.position)
        facts.unlink(missing_ok=True)  # from here to the end of this call there is no such state
        state.write(tensors, durable=False)  # waiting for the disk takes longer than a frame; what is cut is not read
        with atomic_write(facts, durable=False) as path:
            path.write_text(json.dumps(_told(method, first, state.position, given)), encoding="utf-8")
        self._thin()

    def nearest(self, start: int, method: str, first: int, given: Given) -> RunState | None:
        """The state that is nearest to frame ``start``, at it or before, and holds; None if there is none.

        Args:
            start: frame to begin with.
            method: as it was kept.
            first: frame that a pass without a state would begin with.
            given: masks as they are now, of objects that there are.
        """
        for position in sorted((p for p in self._positions() if first < p <= start), reverse=True):
            facts, tensors = self._files(position)
            if _read(facts) == _told(method, first, position, given):
                try:
                    return RunState.read(tensors)
                except InputError:
                    facts.unlink(missing_ok=True)  # cut short by a power cut, or of an older version
        return None

    def _positions(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json"))

    def _files(self, position: int) -> tuple[Path, Path]:
        return self.folder / f"{position:08d}.json", self.folder / f"{position:08d}.safetensors"

    def _thin(self) -> None:
        places = self._positions()
        sizes = {place: self._files(place)[1].stat().st_size for place in places}
        while sum(sizes.values()) > self.budget and len(places) > 2:
            gaps = {place: places[n + 2] - places[n] for n, place in enumerate(places[1:-1])}
            nearest = min(gaps, key=lambda place: (gaps[place], place))
            for path in self._files(nearest):
                path.unlink()
            places.remove(nearest)
            del sizes[nearest]


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}  # a file that is not whole is no state


def _told(method: str, first: int, position: int, given: Given) -> dict[str, Any]:
    """What a state's file says of it.

    The masks are called ``followed``: until they were, those of deleted objects were among them.
    """
    led = {str(f): {str(i): name for i, name in one.items()} for f, one in given.items() if first <= f < position}
    return {"method": method, "first": first, "followed": led}
