"""An output folder: whose it is, what an earlier run left in it, what this one writes beside the masks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.files import (
    append_line,
    atomic_write,
    drop_half_written,
    inside,
    make_folder,
    remove,
    remove_tree,
    rename,
    text_of,
)
from rotoscope.masks.saving import Segmented
from rotoscope.masks.writing import FORMATS
from rotoscope.runs.deliver import video_files
from rotoscope.runs.earlier import BY_OBJECT, NEW, OLD, REPORT, WORK, Earlier, object_folders
from rotoscope.runs.job import Job, Outputs
from rotoscope.runs.lock import FolderLock
from rotoscope.runs.points import FOLDER as POINTS
from rotoscope.runs.state import RunState, check_version


class OutputFolder:
    """The folder that a run writes to, claimed for it; see :meth:`claim`.

    Only files are dealt with here, no frames and no masks. Nothing of an earlier run goes before :meth:`begin`.

    Attributes:
        path: the folder.
        finished: the report of the run to resume, if it had finished already; then nothing is left to do.
    """

    def __init__(self, outputs: Outputs, identity: dict[str, Any], lock: FolderLock) -> None:
        self.path = outputs.folder
        self.finished: dict[str, Any] | None = None
        self._identity = identity
        self._lock = lock
        self._resuming = False
        self._report = inside(self.path, REPORT)
        self._work = inside(self.path, WORK)

    @classmethod
    @contextmanager
    def claim(cls, job: Job, *, resume: bool = False, overwrite: bool = False) -> Iterator[OutputFolder]:
        """Lock the folder that a job writes to, for as long as the ``with`` block runs, and look at what it holds.

        Args:
            job: what is to be written there; it has outputs.
            resume: go on with an interrupted run of the same identity.
            overwrite: start again, whatever run was there.

        Raises:
            InputError: another run is writing to it, it holds another run, or one that was not asked to go on.
        """
        assert job.outputs is not None
        identity = job.identity()
        with FolderLock(make_folder(job.outputs.folder)) as lock:
            folder = cls(job.outputs, identity, lock)
            folder._look(resume, overwrite)
            yield folder

    def state(self) -> RunState | None:
        """How far the run to resume had come; None to start.

        Raises:
            InputError: the saved state is damaged, or of another version.
        """
        return RunState.read(self._in_work("state.safetensors")) if self._resuming else None

    def begin(self) -> None:
        """Make room for this run's masks: from here on the folder is its own.

        Half-written files of a killed run go, and, unless that run is resumed, all that it wrote. Its palette masks
        wait to the end: a corrected one may be this run's prompt. A kill on the way leaves either the earlier run as it
        was, or this one begun, which goes on with the clearing when it is resumed.
        """
        if not self._resuming:
            self._take_over()
        self._sweep()
        self._clear()

    def renew(self) -> None:
        """Say that the run is alive; see :meth:`~rotoscope.runs.lock.FolderLock.renew`."""
        self._lock.renew()

    def scratch(self) -> Path:
        """A folder for the backward pass's answers, which outlives an interruption."""
        return self._in_work("backward")

    def mattes(self) -> Path:
        """A folder for the mattes that videos are made of at the end."""
        return self._in_work("mattes")

    @property
    def made(self) -> list[str]:
        """Names of the videos of this run that are whole."""
        return [name for name in (text_of(self._in_work("videos.txt")) or "").split("\n")[:-1] if name]

    def note_made(self, name: str) -> None:
        """Note that a video is whole, and need not be made again when the run is resumed."""
        append_line(self._in_work("videos.txt"), name)

    def save(self, state: RunState) -> None:
        """Keep a state; the masks of all frames before it are on disk already."""
        state.write(self._in_work("state.safetensors"))

    def picture(self, name: str) -> Path:
        """Where a picture of what points gave is put."""
        return make_folder(inside(self.path, POINTS)) / inside(self.path, POINTS, f"{name}.png").name

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Note the name of a frame whose masks are about to be written."""
        append_line(self._in_work("written.txt"), json.dumps(item.name))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Remove the palette masks of an earlier run that this one did not write."""
        earlier = Earlier(self.path)
        mine = set(earlier.written) if "palette" in self._identity["formats"] else set()
        for name in earlier.palette:
            if name not in mine:
                remove(earlier.palette_mask(name))

    def finish(self, report: Mapping[str, Any]) -> None:
        """Leave the report in place of the state."""
        with atomic_write(self._report) as path:
            facts = {"run": self._identity, "report": report, "masks": Earlier(self.path).written}
            path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        remove(self._in_work("identity.json"))  # first, so that no part of what is here is taken for a run
        remove_tree(self._work)

    def _look(self, resume: bool, overwrite: bool) -> None:
        """Decide whether this run may write here."""
        self._mend()
        earlier = Earlier(self.path)
        begun, finished = earlier.begun, earlier.finished
        if resume and begun is not None:
            self._compare(begun, "interrupted", self._work)
            self._resuming = True
        elif resume and finished is not None:
            self._compare(earlier.run, "finished", self._report)
            self.finished = finished.get("report") or {}
            remove_tree(self._work)
        elif not overwrite and self._is_used(begun, finished):
            way = "--resume to go on, or --overwrite" if begun is not None else "--overwrite, or another folder"
            raise InputError(f"{self.path}: holds the masks of another run. Pass {way}.")
        else:
            earlier.masks()  # that it names what cannot be its own is said before anything is begun

    def _is_used(self, begun: Mapping[str, Any] | None, finished: Mapping[str, Any] | None) -> bool:
        if begun is not None or finished is not None or any(self.path.glob("*.png")):
            return True
        if video_files(self.path, FORMATS):
            return True
        return any((self.path / name).exists() for name in (*FORMATS, "overlay.mp4"))

    def _compare(self, theirs: Mapping[str, Any], which: str, where: Path) -> None:
        check_version(theirs, where)
        names = dict.fromkeys([*self._identity, *theirs])  # some facts are told only where they are not as usual
        differing = [name for name in names if theirs.get(name) != self._identity.get(name)]
        if differing:
            raise InputError(
                f"{self.path}: the {which} run differs in its {', '.join(differing)}. "
                "Use the same, or pass --overwrite."
            )

    def _sweep(self) -> None:
        """Remove half-written files, which a killed run leaves beside the places that they were meant for."""
        places = [self.path, *(inside(self.path, name) for name in FORMATS)]
        places += [place for kind in BY_OBJECT for place in object_folders(self.path, kind)]
        places += [self._work, self._in_work("backward"), self._in_work("mattes")]
        for place in places:
            drop_half_written(place)

    def _take_over(self) -> None:
        """Make the folder this run's, with a list of what is to be removed; in one step, whenever a kill comes."""
        earlier = Earlier(self.path)
        files, palette = earlier.masks()
        files += [inside(self.path, "coco", "annotations.json"), inside(self.path, "overlay.mp4"), self._report]
        shown = inside(self.path, POINTS)
        files += (path for name in earlier.names for path in shown.glob(f"{escape(name)}-*.png"))
        listed = [path.relative_to(self.path).as_posix() for path in files if path.exists()]
        new, old = inside(self.path, NEW), inside(self.path, OLD)
        remove_tree(new)
        remove_tree(old)
        make_folder(new)
        with atomic_write(inside(self.path, NEW, "earlier.json")) as path:
            path.write_text(json.dumps({"palette": sorted(palette), "files": listed}), encoding="utf-8")
        with atomic_write(inside(self.path, NEW, "identity.json")) as path:
            path.write_text(json.dumps(self._identity), encoding="utf-8")
        if self._work.exists():
            rename(self._work, old)
        rename(new, self._work)

    def _mend(self) -> None:
        """Finish what a kill left between the two renamings of :meth:`_take_over`."""
        new = inside(self.path, NEW)
        if not self._work.exists() and new.exists() and inside(self.path, OLD).exists():
            rename(new, self._work)

    def _clear(self) -> None:
        """Remove what was to be removed, and mend what a kill cut in two."""
        earlier = Earlier(self.path)
        for path in earlier.waiting:
            remove(path)
        if earlier.waiting:
            with atomic_write(self._in_work("earlier.json")) as path:
                path.write_text(json.dumps({"palette": earlier.palette}), encoding="utf-8")
        if earlier.written:
            with atomic_write(self._in_work("written.txt")) as path:
                path.write_text("".join(f"{json.dumps(name)}\n" for name in earlier.written), encoding="utf-8")
        elif self._in_work("written.txt").exists():
            remove(self._in_work("written.txt"))
        remove_tree(inside(self.path, NEW))
        remove_tree(inside(self.path, OLD))

    def _in_work(self, name: str) -> Path:
        """A file of the unfinished run."""
        return inside(self.path, WORK, name)


def holds_run(folder: Path) -> bool:
    """Whether a run of ours has begun or finished in a folder."""
    return (folder / REPORT).exists() or (folder / WORK).exists()
