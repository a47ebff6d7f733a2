"""Masks from elsewhere, taken into a project: given ones, and those of a finished run of ``rotoscope segment``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rotoscope.app.handover import Finished
from rotoscope.app.pictures import Mask, read_grey, write_labels
from rotoscope.app.project import MOST_OBJECTS, Project
from rotoscope.errors import InputError
from rotoscope.files import atomic_write, make_folder
from rotoscope.runs.prompts import read_prompts

SETS = "Annotations"
"""Folder of data sets such as DAVIS and YouTube-VOS that holds a folder of masks for each clip."""


def take_masks(
    project: Project, path: Path, index: int, resize: bool = False
) -> tuple[list[int], list[str], list[str]]:
    """Give a project the masks of a file or folder.

    Args:
        project: gets them; objects that it does not know are made.
        path: of anything that ``rotoscope check`` takes for masks.
        index: of the frame that they are of, where they do not say it themselves.
        resize: bring masks of another size to the clip's.

    Returns: the frames that they are of; names of the objects; and what was decided in reading them, one line each.

    Raises:
        InputError: they cannot be read, or do not fit.
    """
    project.check_index(index)
    notes: list[str] = []
    prompts = read_prompts({index: path}, project.part(0, None), resize, notes)
    with project.lock:
        ids = objects_for(project, sorted({object_id for masks in prompts.values() for object_id in masks}))
        for frame, masks in prompts.items():
            project.edit(frame, {ids[i]: as_grey(mask) for i, mask in masks.items()})
        names = [project.object(i).name for i in ids.values()]
    return sorted(prompts), names, notes


def masks_of_set(folder: Path, project: Project) -> Path:
    """The masks of a project's clip in a data set laid out as YouTube-VOS is: ``Annotations/CLIP/FRAME.png``.

    Raises:
        InputError: there are none of that clip.
    """
    path = folder / SETS / project.video.name
    if not path.is_dir():
        names = sorted(p.name for p in (folder / SETS).iterdir() if p.is_dir())
        some = ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
        raise InputError(f"{folder.name}: has no masks of a clip named {project.video.name}, but of {some}.")
    return path


class Taking:
    """A finished run of ``rotoscope segment`` as the answers of a project.

    The mask of each object's first frame becomes a given one, so that runs can go on from it. Objects that are locked
    stay. As after a run, undoing does not bring back what was there before.

    Args:
        project: gets the masks.
        folder: of the run.

    Raises:
        InputError: there is no such run in it, or it is of another clip.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.run = Finished.read(folder, project)
        if not self.run.names:
            raise InputError(f"{folder.name}: the run wrote no mask.")
        too_high = [i for i in self.run.report.objects if i > MOST_OBJECTS]
        if too_high:
            raise InputError(f"{folder.name}: has an object {too_high[0]}, but ids of a project go to {MOST_OBJECTS}.")

    @property
    def steps(self) -> int:
        """How many frames are gone through."""
        return len(self.run.names)

    def go(self, tell: Callable[[int], None], stopped: Callable[[], bool]) -> int:
        """Do it; ``tell`` is told how many frames are done. Return their number."""
        project, first = self.project, next(iter(self.run.names))
        ids = objects_for(project, self.run.report.objects, self.run.colours)
        table = np.zeros(256, np.uint8)
        table[list(ids)] = list(ids.values())
        begun: set[int] = set()
        for done, (index, name) in enumerate(self.run.names.items(), 1):
            if stopped():
                return done - 1
            labels = table[read_grey(self.run.folder / f"{name}.png", project.size)]
            with project.lock:
                self._put(index, labels, name, ids)
                new = {int(i) for i in np.unique(labels) if i} - begun
                open_ = {i for i in new if not project.object(i).locked}
                if open_:
                    project.edit(index, {i: (labels == i).astype(np.uint8) * 255 for i in open_})
                begun |= new
                seen = self.run.seen(index, ids, set(project.history.by_id))
                project.answers.add(index, seen, (first, index), project.history.tick)
            tell(done)
        return self.steps

    def _put(self, index: int, labels: Mask, name: str, ids: dict[int, int]) -> None:
        """Write a frame's labels, and the soft masks that the run has of it."""
        project = self.project
        locked = [one.id for one in project.history.objects if one.locked]
        if locked:
            before = project.labels(index)
            labels = np.where(np.isin(before, locked), before, np.where(np.isin(labels, locked), 0, labels))
        write_labels(project.mask_file(index), labels.astype(np.uint8))
        for theirs, ours in ids.items():
            soft = self.run.folder / "soft" / str(theirs) / f"{name}.png"
            target = project.soft_file(index, ours)
            if not soft.exists() or ours in locked:
                continue
            make_folder(target.parent)
            with atomic_write(target, durable=False) as temporary:
                shutil.copyfile(soft, temporary)


def objects_for(project: Project, ids: Collection[int], colours: Mapping[int, str] | None = None) -> dict[int, int]:
    """Objects of a project by the ids that masks have: those of the same ids, or new ones, of the colours given."""
    known, chosen = set(project.history.by_id), colours or {}
    return {i: i if i in known else project.add_object(f"object {i}", chosen.get(i, "")).id for i in sorted(ids)}


def as_grey(mask: Any) -> Mask:
    """A mask as prompts hold it, as 0 to 255."""
    array = np.asarray(mask)
    return array.astype(np.uint8) * 255 if array.dtype == bool else np.round(array * 255).clip(0, 255).astype(np.uint8)
