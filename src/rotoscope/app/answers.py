"""What is known of each frame of a project: how sure its masks are, and whether they are older than an edit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.app.history import History
from rotoscope.app.journal import Journal
from rotoscope.runs.watch import MARGIN, REASONS, UNSURE, WHOLE, Shape, Watch

TIMES_TOO_LONG = 4
"""Lines per frame from which the file is written anew when it is opened."""


@dataclass(frozen=True)
class Seen:
    """What was found on a frame.

    Attributes:
        confidence: in [0, 1], of each object that was followed; 0 where it has no pixel.
        shapes: of those that have pixels.
        look: why it is worth a look, of :data:`~rotoscope.runs.watch.REASONS`, by object; nothing where it is not.
        there: objects that there were from when the answer was begun to when it was written, whether or not anything
            was known of them on the frame; None where that was not noted.
    """

    confidence: Mapping[int, float]
    shapes: Mapping[int, Shape] = field(default_factory=dict)
    look: Mapping[int, Collection[str]] = field(default_factory=dict)
    there: Collection[int] | None = None

    @property
    def bits(self) -> dict[int, int]:
        """The reasons of each object as bits, the first of :data:`~rotoscope.runs.watch.REASONS` the lowest."""
        return {i: sum(1 << REASONS.index(reason) for reason in found) for i, found in self.look.items() if found}


class Answers:
    """Which frames have been answered, with what confidence, and from which edits.

    An answer depends on the masks given in a span of frames: forwards on those up to it, backwards on those from it to
    where the pass began. It is stale once one of them was edited after the run that gave it had read them, and as long
    as it lacks an object: one that there is (again), was not there when the frame was answered, and is given so early
    that the answer would show it. An answer that followed an object which was deleted since is as good as it was.

    Args:
        path: a file that gets a line with each answer.
        frames: length of the video.
        history: objects and given masks, as they are at any time.
    """

    def __init__(self, path: Path, frames: int, history: History) -> None:
        self.frames = frames
        self.answered = np.zeros(frames, bool)
        self.confidence: dict[int, NDArray[np.float32]] = {}
        self.look: dict[int, dict[int, int]] = {}
        self.shapes: dict[int, dict[int, Shape]] = {}
        self._history = history
        self._edited = np.zeros(frames, bool)
        self._there: dict[int, NDArray[np.bool_]] = {}
        self._noted = np.zeros(frames, bool)
        self._span = np.zeros((frames, 2), np.int64)
        self._tick = np.zeros(frames, np.int64)
        self._journal = Journal(path, durable=False)
        self._edits: list[tuple[int, int]] = []
        for line in self._journal.records:
            if 0 <= line["i"] < frames:
                self._take(line["i"], _seen(line), (line["n"][0], line["n"][1]), line["t"])
        for frame, tick in history.edits:
            self.edited(frame, tick)
        if len(self._journal.records) > TIMES_TOO_LONG * frames:
            self._journal.replace(self._line(int(i)) for i in np.flatnonzero(self.answered))
        self._journal.records = []

    def add(self, index: int, seen: Seen, span: tuple[int, int], tick: int) -> None:
        """Note the answer of a frame whose masks are on disk.

        Args:
            index: of the frame.
            seen: what was found on it.
            span: first and last frame whose given masks the answer depends on.
            tick: number of the last edit that the run had read.
        """
        self._take(index, seen, span, tick)
        self._journal.append(self._line(index))

    def edited(self, frame: int, tick: int) -> None:
        """Note that masks given on a frame were changed, as the edit of number ``tick``."""
        self._edits.append((frame, tick))
        low, high = self._span.T
        self._edited |= self.answered & (low <= frame) & (frame <= high) & (self._tick < tick)

    def followed(self, index: int) -> set[int]:
        """The objects that the answer of a frame speaks of; none where there is no answer."""
        return {i for i, values in self.confidence.items() if not np.isnan(values[index])}

    def is_newer(self, index: int, tick: int) -> bool:
        """Whether a frame was answered by a run that had read the edit of number ``tick``."""
        return bool(self.answered[index] and self._tick[index] >= tick)

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """By frame, whether it was answered, and the answer is not stale."""
        return self.answered & ~self._edited & ~self._lacking()

    def are_forward(self, first: int, last: int, objects: Collection[int]) -> bool:
        """Whether passes forward from ``first`` answered all frames to ``last``, none is stale, and no other objects
        than these were followed on the way.
        """
        part = slice(first, last + 1)
        if any(not np.isnan(values[part]).all() for i, values in self.confidence.items() if i not in objects):
            return False
        spans = self._span[part] == np.stack([np.full(last + 1 - first, first), np.arange(first, last + 1)], axis=1)
        return bool(self.fresh[part].all() and spans.all())

    def first_open(self, start: int, stop: int | None = None) -> int | None:
        """The first frame from ``start`` on, and before ``stop``, that no answer or a stale one is for."""
        open_ = ~self.fresh[start:stop]
        return start + int(open_.argmax()) if open_.any() else None

    def codes(self, object_id: int, prompted: list[int], ends: int | None) -> str:
        """One letter a frame: ``g`` given, ``s`` sure, ``u`` unsure, ``a`` absent, ``.`` not known."""
        letters = np.full(self.frames, ord("."), np.uint8)
        known = self.confidence.get(object_id)
        if known is not None:
            letters[known >= UNSURE] = ord("s")
            letters[known < UNSURE] = ord("u")
            letters[list(self.look.get(object_id, ()))] = ord("u")
            letters[known == 0] = ord("a")
        letters[prompted] = ord("g")
        if ends is not None:
            letters[ends:] = ord("a")
        return letters.tobytes().decode()

    def weakest(self, object_id: int, prompted: Collection[int]) -> tuple[float, int] | None:
        """The frame whose mask of an object is nearest to being worth a look, behind how far it is from that.

        How sure it is, how much the object is more probable than the next best, and the share of the largest part are
        measured from the limits of :class:`~rotoscope.runs.watch.Watch` (0) to perfect (1); the least of them counts.

        Args:
            object_id: which.
            prompted: frames on which its mask was given; they do not count.

        Returns: distance and index; None where no mask was found.
        """
        rest: list[tuple[float, int]] = []
        for index, shapes in self.shapes.items():
            shape = shapes.get(object_id)
            if shape is not None and index not in prompted:
                values = (float(self.confidence[object_id][index]), shape.margin, shape.whole)
                limits = (UNSURE, MARGIN, WHOLE)
                distances = ((v - limit) / (1 - limit) for v, limit in zip(values, limits, strict=True))
                rest.append((min(distances), index))
        return min(rest, default=None)

    def watch(self, first: int, step: int, prompted: Mapping[int, Collection[int]]) -> Watch:
        """What a watch knows that has seen all answers before frame ``first`` of a pass that goes by ``step``.

        Args:
            first: the frame that the pass goes on with.
            step: 1 forwards, -1 backwards.
            prompted: objects given on a frame, by frame.
        """
        watch = Watch(before=dict(self.shapes.get(first - step, {})))
        passed = sorted(i for i in self.shapes if (first - i) * step > 0)
        for index in passed[::step]:
            for object_id, shape in self.shapes[index].items():
                if object_id in prompted.get(index, ()) or object_id not in watch.whole:
                    watch.whole[object_id] = shape.whole
        return watch

    def close(self) -> None:
        """Let go of the file."""
        self._journal.close()

    def _lacking(self) -> NDArray[np.bool_]:
        """By frame, whether its answer lacks an object that there is."""
        lacking = np.zeros(self.frames, bool)
        for object_id in self._history.by_id:
            without = self._noted & ~self._there.get(object_id, np.zeros(self.frames, bool))
            given = self._history.frames_of(object_id) if without.any() else []
            if given:
                lacking |= without & (self._span[:, 1] >= min(given))
        return lacking

    def _take(self, index: int, seen: Seen, span: tuple[int, int], tick: int) -> None:
        for values in self.confidence.values():
            values[index] = np.nan
        for looks in self.look.values():
            looks.pop(index, None)
        for object_id, bits in seen.bits.items():
            self.look.setdefault(object_id, {})[index] = bits
        self.shapes[index] = dict(seen.shapes)
        for object_id, value in seen.confidence.items():
            if object_id not in self.confidence:
                self.confidence[object_id] = np.full(self.frames, np.nan, np.float32)
            self.confidence[object_id][index] = value
        for there in self._there.values():
            there[index] = False
        for object_id in seen.there or ():
            self._there.setdefault(object_id, np.zeros(self.frames, bool))[index] = True
        self._noted[index] = seen.there is not None
        self.answered[index] = True
        self._span[index], self._tick[index] = span, tick
        later = (frame for frame, number in reversed(self._edits) if number > tick)
        self._edited[index] = any(span[0] <= frame <= span[1] for frame in later)

    def _line(self, index: int) -> dict[str, object]:
        confidence = {str(i): round(float(v[index]), 4) for i, v in self.confidence.items() if not np.isnan(v[index])}
        line = {"i": index, "c": confidence, "n": self._span[index].tolist(), "t": int(self._tick[index])}
        shapes = {str(i): [round(v, 4) for v in astuple(shape)] for i, shape in self.shapes.get(index, {}).items()}
        look = {str(i): looks[index] for i, looks in self.look.items() if index in looks}
        there = [i for i, frames in self._there.items() if frames[index]]
        return {**line, "s": shapes, "w": look, **({"o": there} if self._noted[index] else {})}


def _seen(line: Mapping[str, Any]) -> Seen:
    """What a line says was found; lines of earlier versions say less."""
    confidence = {int(i): float(value) for i, value in line["c"].items()}
    shapes = {int(i): Shape(int(values[0]), *values[1:]) for i, values in line.get("s", {}).items()}
    look = {int(i): [r for n, r in enumerate(REASONS) if bits >> n & 1] for i, bits in line.get("w", {}).items()}
    return Seen(confidence, shapes, look, line.get("o"))
