"""What the page asks for, done: open projects, frames, masks, clicks, runs and exports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.app.ahead import Filling, Latest, Look, Superseded
from rotoscope.app.cache import ByteCache
from rotoscope.app.clicks import Clicks, EdgeFollower, Point, check_engine, placed_of
from rotoscope.app.exporting import Export
from rotoscope.app.handover import adopt
from rotoscope.app.hub import SPEAKER
from rotoscope.app.library import Library
from rotoscope.app.pictures import Mask, frame_bytes
from rotoscope.app.project import Project
from rotoscope.app.running import Run, Stretch
from rotoscope.app.shelf import Shelf
from rotoscope.app.taking import Taking, masks_of_set, take_masks
from rotoscope.app.worker import Event, Listener, Task, Worker
from rotoscope.errors import InputError
from rotoscope.masks.mattes import Delivery
from rotoscope.masks.points import Box
from rotoscope.methods.base import Method
from rotoscope.video.files import VideoFile
from rotoscope.weights import load

RAW_BUDGET = 96 << 20
SENT_BUDGET = 48 << 20
REST = 0.2
"""Seconds without a request that costs time, from which pictures are made that nobody has asked for."""
PAUSE = 0.1
"""Seconds between two words of how far an export has come."""


class Service:
    """All that is open in one launch. Every method may be called from any thread.

    Args:
        library: what may be opened.
        method: name of the method that runs along clips.
        tell: is told what happens, each event with the key of its ``project``.

    Raises:
        InputError: there is no such method, or it takes no masks.
    """

    def __init__(self, library: Library, method: str, tell: Listener) -> None:
        self.library = library
        self.method = method
        self.model: Method = load(method)
        if self.model.task != "semi":
            raise InputError(f"{method} finds objects by itself, but the page gives masks. Choose stcn-small.")
        self.tell = tell
        self.worker = Worker(tell)
        self._projects: dict[str, Project] = {}
        self._lock = threading.RLock()
        self._raw: ByteCache[NDArray[np.uint8]] = ByteCache(RAW_BUDGET, lambda image: image.nbytes)
        self._sent: ByteCache[bytes] = ByteCache(SENT_BUDGET, len)
        self._edges: dict[str, EdgeFollower] = {}
        self._clicks: dict[str, Clicks] = {}
        self._asked = 0.0
        self.shelf = Shelf(library.root)
        self._filling = Filling(self.shelf, self._someone_waits, lambda line: tell({"type": "lost", "error": line}))
        self._eye: Latest[tuple[str, int, str]] = Latest("rotoscope-eye", self._make_ready)

    # Projects.

    def open(self, key: str) -> Project:
        """Open the project of an entry, or give the one that is open."""
        with self._lock:
            if key not in self._projects:
                entry = self.library.entry(key)
                same = [k for k, p in self._projects.items() if p.folder.resolve() == entry.path]
                if same:
                    return self._projects[same[0]]
                self._projects[key] = self.library.open(entry)
                adopt(self._projects[key])
            return self._projects[key]

    def key_of(self, project: Project) -> str:
        """What the page calls an open project."""
        return next(key for key, one in self._projects.items() if one is project)

    def project(self, key: str) -> Project:
        """An open project.

        Raises:
            InputError: none of that key is open.
        """
        if key not in self._projects:
            raise InputError("this project is not open. Open it from the list.")
        return self._projects[key]

    def renew(self) -> None:
        """Say that the projects are in use."""
        for project in list(self._projects.values()):
            project.guard.renew()
            project.masks_guard.renew()

    def close(self) -> None:
        """End the work after the frame that it is at, and let go of everything."""
        self._filling.close()
        self._eye.close()
        self.worker.close()
        self.shelf.close()
        for project in self._projects.values():
            project.close()
        self._projects.clear()

    # Looking.

    def image(self, key: str, index: int) -> NDArray[np.uint8]:
        """A frame as the network sees it, RGB ``[H, W, 3]``."""
        project = self.project(key)
        project.check_index(index)
        return self._raw.get((key, index), lambda: self._decoded(key, project, index))

    def picture(self, key: str, index: int, side: int | None, kind: str) -> bytes:
        """A frame as the page shows it; see :func:`~rotoscope.app.pictures.frame_bytes`."""
        self.project(key).check_index(index)
        return self._sent.get((key, index, side, kind), lambda: self._pictured(key, index, side, kind))

    def look(self, key: str, index: int, side: int | None, engine: str) -> None:
        """Make ready for what a person does next on the frame that is shown now: point, and go to others.

        Args:
            key: of the project.
            index: of the frame.
            side: of the pictures that the page asks for; see :meth:`picture`.
            engine: what is to answer clicks.
        """
        project = self.project(key)
        project.check_index(index)
        check_engine(engine)
        self._eye.want((key, index, engine))
        self._filling.look(Look(key, project, index, side))

    def _decoded(self, key: str, project: Project, index: int) -> NDArray[np.uint8]:
        """A frame, and of a file the one before it on the way: it is asked for next, and the way back to it is long."""
        self._asked = time.monotonic()
        if index and isinstance(project.video, VideoFile):
            self._raw.get((key, index - 1), lambda: project.frame(index - 1).image)
        try:
            return project.frame(index).image
        finally:
            self._asked = time.monotonic()

    def _pictured(self, key: str, index: int, side: int | None, kind: str) -> bytes:
        there = self.shelf.get((key, index, side or 0)) if kind == "jpeg" else None
        return there if there is not None else frame_bytes(self.image(key, index), side, kind)

    def _make_ready(self, wish: tuple[str, int, str], superseded: Superseded) -> None:
        key, index, engine = wish
        if key in self._projects:
            self._clicks.setdefault(key, Clicks()).prepare(index, self.image(key, index), engine)

    def _someone_waits(self) -> bool:
        return self.worker.busy or time.monotonic() - self._asked < REST

    # Masks.

    def click(
        self, key: str, index: int, object_id: int, points: list[Point], box: Box | None, engine: str, begin: bool
    ) -> tuple[Mask, float | None]:
        """Answer clicks, keep the answer as the mask given, and return the frame's labels.

        Args:
            key: of the project.
            index: of the frame.
            object_id: whose mask.
            points: all clicks since the tool was taken up.
            box: around the object, or None.
            engine: a name of :data:`~rotoscope.app.clicks.CLICKERS`.
            begin: whether these are the first clicks; what the object has on the frame is what they correct.
        """
        project = self.project(key)
        check_engine(engine)
        project.object(object_id)
        placed = placed_of(points, box, project.size)
        clicks = self._clicks.setdefault(key, Clicks())
        if begin:
            clicks.begin(index, object_id, project.mask(index, object_id))
        mask, confidence = clicks.answer(index, self.image(key, index), object_id, placed, engine)
        labels = self.edit(key, index, {object_id: mask})
        return labels, confidence

    def edit(self, key: str, index: int, masks: dict[int, Mask | None]) -> Mask:
        """Give masks, and return the frame's labels; see :meth:`~rotoscope.app.project.Project.edit`."""
        self._asked = time.monotonic()
        labels = self.project(key).edit(index, masks)
        self.changed(key, index)
        return labels

    def turn(self, key: str, back: bool) -> int | None:
        """Undo (back) or redo; the frame that it changed, or None."""
        project = self.project(key)
        record = project.undo() if back else project.redo()
        frame = record.get("frame") if record is not None else None
        self.changed(key, frame)
        return frame

    def edges(self, key: str, index: int, start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
        """A path along edges; see :class:`~rotoscope.app.clicks.EdgeFollower`."""
        follower = self._edges.setdefault(key, EdgeFollower())
        return follower.path(index, self.image(key, index), start, end)

    def take_in(self, key: str, entry_key: str, index: int, resize: bool) -> dict[str, Any]:
        """Import masks that ``rotoscope check`` understands, or begin to import a finished run."""
        project = self.project(key)
        entry = self.library.entry(entry_key)
        if entry.kind == "run":
            self._take_run(key, project, entry.path)
            return {}
        if entry.kind not in ("masks", "set"):
            raise InputError(f"{entry.label} is no mask.")
        path = masks_of_set(entry.path, project) if entry.kind == "set" else entry.path
        frames, names, notes = take_masks(project, path, index, resize)
        self.changed(key, None)
        return {"frames": frames, "objects": names, "notes": notes}

    def _take_run(self, key: str, project: Project, folder: Path) -> None:
        self._one_at_a_time()
        taking = Taking(project, folder)

        def work(task: Task) -> Event:
            try:
                done = taking.go(self._counting(key, taking.steps), task.stopped)
            finally:
                self.changed(key, None)
            return {"project": key, "frames": done}

        self.worker.put(Task("import", work, {"project": key}))

    def _counting(self, key: str, steps: int) -> Callable[[int], None]:
        """Tells pages how many steps are done, not too often."""
        said = 0.0

        def tell(done: int) -> None:
            nonlocal said
            if time.monotonic() - said > PAUSE or done == steps:
                said = time.monotonic()
                self.tell({"type": "steps", "project": key, "done": done, "of": steps})

        return tell

    def changed(self, key: str, index: int | None) -> None:
        """Tell all pages that objects, or masks of a frame, are others now."""
        self.tell({"type": "changed", "project": key, "frame": index, "by": SPEAKER.get()})

    # Work.

    def run(self, key: str, stretch: Stretch) -> None:
        """Run along a clip, in the worker; what is wrong with the request is raised at once."""
        project = self.project(key)
        self._one_at_a_time()

        def say(event: Event) -> None:
            self.tell({"project": key, **event})

        def work(task: Task) -> Event:
            running = Run(project, stretch, say, task.stopped)
            measured = running.go(self.model, self.method)
            return {"project": key, "frames": measured.frames, "seconds": round(measured.wall, 3)}

        plan = Run(project, stretch, say, lambda: False)
        about = {"project": key, "direction": stretch.direction, "start": plan.start, "end": plan.end}
        self.worker.put(Task("run", work, about))

    def export(self, key: str, names: list[str], delivery: Delivery | None = None) -> None:
        """Write masks in formats, in the worker; see :class:`~rotoscope.app.exporting.Export`."""
        project = self.project(key)
        self._one_at_a_time()
        export = Export(project, names, delivery)

        def work(task: Task) -> Event:
            folder = export.go(self._counting(key, export.steps), task.stopped)
            return {"project": key, "folder": str(folder), "frames": len(export.frames)}

        self.worker.put(Task("export", work, {"project": key}))

    def _one_at_a_time(self) -> None:
        if self.worker.busy:
            raise InputError("a run is going on. Stop it, or wait for its end.")


def page_folder() -> Path:
    """Where the built page is."""
    return Path(__file__).parent / "page"
