"""Segment a video into a folder: writers, state for ``--resume``, and a report."""

from __future__ import annotations

import hashlib
import json
import queue
import shutil
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.masks.atomic import atomic_write
from rotoscope.masks.drawing import overlay
from rotoscope.masks.writing import MaskWriter, formats, make_folder, open_writer
from rotoscope.methods.base import Method, Prediction
from rotoscope.segmenting import Direction, MaskSource, Prompts, Run, read_prompts
from rotoscope.video import Video, VideoWriter

WORK = ".rotoscope"
REPORT = "run.json"
UNSURE = 0.7
"""Confidence below which a frame is worth a look; masks of an object that is really followed stay above it."""


@dataclass
class Report:
    """What a run did.

    Attributes:
        frames: frames answered by this call.
        resumed_at: the frame it went on from, or None.
        objects: ids.
        size: width and height.
        seconds: by part of the work; parts overlap where threads do.
        wall: seconds in all.
        peak_memory: bytes, of the process.
        folder: where the masks are.
        problems: damage met in the video.
        confidence: mean confidence of each object.
        unsure: frames on which an object's confidence is below :data:`UNSURE` (0 where it has no pixel), by object.
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


def segment_to_folder(
    video: Video,
    masks: MaskSource | Mapping[int, MaskSource],
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
        resume: go on from an interrupted run of the same video, masks and options; masks come out the same.
        overwrite: write over what an earlier run left.
        state_every: frames between saved states.
        on_frame: called with each prediction.
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
    target = make_folder(Path(folder))
    identity = describe(video, prompts, model, names, direction, options)
    keeper = StateKeeper(target, identity, state_every)
    keeper.prepare(resume=resume, overwrite=overwrite)
    report = Report(size=video.size, folder=str(target))
    kept = keeper.load()
    report.resumed_at = int(kept["next"]) if kept is not None else None
    writers = [open_writer(name, target if name == "palette" else target / name) for name in names if name != "overlay"]
    run = Run(video, prompts, model, options, keeper, images={} if "cutout" in names else None)
    passes: dict[str, Callable[[], Iterator[Prediction]]] = {
        "forward": run.forward,
        "backward": run.backward,
        "both": lambda: run.both(keeper.scratch()),
    }
    sums: dict[int, list[float]] = {}
    with _background(writers, report.seconds) as sink:
        keeper.before_save = sink.drain
        reading = time.perf_counter()
        for prediction in passes[direction]():
            sink.put(prediction, run.images.pop(prediction.index) if run.images is not None else None)
            report.frames += 1
            for object_id, value in zip(prediction.object_ids, prediction.confidence, strict=True):
                sums.setdefault(object_id, []).append(value)
                if value < UNSURE:
                    report.unsure.setdefault(object_id, []).append(prediction.index)
            if on_frame is not None:
                on_frame(prediction)
        elapsed = time.perf_counter() - reading
    for writer in writers:
        writer.close()
    spent = dict(run.session.timings.seconds) if run.session is not None else {}
    report.seconds = {**spent, "wait for frames and rest": max(elapsed - sum(spent.values()), 0.0), **report.seconds}
    report.objects = tuple(sums)
    report.confidence = {object_id: sum(values) / len(values) for object_id, values in sums.items()}
    report.problems = list(dict.fromkeys(video.problems))
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
    with VideoWriter(path, video.fps or 24.0, video.size) as writer:
        for frame in video.frames():
            mask = folder / f"{frame.name}.png"
            if not mask.exists():
                writer.write(frame.image)
                continue
            with Image.open(mask) as opened:
                writer.write(overlay(frame.image, np.array(opened)))


def describe(
    video: Video,
    prompts: Prompts,
    model: Method,
    names: Sequence[str],
    direction: str,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What makes a run this run and no other, as JSON gives it back."""
    digest = hashlib.sha256()
    for index, given in sorted(prompts.items()):
        for object_id, mask in sorted(given.items()):
            array = np.ascontiguousarray(np.asarray(mask))
            digest.update(f"{index} {object_id} {array.shape} {array.dtype}".encode())
            digest.update(array.tobytes())
    code = 0
    for tensor in model.state_dict().values():
        raw = tensor.detach().cpu().contiguous()
        code = zlib.crc32(raw.flatten().view(torch.uint8).numpy() if raw.ndim else raw.numpy().tobytes(), code)
    facts = {
        "video": {"name": video.name, "size": video.size, "length": video.length, "range": [video.start, video.end]},
        "masks": digest.hexdigest(),
        "config": asdict(model.config),
        "weights": code,
        "precision": model.precision,
        "formats": list(names),
        "direction": direction,
        "options": dict(options),
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


class StateKeeper:
    """The state of an interrupted run, in ``FOLDER/.rotoscope``, and the report of a finished one."""

    def __init__(self, folder: Path, identity: dict[str, Any], every: int) -> None:
        if every < 1:
            raise InputError(f"a state every {every} frames is not possible; give at least 1.")
        self.folder = folder
        self.work = folder / WORK
        self.path = self.work / "state.safetensors"
        self.identity = identity
        self.every = every
        self.before_save: Callable[[], None] = lambda: None

    def prepare(self, *, resume: bool, overwrite: bool) -> None:
        """Look at what the folder holds and decide whether this run may write to it.

        Raises:
            InputError: it holds another run, or one that was not asked to go on.
        """
        report = self.folder / REPORT
        begun = self.work / "identity.json"
        if resume and begun.exists():
            theirs = json.loads(begun.read_text(encoding="utf-8"))
            differing = [name for name in self.identity if theirs.get(name) != self.identity[name]]
            if differing:
                raise InputError(
                    f"{self.folder}: the interrupted run differs in its {', '.join(differing)}. "
                    "Use the same, or pass --overwrite."
                )
            report.unlink(missing_ok=True)
            return
        used = report.exists() or begun.exists() or any(self.folder.glob("*.png"))
        if used and not overwrite and not (resume and not report.exists()):
            way = "--resume to go on, or --overwrite" if begun.exists() else "--overwrite, or another folder"
            raise InputError(f"{self.folder}: holds the masks of another run. Pass {way}.")
        if self.work.exists():
            shutil.rmtree(self.work)
        report.unlink(missing_ok=True)
        self.work.mkdir(parents=True)
        with atomic_write(begun) as path:
            path.write_text(json.dumps(self.identity), encoding="utf-8")

    def load(self) -> Mapping[str, Any] | None:
        """The saved state, or None."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                state: dict[str, Any] = json.loads((file.metadata() or {})["plain"])
                return state | {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{self.path}: cannot be read ({error}). Pass --overwrite to start again.") from None

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state, after all masks before it."""
        self.before_save()
        tensors = {k: v.detach().cpu().contiguous() for k, v in state.items() if isinstance(v, torch.Tensor)}
        plain = {k: v for k, v in state.items() if not isinstance(v, torch.Tensor)}
        with atomic_write(self.path) as path:
            save_file(tensors, path, {"plain": json.dumps(plain)})

    def scratch(self) -> Path:
        """Folder of the backward pass's answers."""
        folder = self.work / "backward"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def finish(self, report: dict[str, Any]) -> None:
        """Leave the report in place of the state."""
        with atomic_write(self.folder / REPORT) as path:
            path.write_text(json.dumps({"run": self.identity, "report": report}, indent=1), encoding="utf-8")
        shutil.rmtree(self.work)


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
