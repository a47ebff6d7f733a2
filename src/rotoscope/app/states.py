"""Moments along a clip that a run can go on from, each with the masks that led to it."""

from __future__ import annotations

import json
from collections.abc import Collection
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

    A state holds for a run if the masks given before it are the same now. Objects that are deleted may still be in it;
    their masks are left out when they are written.
    """

    def __init__(self, folder: Path, budget: int = BUDGET) -> None:
        self.folder = folder
        self.budget = budget

    def keep(self, state: RunState, method: str, first: int, prompts: Given) -> None:
        """Keep a state.

        Args:
            state: between two frames.
            method: name of the method and its weights.
            first: frame that the pass began with.
            prompts: masks of the project when the run began; those before the state's frame count.
        """
        facts, tensors = self._files(state.position)
        facts.unlink(missing_ok=True)  # from here to the end of this call there is no such state
        state.write(tensors, durable=False)  # waiting for the disk takes longer than a frame; what is cut is not read
        led = {str(f): {str(i): n for i, n in one.items()} for f, one in prompts.items() if first <= f < state.position}
        with atomic_write(facts, durable=False) as path:
            path.write_text(json.dumps({"method": method, "first": first, "given": led}), encoding="utf-8")
        self._thin()

    def nearest(self, start: int, method: str, first: int, prompts: Given, live: Collection[int]) -> RunState | None:
        """The state that is nearest to frame ``start``, at it or before, and holds; None if there is none.

        Args:
            start: frame to begin with.
            method: as it was kept.
            first: frame that a pass without a state would begin with.
            prompts: masks as they are now.
            live: objects that there are.
        """
        for position in sorted((p for p in self._positions() if first < p <= start), reverse=True):
            facts, tensors = self._files(position)
            led = _read(facts)
            if led.get("method") == method and led.get("first") == first and _same(led, prompts, position, live):
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


def _same(led: dict[str, Any], prompts: Given, position: int, live: Collection[int]) -> bool:
    """Whether the masks that led to a state are those given now, for the objects that there are."""

    def of_live(by_frame: Given) -> Given:
        kept = {f: {i: n for i, n in one.items() if i in live} for f, one in by_frame.items() if f < position}
        return {f: one for f, one in kept.items() if one}

    then = {int(f): {int(i): n for i, n in one.items()} for f, one in led["given"].items()}
    now = {f: one for f, one in prompts.items() if f >= int(led["first"])}
    return of_live(then) == of_live(now)
