"""The edits of a project, and the way back through them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rotoscope.app.cache import ByteCache
from rotoscope.app.facts import HISTORY
from rotoscope.app.journal import Journal, Record
from rotoscope.app.pictures import Mask, read_grey, write_labels, write_mask
from rotoscope.errors import InputError
from rotoscope.files import atomic_write, make_folder

LABELS = "-labels"
"""Ends the names of labels, which are kept as palette PNG; masks are grey."""
READ_BUDGET = 24 << 20
"""Bytes of masks that stay at hand."""


@dataclass(frozen=True)
class TrackedObject:
    """An object that a person follows through a clip.

    Attributes:
        id: 1 to 254; never given twice in a project.
        name: what the person calls it.
        colour: on the page and in exported overlays, ``#rrggbb``.
        locked: whether no brush, no other object and no run changes it.
        hidden: whether the page leaves it out.
        ends: index of the first frame that it is gone from for good; None while it stays.
    """

    id: int
    name: str
    colour: str
    locked: bool = False
    hidden: bool = False
    ends: int | None = None


class History:
    """Objects and given masks, as a journal of edits tells them.

    Masks are kept once each, in files named after what is in them; an edit holds the names before and after, so that
    undoing is an edit like others and nothing that was painted is ever lost.

    Args:
        folder: of the project.
        size: width and height of the video.

    Attributes:
        objects: those that there are, in order.
        prompts: name of the mask by object, by frame.
        done: edits that count, in order.
        undone: edits taken back, the last first to come again.
        edits: frame and tick of every change of given masks, undoing counted too.
        tick: number of the last line.
        last: the edit that the last line is about, and whether what it holds before (0) or after (1) it counts now.
        next_id: id that the next object gets.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.size = size
        self.objects: tuple[TrackedObject, ...] = ()
        self.prompts: dict[int, dict[int, str]] = {}
        self.done: list[Record] = []
        self.undone: list[Record] = []
        self.edits: list[tuple[int, int]] = []
        self.tick = 0
        self.last: tuple[Record, int] | None = None
        self.next_id = 1
        self._folder = make_folder(folder / "history")
        self._read: ByteCache[Mask] = ByteCache(READ_BUDGET, lambda mask: mask.nbytes)
        self._journal = Journal(folder / HISTORY, durable=True)
        for record in self._journal.records:
            self._follow(record)
        self._journal.records = []

    @property
    def by_id(self) -> dict[int, TrackedObject]:
        """The objects by id."""
        return {one.id: one for one in self.objects}

    @property
    def given(self) -> dict[int, dict[int, str]]:
        """Of the prompts those that a run follows: of objects that there are, on frames where any is given."""
        known = self.by_id
        kept = {f: {i: name for i, name in one.items() if i in known} for f, one in self.prompts.items()}
        return {frame: one for frame, one in kept.items() if one}

    def frames_of(self, object_id: int) -> list[int]:
        """Frames on which a mask of an object is given."""
        return [frame for frame, one in self.prompts.items() if object_id in one]

    @staticmethod
    def name_of(mask: Mask) -> str:
        """What a mask is kept as: another name for each other mask."""
        return hashlib.sha256(mask.tobytes()).hexdigest()[:20]

    def keep(self, mask: Mask, labels: bool = False) -> str:
        """Keep a mask, or labels of all objects; return the name to ask for it by."""
        name = self.name_of(mask) + (LABELS if labels else "")
        path = self._folder / f"{name}.png"
        if not path.exists():
            (write_labels if labels else write_mask)(path, mask)
        self._read.get(name, lambda: mask.copy())
        return name

    def read(self, name: str) -> Mask:
        """A mask that was kept."""
        return self._read.get(name, lambda: read_grey(self._folder / f"{name}.png", self.size)).copy()

    def bring(self, name: str, path: Path, labels: bool = False) -> None:
        """Put what was kept in a file, whole or not at all."""
        if labels and not name.endswith(LABELS):  # kept by an earlier version, which had one form for both
            write_labels(path, self.read(name))
            return
        with atomic_write(path, durable=False) as temporary:
            shutil.copyfile(self._folder / f"{name}.png", temporary)

    def edit(self, frame: int, prompts: dict[int, list[str | None]], labels: list[str | None]) -> Record:
        """Change given masks of a frame.

        Args:
            frame: its index.
            prompts: names of the mask before and after, by object; None for none.
            labels: names of the frame's labels before and after.
        """
        record: Record = {"do": "edit", "frame": frame, "labels": labels}
        record["prompts"] = {str(object_id): change for object_id, change in prompts.items()}
        return self._write(record)

    def change_objects(self, objects: tuple[TrackedObject, ...]) -> Record:
        """Make other objects of those that there are."""
        before = [asdict(one) for one in self.objects]
        return self._write({"do": "objects", "objects": [before, [asdict(one) for one in objects]]})

    def look(self, one: TrackedObject) -> Record:
        """Change how an object looks: name, colour, lock, hiding. It is kept, but undoing passes over it."""
        return self._write({"do": "look", "object": asdict(one)})

    def undo(self) -> Record | None:
        """Take the last edit back and return it; None if there is none."""
        return self._turned("undo", self.done)

    def redo(self) -> Record | None:
        """Bring the edit taken back last again and return it; None if there is none."""
        return self._turned("redo", self.undone)

    def close(self) -> None:
        """Let go of the file."""
        self._journal.close()

    def _turned(self, way: str, stack: list[Record]) -> Record | None:
        if not stack:
            return None
        record = stack[-1]
        self._write({"do": way})
        return record

    def _write(self, record: Record) -> Record:
        self._journal.append(record)
        self._follow(record)
        return record

    def _follow(self, record: Record) -> None:
        """Do what a line of the journal says."""
        self.tick += 1
        way = record["do"]
        if way == "undo":
            record = self.done.pop()
            self.undone.append(record)
        elif way == "redo":
            record = self.undone.pop()
            self.done.append(record)
        elif way in ("edit", "objects"):
            self.done.append(record)
            self.undone.clear()
        elif way == "look":
            new = TrackedObject(**record["object"])
            self.objects = tuple(new if one.id == new.id else one for one in self.objects)
            return
        else:
            raise InputError(f"{self._journal.path}: says {way!r}, which this version does not know. Update Rotoscope.")
        self.last = (record, 0 if way == "undo" else 1)
        self._set(*self.last)

    def _set(self, record: Record, side: int) -> None:
        """Take what a record holds before (0) or after (1) it."""
        if record["do"] == "objects":
            looks = self.by_id
            there = [TrackedObject(**one) for one in record["objects"][side]]
            self.objects = tuple(replace(looks.get(one.id, one), ends=one.ends) for one in there)
            self.next_id = max([self.next_id, *(one.id + 1 for one in self.objects)])
            return
        frame = int(record["frame"])
        self.edits.append((frame, self.tick))
        for object_id, change in record["prompts"].items():
            on_frame = self.prompts.setdefault(frame, {})
            on_frame.pop(int(object_id), None)
            if change[side] is not None:
                on_frame[int(object_id)] = change[side]
            if not on_frame:
                del self.prompts[frame]


def as_json(one: TrackedObject) -> dict[str, Any]:
    """An object as the page gets it."""
    return asdict(one)
