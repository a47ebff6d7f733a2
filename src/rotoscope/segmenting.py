"""``rotoscope.segment``: one generator over every kind of method, direction and prompt."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.masks.atomic import atomic_write
from rotoscope.masks.prompts import masks_for
from rotoscope.methods.base import MaskLike, Method, Prediction, Session
from rotoscope.video import Frame, Video, open_video
from rotoscope.weights import load

Direction = Literal["forward", "backward", "both"]
DIRECTIONS = ("forward", "backward", "both")
MaskSource = str | Path | Mapping[int, MaskLike]
Prompts = dict[int, dict[int, MaskLike]]
"""``{frame index: {object id: mask}}``."""


class Checkpoint(Protocol):
    """Where a run that may be interrupted keeps its state."""

    every: int

    def load(self) -> Mapping[str, Any] | None:
        """The state to go on from, or None to start."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state; everything yielded before must be safe on disk when this returns."""

    def scratch(self) -> Path:
        """A folder for intermediate results that outlives an interruption."""


def segment(
    video: Any,
    masks: MaskSource | Mapping[int, MaskSource] | None = None,
    model: str | Path | Method = "stcn-small",
    *,
    direction: Direction = "forward",
    start: int = 0,
    end: int | None = None,
    resize_masks: bool = False,
    device: str = "auto",
    precision: str = "fast",
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> Iterator[Prediction]:
    """Segment a video, frame by frame.

    Args:
        video: whatever :func:`~rotoscope.open_video` takes.
        masks: a mask file or ``{object_id: mask}`` for the first frame; or ``{frame index: either}``. None for methods
            that find objects by themselves.
        model: a name that ``rotoscope methods`` lists, a weights file, or a loaded method.
        direction: ``forward`` answers every frame in order, those before the first prompt with no object;
            ``backward`` goes from the last prompt to the first frame; ``both`` answers every frame, and blends the
            two passes between prompts by the distance in time.
        start, end: the part of the video to answer.
        resize_masks: bring masks of another size to the video's.
        device, precision: see :func:`rotoscope.load`; not used with a loaded method.
        checkpoint: makes the run resumable.
        options: of the method's session.

    Yields: predictions, in the order of the pass (``both``: in order of the frames).

    Raises:
        InputError: something given does not fit; before the first frame wherever it can be known.
    """
    if direction not in DIRECTIONS:
        raise InputError(f"direction {direction!r} is not known; use {', '.join(DIRECTIONS)}.")
    with ExitStack() as stack:
        opened = stack.enter_context(open_video(video, start=start, end=end))
        prompts = read_prompts(masks, opened, resize_masks)
        method = model if isinstance(model, Method) else load(model, device=device, precision=precision)
        run = Run(opened, prompts, method, options, checkpoint)
        if direction == "forward":
            yield from run.forward()
        elif direction == "backward":
            yield from run.backward()
        else:
            if checkpoint is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotoscope-")))
            else:
                folder = checkpoint.scratch()
            yield from run.both(folder)
        if not isinstance(video, Video):
            for problem in opened.problems:
                warnings.warn(problem, RuntimeWarning, stacklevel=2)


def read_prompts(
    masks: MaskSource | Mapping[int, MaskSource] | None,
    video: Video,
    resize: bool = False,
    notes: list[str] | None = None,
) -> Prompts:
    """Bring all prompts to one form and check them against the video; None stays none.

    What was decided in reading them is added to ``notes``, a line each.

    Raises:
        InputError: a mask that cannot be read, of another size, or for a frame that the video does not have.
    """
    if masks is None:
        return {}
    if not isinstance(masks, Mapping) or all(not isinstance(v, (str, Path, Mapping)) for v in masks.values()):
        by_frame: Mapping[int, Any] = {video.start: masks}
    else:
        by_frame = masks
    prompts: Prompts = {}
    said: list[str] = [] if notes is None else notes
    read = [masks_for(given, index, video, resize, said).items() for index, given in sorted(by_frame.items())]
    for index, found in (item for items in read for item in items):
        last = video.end - 1 if video.end is not None else None
        if video.length is not None and video.length_is_exact:
            last = video.length - 1 if last is None else min(last, video.length - 1)
        if index < video.start or (last is not None and index > last):
            span = f"{video.start} to {last}" if last is not None else f"{video.start} on"
            raise InputError(f"mask for frame {index}, but {video.name} has frames {span}.")
        prompts.setdefault(index, {}).update(found)
    prompts = dict(sorted(prompts.items()))
    if not any(prompts.values()):
        raise InputError("no mask is given. Give the masks of at least one frame.")
    return prompts


@dataclass
class Run:
    """One video, its prompts, and the passes over it.

    Attributes:
        images: given a dict, keeps each frame's image there until the caller takes it (for cut-outs).
        on_hidden: called with what the backward pass of ``both`` puts on disk, so that progress can be shown.
        sessions: one for each pass begun.
    """

    video: Video
    prompts: Prompts
    method: Method
    options: Mapping[str, Any]
    checkpoint: Checkpoint | None = None
    images: dict[int, NDArray[np.uint8]] | None = None
    on_hidden: Callable[[Prediction], None] | None = None
    sessions: list[Session] = field(default_factory=list)

    def seconds(self) -> dict[str, float]:
        """Seconds by part of the work, over all passes."""
        total: dict[str, float] = {}
        for session in self.sessions:
            for part, spent in session.timings.seconds.items():
                total[part] = total.get(part, 0.0) + spent
        return total

    def __post_init__(self) -> None:
        if not self.prompts and self.method.task == "semi":
            raise InputError("no mask is given, and this method needs the masks of at least one frame.")
        if self.prompts and self.method.task != "semi":
            raise InputError("masks are given, but this method finds objects by itself. Leave the masks out.")

    def forward(self, first: int | None = None, phase: str = "forward") -> Iterator[Prediction]:
        """From ``first`` (the video's start) to the end."""
        yield from self._pass(phase, self.video.start if first is None else first, reverse=False)

    def backward(self) -> Iterator[Prediction]:
        """From the last prompt back to the start."""
        if not self.video.indexable:
            raise InputError(f"{self.video.name}: cannot be read backwards. Save it as a file first.")
        self._require_prompts()
        yield from self._pass("backward", max(self.prompts), reverse=True)

    def both(self, folder: Path) -> Iterator[Prediction]:
        """Backward to disk, then forward, blending where both know."""
        self._require_prompts()
        first = min(self.prompts)
        kept = self.checkpoint.load() if self.checkpoint is not None else None
        if kept is None or kept["phase"] == "backward":
            for prediction in self.backward():
                _spill(folder, prediction)
                self._keep(None)
                if self.on_hidden is not None:
                    self.on_hidden(prediction)
        behind = sorted(int(path.stem) for path in folder.glob("*.npz"))
        done = int(kept["next"]) if kept is not None and kept["phase"] == "forward" else self.video.start
        for frame in self.video.frames(start=done, stop=first) if done < first else ():
            if frame.index in behind:
                self._keep(frame)
                yield _unspill(folder, frame)
        known = set(behind)
        for prediction in self.forward(first):
            if prediction.given or prediction.index not in known:
                yield prediction
            else:
                yield self._blend(prediction, _unspill(folder, prediction))

    def _pass(self, phase: str, first: int, reverse: bool) -> Iterator[Prediction]:
        session = self.method.session(self.video, **self.options)
        self.sessions.append(session)
        kept = self.checkpoint.load() if self.checkpoint is not None else None
        position = first
        if kept is not None and kept["phase"] == phase:
            session.restore({k.removeprefix("session."): v for k, v in kept.items() if k.startswith("session.")})
            position = int(kept["next"])
        waiting = {i for i in self.prompts if (i <= position if reverse else i >= position)}
        frames = self.video.frames(reverse=True, stop=position + 1) if reverse else self.video.frames(start=position)
        for since, frame in enumerate(frames, 1):
            if frame.index in waiting:
                session.add(self.prompts[frame.index])
                waiting.discard(frame.index)
            self._keep(frame)
            yield from session.push(frame)
            if self.checkpoint is not None and since % self.checkpoint.every == 0:
                state = {f"session.{name}": value for name, value in session.state().items()}
                self.checkpoint.save(state | {"phase": phase, "next": frame.index + (-1 if reverse else 1)})
        yield from session.finish()
        if waiting:
            where = min(waiting)
            raise InputError(f"mask for frame {where}, but {self.video.name} has no such frame that can be read.")

    def _require_prompts(self) -> None:
        if not self.prompts:
            raise InputError("without masks there is no frame to go back from. Use direction forward.")

    def _keep(self, frame: Frame | None) -> None:
        if self.images is None:
            return
        if frame is None:
            self.images.clear()
        else:
            self.images[frame.index] = frame.image

    def _blend(self, ahead: Prediction, behind: Prediction) -> Prediction:
        """Mix two answers of one frame by the distance in time to the prompts on both sides."""
        before = max(i for i in self.prompts if i <= ahead.index)
        after = min(i for i in self.prompts if i >= ahead.index)
        weight = (after - ahead.index) / (after - before)
        ids = tuple(dict.fromkeys((*ahead.object_ids, *behind.object_ids)))
        mixed = torch.zeros(1 + len(ids), *ahead.probabilities.shape[1:])
        for prediction, share in ((ahead, weight), (behind, 1 - weight)):
            channels = [0, *(1 + ids.index(object_id) for object_id in prediction.object_ids)]
            mixed[channels] += share * prediction.probabilities.cpu()
        return Prediction.from_probabilities(_shape_of(ahead), ids, mixed)


def _shape_of(prediction: Prediction) -> Frame:
    """A frame that carries a prediction's index and name; only these are asked for."""
    return Frame(prediction.index, np.empty((*prediction.labels.shape, 0), np.uint8), name=prediction.name)


def _spill(folder: Path, prediction: Prediction) -> None:
    """Put an answer on disk, to 16 bits."""
    with atomic_write(folder / f"{prediction.index:08d}.npz", durable=False) as path, path.open("wb") as file:
        values = (prediction.probabilities.cpu().numpy() * 65535).round().astype(np.uint16)
        np.savez_compressed(file, probabilities=values, ids=np.array(prediction.object_ids, np.int64))


def _unspill(folder: Path, frame: Frame | Prediction) -> Prediction:
    """Read an answer back for a frame."""
    with np.load(folder / f"{frame.index:08d}.npz") as data:
        probabilities = torch.from_numpy(data["probabilities"].astype(np.float32) / 65535)
        ids = tuple(int(i) for i in data["ids"])
    target = frame if isinstance(frame, Frame) else _shape_of(frame)
    return Prediction.from_probabilities(target, ids, probabilities)
