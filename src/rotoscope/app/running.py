"""Run along a clip: the masks given to a project become those of other frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.app.answers import Seen
from rotoscope.app.handover import can_hand_over, hand_over, take_back
from rotoscope.app.pictures import firm, write_labels
from rotoscope.app.project import Project
from rotoscope.app.states import EVERY, States
from rotoscope.errors import InputError
from rotoscope.files import make_folder
from rotoscope.masks.saving import Segmented, save_png
from rotoscope.methods.base import Method, Session
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.job import Direction, Job
from rotoscope.runs.measure import Measurement
from rotoscope.runs.passes import Passes, Step
from rotoscope.runs.prompts import Prompts
from rotoscope.runs.sink import Sink
from rotoscope.runs.state import RunState, Tally
from rotoscope.runs.watch import Watch

AROUND = 16
"""Pixels around a mask within which its probabilities are kept."""
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Stretch:
    """What is asked for.

    Attributes:
        direction: ``forward``, ``backward`` or ``both``.
        start: frame to begin with; None for the first one without an answer, or with a stale one. Backward it is the
            frame whose masks are followed, and has to be said. ``both`` goes over the whole clip.
        stop: the last frame to answer; None for the clip's end (backward: its first frame).
    """

    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None


class Run:
    """One stretch of a project, from the moment it is asked for.

    Making it finds what is wrong with the request; :meth:`go` does the work.

    Args:
        project: whose clip.
        stretch: which part of it.
        tell: is told of each frame, when its masks are on disk.
        stopped: asked before each frame whether to stop.

    Raises:
        InputError: there is no such frame, nothing is given to follow, or nothing is left to do.
    """

    def __init__(self, project: Project, stretch: Stretch, tell: Tell, stopped: Callable[[], bool]) -> None:
        self.project = project
        self.tell = tell
        self.stopped = stopped
        self.direction = stretch.direction
        for index in (stretch.start, stretch.stop):
            if index is not None:
                project.check_index(index)
        with project.lock:
            self.tick = project.history.tick
            self.prompts = project.history.given
            self.live = set(project.history.by_id)
            frames = project.prompted_frames()
            if stretch.direction == "backward":
                self._plan_backward(stretch)
            elif not frames:
                raise InputError("nothing is given to follow yet. Point at an object, or paint it, first.")
            else:
                self._plan_forward(stretch, frames)
        self.watch = Watch()
        self.agreement: dict[int, Mapping[int, float]] = {}
        self.pushed = 0
        self.written = 0

    def _plan_backward(self, stretch: Stretch) -> None:
        if stretch.start is None:
            raise InputError("say the frame to go back from.")
        if not self.project.labels(stretch.start).any():
            raise InputError(f"frame {stretch.start} has no mask to follow. Point at an object there first.")
        self.first, self.start, self.end = stretch.stop or 0, stretch.stop or 0, stretch.start + 1
        if self.first >= stretch.start:
            stop = "" if stretch.stop is None else f" as far as {stretch.stop}"
            raise InputError(f"there is no frame to go back to from {stretch.start}{stop}.")

    def _plan_forward(self, stretch: Stretch, frames: list[int]) -> None:
        self.first = frames[0] if self.direction == "forward" else 0
        self.end = self.project.frames if stretch.stop is None or self.direction == "both" else stretch.stop + 1
        if self.direction == "both":
            self.start = 0
            return
        start = stretch.start if stretch.start is not None else self.project.answers.first_open(self.first, self.end)
        if start is None:
            raise InputError("every frame is up to date. Correct one, or run from the frame that is shown.")
        if start < self.first:
            raise InputError(f"nothing is given before frame {self.first}. Run from there, or backward.")
        if self.end <= start:
            raise InputError(f"frame {self.end - 1} comes before {start}, where the run would begin.")
        self.start = start

    def go(self, model: Method, name: str) -> Measurement:
        """Do it.

        Args:
            model: a loaded method that is given masks.
            name: of it, by which states are told apart.

        Returns: what it took, of the frames that were written.
        """
        begun = time.perf_counter()
        take_back(self.project)
        states = States(self.project.folder / "states")
        forward = self.direction == "forward"
        state = states.nearest(self.start, name, self.first, self.prompts) if forward else None
        self._begin_watch(state)

        def save(state: RunState) -> None:
            states.keep(state, name, self.first, self.prompts)

        passes = Passes(self._job(model, state), start=state, save=save if forward else None, every=EVERY)
        measured = Measurement()
        with closing(self._steps(passes)) as steps, Sink([_Writer(self)], measured) as sink:
            last = None
            for step in steps:
                last = step.prediction.index
                self._take(step, sink)
            ending = _ending(passes.sessions[-1], last) if forward else None
            if ending is not None and ending.position < self.end:
                save(ending)
        if ending is not None:
            self._hand_over(model, passes.sessions[-1], ending)
        measured.frames, measured.wall = self.written, time.perf_counter() - begun
        return measured

    def _begin_watch(self, state: RunState | None) -> None:
        backward = self.direction == "backward"
        first = state.position if state is not None else self.end - 1 if backward else self.first
        self.watch = self.project.answers.watch(first, -1 if backward else 1, self.prompts)

    def _hand_over(self, model: Method, session: Session, ending: RunState) -> None:
        """Let the command line go on from where this ends, if it would have come to the same."""
        if can_hand_over(self.project, self.first, ending.position - 1, session.object_ids):
            ending.tally = Tally(self._confidences(), self.watch)
            hand_over(self.project, model, ending)

    def _confidences(self) -> dict[int, tuple[float, int]]:
        """Sum and number of each object's confidences on frames where it has pixels, as a report wants them."""
        sizes = {}
        for object_id, values in self.project.answers.confidence.items():
            if object_id in self.live:
                there = values[values > 0]
                sizes[object_id] = (float(there.sum()), len(there))
        return sizes

    def _steps(self, passes: Passes) -> Generator[Step, None, None]:
        for step in passes:
            yield step
            if self.stopped() or self._overtaken(step.prediction.index):
                return

    def _overtaken(self, index: int) -> bool:
        """Whether the frame that comes next has been given other masks since the run began."""
        ahead = index + (1 if self.direction == "forward" else -1)
        if self.direction == "both":
            return False
        return any(frame == ahead for frame, tick in self.project.history.edits if tick > self.tick)

    def _take(self, step: Step, sink: Sink) -> None:
        self.pushed += 1
        index = step.prediction.index
        if step.hidden or index < self.start:
            if not step.hidden:
                self.see(step.prediction, {})
            self.tell({"type": "passed", "frame": index})
        else:
            self.agreement[index] = step.agreement
            sink.put(step.prediction, None)

    def see(self, prediction: Prediction, known: Collection[int]) -> Seen:
        """Go over an answer, in the order of the pass, and say what is found of the objects that are known.

        How sure the answer is of others, deleted since the run began, is said too: they had a part in it.
        """
        index = prediction.index
        self.watch.see(prediction, self.prompts.get(index, {}), self.agreement.pop(index, None))
        confidence = dict(zip(prediction.object_ids, map(float, prediction.confidence), strict=True))
        look = {i: [r for r, at in by.items() if at[-1] == index] for i, by in self.watch.listed.items() if i in known}
        shapes = {i: shape for i, shape in self.watch.before.items() if i in known}
        return Seen(confidence, shapes, look, self.live & set(known))

    def _job(self, model: Method, state: RunState | None) -> Job:
        video = self.project.part(self.first, self.end)
        prompts: Prompts = {}
        position = state.position if state is not None else self.first
        frames = [f for f in self.project.prompted_frames() if self.first <= f < self.end]
        needed = [f for f in frames if f >= position] or frames[-1:]
        for frame in needed:
            prompts[frame] = {i: _as_mask(mask) for i, mask in self.project.prompted_masks(frame).items()}
        if self.direction == "backward":
            prompts[self.end - 1] = self._all_masks(self.end - 1)
        return Job(video, dict(sorted(prompts.items())), model, self.direction)

    def _all_masks(self, index: int) -> dict[int, Any]:
        """Masks of all objects on a frame, given or found."""
        seen = [int(i) for i in np.unique(self.project.labels(index)) if i]
        return {object_id: _as_mask(self.project.mask(index, object_id)) for object_id in seen}

    def span(self, index: int) -> tuple[int, int]:
        """First and last frame whose given masks the answer of a frame depends on."""
        if self.direction == "both":
            return (0, self.project.frames - 1)
        return (self.first, index) if self.direction == "forward" else (index, self.end - 1)


def _ending(session: Session, last: int | None) -> RunState | None:
    """The state that a forward pass ends in after a frame; None if none can be gone on from."""
    if last is None or session.latency:
        return None
    return RunState("forward", last + 1, session.state())


class _Writer:
    """Puts answers into the project: labels, then what is known of them, then word to who listens."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._begun = time.perf_counter()
        self._made: set[Path] = set()

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame, but for what locked objects hold there."""
        assert isinstance(item, Prediction)
        run, project, index = self.run, self.run.project, item.index
        with project.lock:
            if any(frame == index and tick > run.tick for frame, tick in project.history.edits[-64:]):
                return  # a person was quicker; what was just painted stays
            known = project.history.by_id
            locked = [one.id for one in known.values() if one.locked]
            gone = [i for i in item.object_ids if i not in known]
            labels = item.labels.astype(np.uint8, copy=bool(locked or gone))
            if locked:
                before = project.labels(index)
                labels[np.isin(labels, locked)] = 0
                labels = np.where(np.isin(before, locked), before, labels).astype(np.uint8)
            if gone:
                labels[np.isin(labels, gone)] = 0
            for channel, object_id in enumerate(item.object_ids, 1):
                if object_id in known:
                    path = project.soft_file(index, object_id)
                    self._write_soft(path, item.labels == object_id, item.probabilities[channel].cpu().numpy())
            write_labels(project.mask_file(index), labels)
            seen = run.see(item, known)
            project.answers.add(index, seen, run.span(index), run.tick)
        run.written += 1
        rate = run.written / max(time.perf_counter() - self._begun, 1e-6)
        confidence = {i: value for i, value in seen.confidence.items() if i in known}
        message = {"frame": index, "confidence": confidence, "look": seen.bits}
        run.tell({"type": "frame", **message, "rate": round(rate, 2)})

    def _write_soft(self, path: Path, own: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> None:
        """Write an object's probabilities in and around its mask, in 8 bits.

        They are there for soft edges. All of the frame in 16 bits takes longer to pack than a sixth of the network.
        """
        left, top, width, height = cv2.boundingRect(own.view(np.uint8))
        if not width:
            return  # what is not there is not asked for
        part = slice(max(top - AROUND, 0), top + height + AROUND), slice(max(left - AROUND, 0), left + width + AROUND)
        soft = np.zeros(own.shape, np.uint8)
        soft[part] = firm(probabilities[part])
        if path.parent not in self._made:
            self._made.add(make_folder(path.parent))
        save_png(path, soft)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""


def _as_mask(mask: NDArray[np.uint8]) -> NDArray[Any]:
    """0 to 255 as the session takes it: bool where it is whole, so that it equals what the command line reads."""
    if ((mask == 0) | (mask == 255)).all():
        return mask > 0
    return mask.astype(np.float32) / 255
