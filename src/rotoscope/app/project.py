"""A project: a video, its objects, the masks given and found, and all that was done, in a folder."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from rotoscope.app.answers import Answers
from rotoscope.app.facts import open_source, read_facts, video_facts, write_facts
from rotoscope.app.history import History, TrackedObject
from rotoscope.app.journal import Record
from rotoscope.app.pictures import Mask, read_grey
from rotoscope.errors import InputError
from rotoscope.files import drop_half_written, inside, make_folder, remove_tree
from rotoscope.runs.lock import FolderLock
from rotoscope.video import Frame, Video

COLOURS = ("#3f8efc", "#e84393", "#2fbf71", "#9b6dff", "#18b8c9", "#e5484d", "#8bc34a", "#c98a5e", "#6f7bf7", "#d05ce3")
"""On the page: apart from each other, bright, and none like the amber of what is worth a look."""
MOST_OBJECTS = 254
"""Ids fit in 8 bits, and 255 reads as unknown to others."""


class Project:
    """What a person works on; every change is on disk when the call that makes it returns.

    In the folder: ``project.json`` (which video), ``history.jsonl`` and ``history/`` (what was done), ``prompts/ID/``
    (the masks given, as ``rotoscope segment --mask`` reads them), ``masks/`` (labels of every frame so far),
    ``soft/ID/`` (their probabilities), ``answers.jsonl`` (how sure they are), ``states/`` (from where runs can go on)
    and ``exports/``.

    Args:
        folder: of the project, made by :meth:`create`.
        video: the video that it is of.

    Raises:
        InputError: it is open elsewhere, damaged, of another version, or of another video.
    """

    def __init__(self, folder: Path, video: Video) -> None:
        self.folder = folder
        self.video = video
        self.frames = len(video)
        self.size = video.size
        self.lock = threading.RLock()
        self._check(read_facts(folder))
        with ExitStack() as held:  # what fails here leaves nothing locked
            self.guard = held.enter_context(FolderLock(folder))
            # The second keeps rotoscope segment --resume out.
            self.masks_guard = held.enter_context(FolderLock(make_folder(folder / "masks")))
            self.history = held.enter_context(closing(History(folder, self.size)))
            self.answers = held.enter_context(closing(Answers(folder / "answers.jsonl", self.frames, self.history)))
            for part in ("masks", "prompts", "soft", "states", "exports"):
                drop_half_written(make_folder(folder / part))
            self._catch_up()
            self._held = held.pop_all()

    @classmethod
    def create(cls, folder: Path, source: Path, video: Video) -> Project:
        """Begin a project in a folder that is not there yet, or empty."""
        write_facts(folder, source, video)
        return cls(folder, video)

    def close(self) -> None:
        """Let go of files, video and lock."""
        with self.lock:
            self._held.close()

    # Reading.

    def frame(self, index: int) -> Frame:
        """A frame as the network sees it."""
        self.check_index(index)
        return self.video[index]

    def part(self, start: int, end: int | None) -> Video:
        """The same video for another thread, of which only frames from ``start`` to before ``end`` are read."""
        video = copy.copy(self.video)
        video.start, video.end, video.problems = start, end, []
        return video

    def labels(self, index: int) -> Mask:
        """Ids ``[H, W]`` of the objects that there are on a frame; 0 where nothing is, or nothing is known."""
        self.check_index(index)
        with self.lock:
            stored = self._stored(index)
            if stored is None:
                return np.zeros(self.size[::-1], np.uint8)
            table = np.zeros(256, np.uint8)
            for one in self.history.objects:
                if one.ends is None or index < one.ends:
                    table[one.id] = one.id
            return table[stored]

    def mask(self, index: int, object_id: int) -> Mask:
        """One object on a frame, 0 to 255 ``[H, W]``, with soft edges where they are known."""
        self.check_index(index)
        with self.lock:
            name = self.history.prompts.get(index, {}).get(object_id)
            if name is not None:
                return self.history.read(name)
            own = self.labels(index) == object_id
            path = self.soft_file(index, object_id)
            if not own.any() or not path.exists():
                return own.astype(np.uint8) * 255
            soft = read_grey(path, self.size)
            return np.where(own, np.maximum(soft, 128), np.minimum(soft, 127))

    def prompted_masks(self, index: int) -> dict[int, Mask]:
        """The masks given on a frame for objects that there are, 0 to 255, by object."""
        with self.lock:
            known = self.history.by_id
            return {i: self.history.read(n) for i, n in self.history.prompts.get(index, {}).items() if i in known}

    def prompted_frames(self) -> list[int]:
        """Frames on which a mask is given for an object that there is, in order."""
        return sorted(self.history.given)

    def mask_file(self, index: int) -> Path:
        """Where the labels of a frame are."""
        return self.folder / "masks" / f"{self.video.name_of(index)}.png"

    def soft_file(self, index: int, object_id: int) -> Path:
        """Where the probabilities of an object on a frame are."""
        return self.folder / "soft" / str(object_id) / f"{self.video.name_of(index)}.png"

    def check_index(self, index: int) -> None:
        """Refuse a frame that there is not.

        Raises:
            InputError: with those that there are.
        """
        if not 0 <= index < self.frames:
            raise InputError(f"there is no frame {index}; frames go from 0 to {self.frames - 1}.")

    # Changing.

    def add_object(self, name: str = "", colour: str = "") -> TrackedObject:
        """A new object; of a name and a colour of its own unless they are given.

        Raises:
            InputError: there have been as many as ids.
        """
        with self.lock:
            number = self.history.next_id
            if number > MOST_OBJECTS:
                raise InputError(
                    f"this project has had {MOST_OBJECTS} objects, and no more have a place. Start another."
                )
            colour = colour or COLOURS[(number - 1) % len(COLOURS)]
            one = TrackedObject(number, name or f"object {number}", colour)
            self.history.change_objects((*self.history.objects, one))
            return one

    def change_object(self, object_id: int, **changes: Any) -> TrackedObject:
        """Change name, colour, lock or hiding of an object, or (this alone can be undone) its end."""
        with self.lock:
            changed = dataclasses.replace(self.object(object_id, to_change="ends" in changes), **changes)
            if "ends" in changes:
                others = (changed if one.id == object_id else one for one in self.history.objects)
                self.history.change_objects(tuple(others))
            if set(changes) - {"ends"}:
                self.history.look(changed)
            return changed

    def remove_object(self, object_id: int) -> None:
        """Take an object away from all frames; undoing brings it back."""
        with self.lock:
            gone = self.object(object_id, to_change=True)
            left = tuple(one for one in self.history.objects if one != gone)
            self._done(self.history.change_objects(left), 1)

    def object(self, object_id: int, to_change: bool = False) -> TrackedObject:
        """An object by id.

        Raises:
            InputError: there is none, or it is to be changed and is locked.
        """
        known = self.history.by_id
        if object_id not in known:
            raise InputError(f"there is no object {object_id}. It may have been deleted; undo brings it back.")
        if to_change and known[object_id].locked:
            raise InputError(f"{known[object_id].name} is locked. Unlock it to change it.")
        return known[object_id]

    def edit(self, index: int, masks: Mapping[int, Mask | None]) -> Mask:
        """Give objects' masks on a frame, or take given ones back; return the frame's labels.

        Pixels of locked objects stay theirs; those of others go to the one given last.

        Args:
            index: of the frame.
            masks: 0 to 255 ``[H, W]`` by object; all 0 says that the object is not there. None takes what was given
                back, and leaves the labels to the next run.

        Raises:
            InputError: no such frame or object, a locked object, or a mask of another size.
        """
        self.check_index(index)
        with self.lock:
            for object_id, mask in masks.items():
                self.object(object_id, to_change=True)
                if mask is not None and mask.shape != self.size[::-1]:
                    raise InputError(f"a mask of {mask.shape[1]}x{mask.shape[0]} for a video of {self.size}.")
            before = self._stored(index)
            labels = self.labels(index)
            closed = np.isin(labels, [one.id for one in self.history.objects if one.locked])
            prompts: dict[int, list[str | None]] = {}
            for object_id, mask in masks.items():
                if mask is not None:
                    own = np.where(closed, 0, mask).astype(np.uint8)
                    self._take_from_others(index, object_id, own > 127, prompts)
                    labels[labels == object_id] = 0
                    labels[own > 127] = object_id
                    self._set_prompt(index, object_id, self.history.keep(own), prompts)
                else:
                    self._set_prompt(index, object_id, None, prompts)
            names = [None if before is None else self.history.keep(before, True), self.history.keep(labels, True)]
            self._done(self.history.edit(index, prompts, names), 1)
            return labels

    def undo(self) -> Record | None:
        """Take the last change back and return it; None if there is none."""
        with self.lock:
            record = self.history.undo()
            return self._done(record, 0) if record is not None else None

    def redo(self) -> Record | None:
        """Bring back what was undone last and return it; None if there is nothing."""
        with self.lock:
            record = self.history.redo()
            return self._done(record, 1) if record is not None else None

    def _catch_up(self) -> None:
        """Bring out the last edit, in case the process was killed between its line and its files."""
        if self.history.last is None:
            return
        record, side = self.history.last
        if record["do"] != "edit" or not self.answers.is_newer(int(record["frame"]), self.history.edits[-1][1]):
            self._bring_out(record, side)

    def _done(self, record: Record, side: int) -> Record:
        self._bring_out(record, side)
        if record["do"] == "edit":
            self.answers.edited(int(record["frame"]), self.history.tick)
        return record

    def _take_from_others(self, index: int, taker: int, own: Any, prompts: dict[int, list[str | None]]) -> None:
        """Take pixels from the given masks of others, so that a run sees each pixel given once."""
        for other, name in list(self.history.prompts.get(index, {}).items()):
            known = self.history.by_id.get(other)
            if other == taker or known is None or known.locked:
                continue
            current = prompts[other][1] if other in prompts else name
            mask = self.history.read(current) if current is not None else None
            if mask is not None and mask[own].any():
                mask[own] = 0
                self._set_prompt(index, other, self.history.keep(mask), prompts)

    def _set_prompt(self, index: int, object_id: int, name: str | None, prompts: dict[int, list[str | None]]) -> None:
        before = self.history.prompts.get(index, {}).get(object_id)
        prompts[object_id] = [before, name]

    def _bring_out(self, record: Record, side: int) -> None:
        """Write the files of a frame as an edit has them; doing it twice does nothing more."""
        if record["do"] != "edit":
            self._bring_out_objects(record, side)
            return
        index = int(record["frame"])
        name = self.video.name_of(index)
        for object_id, change in record["prompts"].items():
            path = self.folder / "prompts" / object_id / f"{name}.png"
            if change[side] is None:
                path.unlink(missing_ok=True)
            else:
                self.history.bring(change[side], make_folder(path.parent) / path.name)
        if record["labels"][side] is None:
            self.mask_file(index).unlink(missing_ok=True)
        else:
            self.history.bring(record["labels"][side], self.mask_file(index), labels=True)

    def _bring_out_objects(self, record: Record, side: int) -> None:
        """Take the given masks of objects that are gone away, for a run of the command line, and bring others back."""
        there, others = ({int(one["id"]) for one in record["objects"][n]} for n in (side, 1 - side))
        for object_id in others - there:
            remove_tree(inside(self.folder, "prompts", str(object_id)))
        for frame, masks in self.history.prompts.items():
            for object_id in (there - others) & set(masks):
                path = make_folder(self.folder / "prompts" / str(object_id)) / f"{self.video.name_of(frame)}.png"
                self.history.bring(masks[object_id], path)

    def _stored(self, index: int) -> Mask | None:
        """Labels of a frame as they are on disk; None if there are none."""
        path = self.mask_file(index)
        return read_grey(path, self.size) if path.exists() else None

    def _check(self, facts: Mapping[str, Any]) -> None:
        there = video_facts(self.video)
        differing = [name for name in there if facts["video"].get(name) != there[name]]
        if differing:
            raise InputError(f"{self.folder}: is of another video; it differs in {', '.join(differing)}.")


def open_project(folder: Path) -> Project:
    """Open a project, and the video that it says.

    Raises:
        InputError: either cannot be opened.
    """
    return Project(folder, open_source(folder))
