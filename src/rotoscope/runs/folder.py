"""An output folder: whose it is, what an earlier run left in it, what this one writes beside the masks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.files import atomic_write, is_half_written, make_folder
from rotoscope.masks.writing import FORMATS, Segmented
from rotoscope.runs.job import Job, Outputs
from rotoscope.runs.lock import FolderLock
from rotoscope.runs.state import RunState, check_version

WORK = ".rotoscope"
"""What an unfinished run keeps: its identity, its state, the names it has written."""
REPORT = "run.json"
"""What a finished run leaves: its identity, its report, the names it has written."""


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
        self._work = self.path / WORK
        self._report = self.path / REPORT

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
        return RunState.read(self._work / "state.safetensors") if self._resuming else None

    def begin(self) -> None:
        """Make room for this run's masks: from here on the folder is its own.

        Half-written files of a killed run go, and, unless that run is resumed, all that it wrote. Its palette masks
        wait to the end: a corrected one may be this run's prompt.
        """
        self._sweep()
        if not self._resuming:
            self._start_again()

    def renew(self) -> None:
        """Say that the run is alive; see :meth:`~rotoscope.runs.lock.FolderLock.renew`."""
        self._lock.renew()

    def scratch(self) -> Path:
        """A folder for the backward pass's answers, which outlives an interruption."""
        return self._work / "backward"

    def save(self, state: RunState) -> None:
        """Keep a state; the masks of all frames before it are on disk already."""
        state.write(self._work / "state.safetensors")

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Note the name of a frame whose masks are about to be written."""
        with (self._work / "written.txt").open("a", encoding="utf-8") as file:
            file.write(json.dumps(item.name) + "\n")

    def close(self) -> None:
        """Remove the palette masks of an earlier run that this one did not write."""
        mine = set(self._names()) if "palette" in self._identity["formats"] else set()
        for name in (_facts(self._work / "earlier.json") or {}).get("palette", []):
            if name not in mine:
                _remove(self.path, "", name)

    def finish(self, report: Mapping[str, Any]) -> None:
        """Leave the report in place of the state."""
        with atomic_write(self._report) as path:
            facts = {"run": self._identity, "report": report, "masks": self._names()}
            path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        shutil.rmtree(self._work)

    def _look(self, resume: bool, overwrite: bool) -> None:
        """Decide whether this run may write here."""
        begun, finished = _facts(self._work / "identity.json"), _facts(self._report)
        if resume and begun is not None:
            self._compare(begun, "interrupted", self._work)
            self._resuming = True
        elif resume and finished is not None:
            self._compare(finished.get("run", {}), "finished", self._report)
            self.finished = finished["report"]
        elif not overwrite and self._is_used(begun, finished):
            way = "--resume to go on, or --overwrite" if begun is not None else "--overwrite, or another folder"
            raise InputError(f"{self.path}: holds the masks of another run. Pass {way}.")

    def _is_used(self, begun: Mapping[str, Any] | None, finished: Mapping[str, Any] | None) -> bool:
        if begun is not None or finished is not None or any(self.path.glob("*.png")):
            return True
        return any((self.path / name).exists() for name in (*FORMATS, "overlay.mp4"))

    def _compare(self, theirs: Mapping[str, Any], which: str, where: Path) -> None:
        check_version(theirs, where)
        differing = [name for name in self._identity if theirs.get(name) != self._identity[name]]
        if differing:
            raise InputError(
                f"{self.path}: the {which} run differs in its {', '.join(differing)}. "
                "Use the same, or pass --overwrite."
            )

    def _sweep(self) -> None:
        """Remove half-written files, which a killed run leaves beside the places that they were meant for."""
        for name in ("", *FORMATS):
            by_object = name in ("objects", "soft")
            for path in (self.path / name).glob("*/.*" if by_object else ".*"):
                if is_half_written(path) and path.is_file():
                    path.unlink()
        (self.path / ".overlay.writing.mp4").unlink(missing_ok=True)

    def _start_again(self) -> None:
        begun, finished = _facts(self._work / "identity.json") or {}, _facts(self._report) or {}
        palette = set((_facts(self._work / "earlier.json") or {}).get("palette", []))
        for run, names in ((begun, self._names()), (finished.get("run", {}), finished.get("masks", []))):
            kinds = run.get("formats", [])
            if "palette" in kinds:
                palette |= set(names)
            for name in names:
                for kind in kinds:
                    _remove(self.path, kind, name)
        (self.path / "coco" / "annotations.json").unlink(missing_ok=True)
        (self.path / "overlay.mp4").unlink(missing_ok=True)
        if self._work.exists():
            shutil.rmtree(self._work)
        self._report.unlink(missing_ok=True)
        self._work.mkdir(parents=True)
        with atomic_write(self._work / "earlier.json") as path:
            path.write_text(json.dumps({"palette": sorted(palette)}), encoding="utf-8")
        with atomic_write(self._work / "identity.json") as path:
            path.write_text(json.dumps(self._identity), encoding="utf-8")

    def _names(self) -> list[str]:
        """Names of the frames whose masks are written; each once, also after a resume."""
        written = self._work / "written.txt"
        if not written.exists():
            return []
        lines = written.read_text(encoding="utf-8").splitlines(keepends=True)
        return list(dict.fromkeys(json.loads(line) for line in lines if line.endswith("\n")))  # the last may be cut


def holds_run(folder: Path) -> bool:
    """Whether a run of ours has begun or finished in a folder."""
    return (folder / REPORT).exists() or (folder / WORK).exists()


def _facts(path: Path) -> dict[str, Any] | None:
    """A JSON file of ours; None if it is not there, empty if it is not ours."""
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _remove(folder: Path, kind: str, name: str) -> None:
    """Remove one frame's masks of a format (``""``: palette); of ``objects`` and ``soft``, those of every object."""
    if kind in ("objects", "soft"):
        for of_object in (folder / kind).glob("*/"):
            (of_object / f"{name}.png").unlink(missing_ok=True)
    elif kind == "npz":
        (folder / kind / f"{name}.npz").unlink(missing_ok=True)
    elif kind in ("cutout", ""):
        (folder / kind / f"{name}.png").unlink(missing_ok=True)
