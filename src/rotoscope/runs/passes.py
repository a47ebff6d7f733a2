"""The passes over a video: a checked job, and where to start, to predictions."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.files import atomic_write, need_folder
from rotoscope.methods.base import Session
from rotoscope.methods.clicking import KEPT, Clicked
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.ahead import Ahead
from rotoscope.runs.blending import blend, frame_of
from rotoscope.runs.job import Job
from rotoscope.runs.measure import Measurement
from rotoscope.runs.prompts import hardly_overlapping
from rotoscope.runs.state import Phase, RunState
from rotoscope.runs.watch import agreement
from rotoscope.video import Frame

Save = Callable[[RunState], None]
TURN = "turn"
"""What the time is counted under that sessions take from frame to frame."""


@dataclass(frozen=True, eq=False)
class Step:
    """What a pass gives for one frame.

    Attributes:
        prediction: the masks.
        image: the frame, RGB ``[H, W, 3]``, where images are asked for; else None.
        hidden: whether this is no answer yet: the backward pass of direction ``both``.
        agreement: IoU of the masks of both passes by object, where two passes answered the frame.
    """

    prediction: Prediction
    image: NDArray[np.uint8] | None = None
    hidden: bool = False
    agreement: Mapping[int, float] = field(default_factory=dict)


class Passes:
    """Goes over a job's video in the job's direction, once.

    Args:
        job: what to do.
        start: a state to go on from; None starts.
        save: called with a state every ``every`` frames, when all steps before it have been taken.
        every: frames between states.
        scratch: folder where direction ``both`` keeps the backward pass's answers between the passes; where a state is
            gone on from, the same as before. It is made when it is needed; None takes one that goes away at the end.
        images: give each frame's image with its step.

    Attributes:
        sessions: one for each pass begun, in order.
        clicked: what became of points, for who takes it to show it.
        warnings: what was met on the way that may not be meant, one line each.
        measured: how long the sessions were in turn, which leaves out what was done ahead, in a thread.
    """

    def __init__(
        self,
        job: Job,
        *,
        start: RunState | None = None,
        save: Save | None = None,
        every: int = 50,
        scratch: Path | None = None,
        images: bool = False,
    ) -> None:
        self.job = job
        self.sessions: list[Session] = []
        self.clicked: deque[Clicked] = deque()
        self.warnings: list[str] = []
        self.measured = Measurement()
        self._start = start
        self._save = save
        self._every = every
        self._scratch = scratch
        self._images = images

    def __iter__(self) -> Iterator[Step]:
        passes = {"forward": self._forward, "backward": self._backward, "both": self._both}
        return passes[self.job.direction]()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by part of the methods' work, over all passes."""
        total: dict[str, float] = {}
        for session in self.sessions:
            for part, spent in session.timings.seconds.items():
                total[part] = total.get(part, 0.0) + spent
        return total

    @property
    def notes(self) -> list[str]:
        """What a user should know about how the sessions came to their answers, one line each."""
        notes = (note for session in self.sessions for note in (*session.clicks.notes, *session.notes))
        return list(dict.fromkeys(notes))

    def _forward(self, first: int | None = None) -> Iterator[Step]:
        """From ``first`` (the video's start) to the end."""
        yield from self._pass("forward", self.job.video.start if first is None else first)

    def _backward(self) -> Iterator[Step]:
        """From the last prompt back to the start."""
        yield from self._pass("backward", max(self.job.prompts))

    def _both(self) -> Iterator[Step]:
        """Backward to disk, then forward, blending what both know."""
        first, done = min(self.job.prompts), self.job.video.start
        with self._between() as folder:
            if self._start is None or self._start.phase == "backward":
                for step in self._backward():
                    yield dataclasses.replace(step, hidden=True)
                    _spill(folder, step.prediction)
            else:
                done = self._start.position
            behind = {int(path.stem) for path in folder.glob("[0-9]*.npz")}
            for frame in self.job.video.frames(start=done, stop=first) if done < first else ():
                if frame.index in behind:
                    yield Step(_unspill(folder, frame), frame.image if self._images else None)
            prompts = self.job.prompts
            given: dict[int, list[int]] = {}
            for index, masks in prompts.items():
                for object_id in masks:
                    given.setdefault(object_id, []).append(index)
            for step in self._forward(first):
                ahead = step.prediction
                here = prompts.get(ahead.index, {})
                if ahead.index in behind and not here.keys() >= given.keys():
                    back = _unspill(folder, ahead)
                    shares = {i: share for i, share in agreement(ahead, back).items() if i not in here}
                    step = dataclasses.replace(step, prediction=blend(ahead, back, given), agreement=shares)
                yield step

    def _pass(self, phase: Phase, first: int) -> Iterator[Step]:
        job, backward = self.job, phase == "backward"
        session = job.session()
        self.sessions.append(session)
        position = first
        if self._start is not None and self._start.phase == phase:
            session.restore(self._start.session)
            position = self._start.position
        waiting = {i for i in job.prompts if (i <= position if backward else i >= position)}
        span = {"stop": position + 1} if backward else {"start": position}
        held: dict[int, NDArray[np.uint8]] = {}
        shown: Prediction | None = None
        since = 0
        ahead = Ahead(session, job.video.frames(reverse=backward, **span), self._is_looked_at(phase))
        for frame, ready in ahead:
            since += 1  # noqa: SIM113 (enumerate holds on to what it gave last, which is megabytes)
            if frame.index in waiting:
                session.add(job.prompts[frame.index])
                waiting.discard(frame.index)
                if not backward or job.direction == "backward":
                    self._compare(frame.index, shown)
            if self._images:
                held[frame.index] = frame.image
            with ahead.turn(), self.measured.part(TURN):
                predictions = session.push(frame, prepared=ready)
            del ready  # megabytes, which would live until the next comes
            self._look(session)
            if not waiting:
                shown = None  # nothing will be compared with it
            elif predictions:
                shown = predictions[-1]
            yield from self._steps(predictions, held)
            del predictions
            if self._save is not None and since % self._every == 0:
                self._save(RunState(phase, frame.index + (-1 if backward else 1), session.state()))
        with self.measured.part(TURN):
            predictions = session.finish()
        yield from self._steps(predictions, held)
        if waiting:
            raise InputError(f"mask for frame {min(waiting)}, but {job.video.name} has no such frame that can be read.")

    def _look(self, session: Session) -> None:
        """Take what became of points, and warn of masks that are unsure."""
        clicked_now = list(session.clicks.fresh)
        session.clicks.fresh.clear()
        self.clicked = deque([*self.clicked, *clicked_now], maxlen=KEPT)
        notes = [clicked.note for clicked in clicked_now if clicked.unsure]
        self.warnings += [note for note in notes if note not in self.warnings]

    def _compare(self, index: int, shown: Prediction | None) -> None:
        """Warn if masks given on a frame may be of other objects than their ids say, by what was ``shown`` before."""
        if shown is not None:
            self.warnings += hardly_overlapping(self.job.prompts[index], shown.labels, index)

    def _is_looked_at(self, phase: Phase) -> Callable[[Frame], bool]:
        """Whether a pass has objects on a frame: from the prompt on that it comes to first, or always without any."""
        prompts = self.job.prompts
        if not prompts:
            return lambda _: True
        if phase == "backward":
            return lambda frame: frame.index <= max(prompts)
        return lambda frame: frame.index >= min(prompts)

    def _steps(self, predictions: list[Prediction], held: dict[int, NDArray[np.uint8]]) -> Iterator[Step]:
        for prediction in predictions:
            yield self._step(prediction, held)

    def _step(self, prediction: Prediction, held: dict[int, NDArray[np.uint8]]) -> Step:
        if not self._images:
            return Step(prediction)
        if prediction.index in held:
            return Step(prediction, held.pop(prediction.index))
        return Step(prediction, self.job.video[prediction.index].image)  # pushed before the run was interrupted

    @contextmanager
    def _between(self) -> Iterator[Path]:
        """Where answers are kept between two passes."""
        if self._scratch is not None:
            yield self._scratch
        else:
            with tempfile.TemporaryDirectory(prefix="rotoscope-") as folder:
                yield Path(folder)


def _spill(folder: Path, prediction: Prediction) -> None:
    """Put an answer on disk, to 16 bits."""
    need_folder(folder)
    with atomic_write(folder / f"{prediction.index:08d}.npz", durable=False) as path, path.open("wb") as file:
        values = (prediction.probabilities.cpu().numpy() * 65535).round().astype(np.uint16)
        ids, confidence = np.array(prediction.object_ids, np.int64), np.array(prediction.confidence, np.float64)
        np.savez_compressed(file, probabilities=values, ids=ids, confidence=confidence)


def _unspill(folder: Path, frame: Frame | Prediction) -> Prediction:
    """Read an answer back for a frame."""
    with np.load(folder / f"{frame.index:08d}.npz") as data:
        probabilities = torch.from_numpy(data["probabilities"].astype(np.float32) / 65535)
        ids = tuple(int(i) for i in data["ids"])
        confidence = tuple(float(value) for value in data["confidence"])
    target = frame if isinstance(frame, Frame) else frame_of(frame)
    return Prediction.from_probabilities(target, ids, probabilities, confidence=confidence)
