"""A project and ``rotoscope segment --resume``: where the page stopped, the command line goes on, and the other way."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rotoscope.app.answers import Seen
from rotoscope.app.pictures import write_labels
from rotoscope.app.project import Project
from rotoscope.errors import InputError
from rotoscope.files import append_line, inside, remove, remove_tree
from rotoscope.masks.mattes import Delivery
from rotoscope.methods.base import Method
from rotoscope.runs.earlier import REPORT, WORK, Earlier, facts_of
from rotoscope.runs.folder import OutputFolder
from rotoscope.runs.job import Job, Outputs, code_of_masks
from rotoscope.runs.prompts import read_prompts
from rotoscope.runs.report import Report
from rotoscope.runs.state import RunState
from rotoscope.runs.watch import REASONS, UNSURE


def can_hand_over(project: Project, first: int, last: int, object_ids: Sequence[int]) -> bool:
    """Whether the masks of a project are those that the command line would have written up to a frame.

    They are where each frame was answered by a run forward from the first given one, since the last change before it,
    of all objects and no others, such as were deleted since; and where nothing was locked or ended.

    Args:
        project: whose masks.
        first: first frame that is given.
        last: last frame that was answered.
        object_ids: those that the run followed.
    """
    objects = project.history.objects
    plain = not any(one.locked or one.ends is not None for one in objects)
    gone = project.history.name_of(
        np.zeros(project.size[::-1], np.uint8)
    )  # a mask without a pixel, which files cannot give
    given = project.history.given
    plain = plain and not any(name == gone for one in given.values() for name in one.values())
    prompted = {i for frame, one in given.items() if frame <= last for i in one}
    return plain and prompted == set(object_ids) and project.answers.are_forward(first, last, project.history.by_id)


def hand_over(project: Project, model: Method, state: RunState) -> None:
    """Leave in ``masks/`` what an interrupted run of ``rotoscope segment`` would have left there.

    Args:
        project: whose masks are answered up to the state.
        model: that answered them.
        state: of the run; see :func:`can_hand_over`.
    """
    masks = project.folder / "masks"
    with project.lock:
        take_back(project)
        outputs = Outputs.of(masks)
        job = Job.of(project.part(0, None), str(project.folder / "prompts"), model, outputs=outputs)
        project.masks_guard.release()
        try:
            with OutputFolder.claim(job, overwrite=True) as folder:
                folder.begin()
                for index in range(state.position):
                    if not project.mask_file(index).exists():  # before the first that is given
                        write_labels(project.mask_file(index), np.zeros(project.size[::-1], np.uint8))
                names = (json.dumps(project.video.name_of(index)) for index in range(state.position))
                append_line(inside(masks, WORK, "written.txt"), "\n".join(names))
                folder.save(state)
        finally:
            project.masks_guard.acquire()


def take_back(project: Project) -> None:
    """Remove what was handed over; a run is about to write other masks."""
    with project.lock:
        remove(inside(project.folder / "masks", WORK, "identity.json"))
        remove_tree(inside(project.folder / "masks", WORK))
        remove(inside(project.folder / "masks", REPORT))


@dataclass(frozen=True)
class Finished:
    """A finished run of ``rotoscope segment``, as far as a project needs it.

    Attributes:
        folder: of its masks.
        names: by index of the frame, the name of its mask.
        report: what it said of itself.
        colours: ``#rrggbb`` by object, where the run was given them.
    """

    folder: Path
    names: dict[int, str]
    report: Report
    colours: dict[int, str]

    @classmethod
    def read(cls, folder: Path, project: Project) -> Finished:
        """Read what a run left.

        Raises:
            InputError: it has not finished, has no palette masks, is of another video, or its record is damaged.
        """
        earlier = Earlier(folder)
        if not earlier.finished:
            raise InputError(f"{folder.name}: holds no finished run. End it with rotoscope segment --resume.")
        if "palette" not in earlier.run.get("formats", ()):
            raise InputError(f"{folder.name}: the run wrote no palette masks. Run it again with --format palette.")
        report = Report.of_finished(earlier.finished.get("report") or {})
        if report.size != project.size:
            sizes = [f"{size[0]}x{size[1]}" for size in (report.size, project.size)]
            raise InputError(f"{folder.name}: is a run of frames of {sizes[0]}, but the clip has {sizes[1]}.")
        names = earlier.finished.get("masks") or []
        numbers = {name: project.video.number_of(name) for name in names}
        strange = [name for name, number in numbers.items() if number is None or number >= project.frames]
        if strange:
            raise InputError(f"{folder.name}: is a run of another clip; this one has no frame {strange[0]}.")
        ordered = {number: name for name, number in numbers.items() if number is not None}
        told = earlier.run.get("colours")
        by_id = {int(i): str(told[i]) for i in told if i.isdecimal()} if isinstance(told, dict) else {}
        return cls(folder, dict(sorted(ordered.items())), report, dict(Delivery.of(colours=by_id).colours))

    def seen(self, index: int, ids: dict[int, int], there: Collection[int]) -> Seen:
        """What the report says of a frame.

        The report tells which frames are unsure and which objects are gone, not how sure each mask is: that is the mean
        of its object, or just unsure.

        Args:
            index: of the frame.
            ids: those of the project by those of the run.
            there: all objects of the project.
        """
        confidence, look = {}, {}
        for theirs, ours in ids.items():
            by = self.report.look.get(theirs, {})
            look[ours] = [reason for reason in REASONS if index in by.get(reason, ())]
            mean = max(self.report.confidence.get(theirs, 1.0), UNSURE)
            gone = index in self.report.absent.get(theirs, ())
            confidence[ours] = 0.0 if gone else np.nextafter(UNSURE, 0) if "unsure" in look[ours] else mean
        return Seen({i: float(value) for i, value in confidence.items()}, {}, look, there)


def adopt(project: Project) -> int:
    """Take in what ``rotoscope segment --resume`` has written into ``masks/`` since; the number of frames.

    Nothing is taken in where the run was of other masks than those that are given now.
    """
    masks = project.folder / "masks"
    record = facts_of(inside(masks, REPORT))
    if not record or not project.prompted_frames():
        return 0
    finished = Finished.read(masks, project)
    if (record.get("run") or {}).get("masks") != code_of(project):
        return 0
    first = project.prompted_frames()[0]
    ids = {i: i for i in finished.report.objects}
    there, fresh = set(project.history.by_id), project.answers.fresh
    new = [i for i in finished.names if i >= first and not fresh[i]]
    for index in new:
        project.answers.add(index, finished.seen(index, ids, there), (first, index), project.history.tick)
    return len(new)


def code_of(project: Project) -> str:
    """What tells the masks given to a project from others, as a run's identity has it."""
    return code_of_masks(read_prompts(str(project.folder / "prompts"), project.part(0, None)))
