"""Segment a video into a folder: writers in a thread, an overlay, and a report."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.masks.drawing import overlay
from rotoscope.masks.writing import MaskWriter, formats, make_folder, open_writer
from rotoscope.methods.base import Method, Prediction
from rotoscope.resuming import StateKeeper, Tally, describe, keep_source_safe
from rotoscope.segmenting import Direction, MaskSource, Run, read_prompts
from rotoscope.video import Video, VideoWriter


@dataclass
class Report:
    """What a run did.

    Attributes:
        frames: frames answered by this call; 0 if the run to resume had finished.
        resumed_at: the frame it went on from, or None.
        objects: ids.
        size: width and height.
        seconds: by part of the work; parts overlap where threads do.
        wall: seconds in all.
        peak_memory: bytes, of the process.
        folder: where the masks are.
        problems: damage met in the video, also before an interruption.
        confidence: mean confidence of each object, over the whole run.
        unsure: frames on which an object's confidence is below :data:`~rotoscope.resuming.UNSURE` (it is 0 where the
            object has no pixel), by object, over the whole run.
        notes: what is worth knowing about how the method came to its answers, one line each.
    """

    frames: int = 0
    resumed_at: int | None = None
    objects: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)
    seconds: dict[str, float] = field(default_factory=dict)
    wall: float = 0.0
    peak_memory: int = 0
    folder: str = ""
    problems: list[str] = field(default_factory=list)
    confidence: dict[int, float] = field(default_factory=dict)
    unsure: dict[int, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of_finished(cls, data: Mapping[str, Any]) -> Report:
        """The report that a finished run left, as this call's: no frame was answered and no time spent."""
        report = cls(objects=tuple(data["objects"]), size=tuple(data["size"]), folder=data["folder"])
        report.problems = list(data["problems"])
        report.confidence = {int(object_id): value for object_id, value in data["confidence"].items()}
        report.unsure = {int(object_id): frames for object_id, frames in data["unsure"].items()}
        report.notes = list(data.get("notes", ()))
        return report


def segment_to_folder(
    video: Video,
    masks: MaskSource | Mapping[int, MaskSource] | None,
    model: Method,
    folder: str | Path,
    *,
    output_formats: Sequence[str] = ("palette",),
    direction: Direction = "forward",
    resize_masks: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    state_every: int = 50,
    on_frame: Callable[[Prediction], None] | None = None,
    **options: Any,
) -> Report:
    """Segment a video and write its masks.

    The palette masks stand in ``folder`` itself, other formats in folders of their names, an overlay as
    ``overlay.mp4`` (it is made at the end from the palette masks, which are then written too).

    Args:
        video: an open video.
        masks: see :func:`rotoscope.segment`.
        model: a loaded method.
        folder: where to write.
        output_formats: names of :data:`rotoscope.masks.FORMATS`.
        direction: see :func:`rotoscope.segment`.
        resize_masks: bring masks of another size to the video's.
        resume: go on from an interrupted run of the same video, masks and options; masks come out the same. A run
            that had finished is left as it is.
        overwrite: start again; what an earlier run left is replaced.
        state_every: frames between saved states.
        on_frame: called with each prediction; in direction ``both`` also with those of the backward pass, which are
            not answers yet.
        options: of the method's session.

    Raises:
        InputError: something given does not fit, or the folder holds another run.
    """
    started = time.perf_counter()
    names = formats(output_formats)
    if "overlay" in names:
        if not video.indexable:
            raise InputError(f"{video.name}: an overlay video reads the source twice. Save it as a file first.")
        names = list(dict.fromkeys(["palette", *names]))
    prompts = read_prompts(masks, video, resize_masks)
    target = Path(folder)
    keep_source_safe(video, target, names)
    target = make_folder(target)
    identity = describe(video, prompts, model, names, direction, options)
    keeper = StateKeeper(target, identity, state_every)
    finished = keeper.prepare(resume=resume, overwrite=overwrite)
    if finished is not None:
        return Report.of_finished(finished)
    report = Report(size=video.size, folder=str(target))
    kept = keeper.load()
    if kept is not None:
        report.resumed_at = int(kept["next"])
        keeper.tally = Tally.from_json(kept["tally"])
    writers: list[MaskWriter] = [keeper]
    places = {name: target if name == "palette" else target / name for name in names if name != "overlay"}
    writers += [open_writer(name, place) for name, place in places.items()]
    run = Run(video, prompts, model, options, keeper, images={} if "cutout" in names else None, on_hidden=on_frame)
    passes: dict[str, Callable[[], Iterator[Prediction]]] = {
        "forward": run.forward,
        "backward": run.backward,
        "both": lambda: run.both(keeper.scratch()),
    }

    def before_save() -> None:
        sink.drain()
        keeper.tally.note(video.problems)

    with _background(writers, report.seconds) as sink:
        keeper.before_save = before_save
        reading = time.perf_counter()
        for prediction in passes[direction]():
            sink.put(prediction, run.images.pop(prediction.index) if run.images is not None else None)
            report.frames += 1
            keeper.tally.count(prediction)
            if on_frame is not None:
                on_frame(prediction)
        elapsed = time.perf_counter() - reading
    for writer in writers:
        writer.close()
    spent = run.seconds()
    report.seconds = {**spent, "wait for frames and rest": max(elapsed - sum(spent.values()), 0.0), **report.seconds}
    keeper.tally.note(video.problems)
    report.confidence = {object_id: total / number for object_id, (total, number) in keeper.tally.confidence.items()}
    report.objects = tuple(report.confidence)
    report.unsure = keeper.tally.unsure
    report.problems = keeper.tally.problems
    report.notes = list(dict.fromkeys(note for session in run.sessions for note in session.notes))
    if "overlay" in names:
        begun = time.perf_counter()
        write_overlay(video, target, target / "overlay.mp4")
        report.seconds["overlay video"] = time.perf_counter() - begun
    report.peak_memory = peak_memory()
    report.wall = time.perf_counter() - started
    keeper.finish(asdict(report))
    return report


def write_overlay(video: Video, folder: Path, path: Path) -> None:
    """Make a video of the frames with their palette masks laid over them."""
    with VideoWriter(path, video.fps or 24.0, video.size, aspect=video.aspect) as writer:
        for frame in video.frames():
            mask = folder / f"{frame.name}.png"
            if not mask.exists():
                writer.write(frame.image, frame.time)
                continue
            with Image.open(mask) as opened:
                writer.write(overlay(frame.image, np.array(opened)), frame.time)


class _Sink:
    """Writes in a thread, at most a few frames behind; errors come back to the one who puts."""

    def __init__(self, writers: Sequence[MaskWriter], seconds: dict[str, float]) -> None:
        self._waiting: queue.Queue[tuple[Prediction, NDArray[np.uint8] | None] | None] = queue.Queue(4)
        self._writers = writers
        self._seconds = seconds
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="rotoscope-writer", daemon=True)
        self._thread.start()

    def put(self, prediction: Prediction, image: NDArray[np.uint8] | None) -> None:
        self._check()
        self._waiting.put((prediction, image))

    def drain(self) -> None:
        self._waiting.join()
        self._check()

    def stop(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            item = self._waiting.get()
            try:
                if item is None:
                    return
                if self._error is None:
                    begun = time.perf_counter()
                    for writer in self._writers:
                        writer.write(*item)
                    spent = time.perf_counter() - begun
                    self._seconds["write (in a thread)"] = self._seconds.get("write (in a thread)", 0.0) + spent
            except OSError as error:
                self._error = RotoscopeError(f"masks cannot be written ({error}). Make room, then use --resume.")
            except Exception as error:  # handed to the main thread, which raises it
                self._error = error
            finally:
                self._waiting.task_done()


@contextmanager
def _background(writers: Sequence[MaskWriter], seconds: dict[str, float]) -> Iterator[_Sink]:
    sink = _Sink(writers, seconds)
    try:
        yield sink
        sink.drain()
    finally:
        sink.stop()


def peak_memory() -> int:
    """Most memory this process has held, in bytes."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
