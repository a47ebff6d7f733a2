"""``rotoscope.segment``, and the same into a folder."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rotoscope.errors import WriteError
from rotoscope.files import inside
from rotoscope.masks.mattes import Delivery, MatteStore
from rotoscope.masks.saving import MaskWriter, save_png
from rotoscope.masks.writing import VIDEOS, open_writer
from rotoscope.methods.base import Method
from rotoscope.methods.clicking import Clicked
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.deliver import deliver, write_overlay
from rotoscope.runs.folder import OutputFolder
from rotoscope.runs.job import Direction, Job, Outputs
from rotoscope.runs.measure import peak_memory
from rotoscope.runs.passes import TURN, Passes, Step
from rotoscope.runs.points import picture_of
from rotoscope.runs.prompts import MaskSource
from rotoscope.runs.report import Report
from rotoscope.runs.sink import Sink
from rotoscope.runs.state import RunState, Tally
from rotoscope.video import Video, open_video
from rotoscope.weights import load

OnFrame = Callable[[Prediction], None]
OnPoints = Callable[[Clicked, Path], None]


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
    runtime: str = "torch",
    **options: Any,
) -> Iterator[Prediction]:
    """Segment a video, frame by frame.

    Args:
        video: whatever :func:`~rotoscope.open_video` takes.
        masks: ``{frame index: masks of that frame}``. The masks of a frame are a file or folder that
            :func:`~rotoscope.read_masks` understands, an array ``[H, W]`` (one object's mask, bool or in [0, 1], or a
            label map), a stack ``[N, H, W]``, a Pillow image, or ``{object_id: one object's mask}``. Anything but a
            mapping is the masks of the first frame. :class:`~rotoscope.Points` stand for object 1 of a frame, or for
            a mask in ``{object_id: mask}``; where the object is followed already, they correct it. A
            mapping is always by frame: object 7 on frame 0 is ``{0: {7: mask}}``. None for methods that find objects
            by themselves.
        model: a name that ``rotoscope methods`` lists, a weights file, or a loaded method.
        direction: ``forward`` answers every frame in order, those before the first prompt with no object;
            ``backward`` goes from the last prompt to the first frame; ``both`` answers every frame, and blends the
            two passes between prompts by the distance in time.
        start: index of the first frame to answer.
        end: index of the frame after the last to answer; None for the video's end.
        resize_masks: bring masks that are read from files to the video's size.
        device: see :func:`rotoscope.load`; not used with a loaded method.
        precision: see :func:`rotoscope.load`; not used with a loaded method.
        runtime: see :func:`rotoscope.load`; not used with a loaded method.
        options: of the method's session.

    Yields: predictions, in the order of the pass (``both``: in order of the frames).

    Raises:
        InputError: something given does not fit; before the first frame wherever it can be known.

    Warns:
        UserWarning: what was decided in reading the masks, and what the request is likely not to mean.
        RuntimeWarning: damage met in the video.
    """
    with open_video(video, start=start, end=end) as opened:
        if not isinstance(model, Method):
            model = load(model, device=device, precision=precision, runtime=runtime)
        job = Job.of(opened, masks, model, direction=direction, resize_masks=resize_masks, options=options)
        passes, told = Passes(job), 0
        for line in (*job.notes, *job.warnings):
            warnings.warn(line, UserWarning, stacklevel=2)
        for step in passes:
            for line in passes.warnings[told:]:
                warnings.warn(line, UserWarning, stacklevel=2)
            told = len(passes.warnings)
            if not step.hidden:
                yield step.prediction
        if not isinstance(video, Video):
            for problem in opened.problems:
                warnings.warn(problem, RuntimeWarning, stacklevel=2)


def segment_to_folder(
    video: Video,
    masks: MaskSource | Mapping[int, MaskSource] | None,
    model: Method,
    folder: str | Path,
    *,
    output_formats: str | Sequence[str] = ("palette",),
    direction: Direction = "forward",
    resize_masks: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    state_every: int = 50,
    by_contents: bool = False,
    delivery: Delivery | None = None,
    on_frame: OnFrame | None = None,
    on_points: OnPoints | None = None,
    **options: Any,
) -> Report:
    """Segment a video and write its masks.

    The palette masks stand in ``folder`` itself, other formats in folders of their names, an overlay as
    ``overlay.mp4`` (it is made at the end from the palette masks, which are then written too). The request is checked
    whole before the folder is touched, and nothing of an earlier run goes before the first frame is answered.

    Args:
        video: an open video.
        masks: see :func:`rotoscope.segment`.
        model: a loaded method.
        folder: where to write.
        output_formats: names of :data:`rotoscope.masks.FORMATS`.
        direction: see :func:`rotoscope.segment`.
        resize_masks: see :func:`rotoscope.segment`.
        resume: go on from an interrupted run of the same video, masks and options; masks come out the same. A run
            that had finished is left as it is.
        overwrite: start again; what an earlier run left is replaced.
        state_every: frames between saved states.
        by_contents: know the video of the run to resume by the contents of its files, which are all read for it, rather
            than by their names, sizes and times of change. Give it from the first call on.
        delivery: how objects are shown in the formats for other programs (``png``, ``exr``, ``prores``, ``webm``,
            ``ffv1``, ``matte``, ``greenscreen``, ``blur``), and their colours in ``overlay``: all together with
            straight alpha, and the palette's, unless given.
        on_frame: called with each prediction; in direction ``both`` also with those of the backward pass, which are
            not answers yet.
        on_points: called with what became of points as soon as they are answered, and with the picture in
            ``folder/points`` that shows it.
        options: of the method's session.

    Raises:
        InputError: something given does not fit, or the folder holds another run or is being written to by one.
        RotoscopeError: masks cannot be written, as when the disk is full; or the video is gone, or altered, before its
            end. What was finished stays, and the run can be resumed when that is mended.
    """
    begun = time.perf_counter()
    outputs = Outputs.of(folder, output_formats, state_every, by_contents, delivery)
    job = Job.of(video, masks, model, direction=direction, resize_masks=resize_masks, options=options, outputs=outputs)
    with OutputFolder.claim(job, resume=resume, overwrite=overwrite) as claimed:
        if claimed.finished is not None:
            return Report.of_finished(claimed.finished)
        try:
            return _Work(job, outputs, claimed, on_frame, on_points).run(begun)
        except WriteError as error:
            raise WriteError(f"{error} What is finished stays; --resume goes on from there.") from None


class _Work:
    """A job, from the moment its folder is claimed."""

    def __init__(
        self, job: Job, outputs: Outputs, folder: OutputFolder, on_frame: OnFrame | None, on_points: OnPoints | None
    ) -> None:
        self.job = job
        self.outputs = outputs
        self.folder = folder
        self.on_frame = on_frame
        self.on_points = on_points
        self.state = folder.state()
        self.tally = self.state.tally if self.state is not None else Tally()
        self._agreement: dict[int, Mapping[int, float]] = {}
        self.report = Report(size=job.video.size, folder=str(outputs.folder))
        self.report.resumed_at = self.state.position if self.state is not None else None
        self.sink: Sink | None = None
        self.writers: list[MaskWriter] = []
        self.store: MatteStore | None = None
        self.delivered: list[str] = []
        self.passes = Passes(
            job,
            start=self.state,
            save=self._save,
            every=outputs.state_every,
            scratch=folder.scratch(),
            images=outputs.needs_images,
        )

    def run(self, begun: float) -> Report:
        """Go over the video, write, and leave the report; ``begun`` is when the call began."""
        measured = self.report.measured
        self._write()
        if "overlay" in self.outputs.formats:
            with measured.part("overlay video"):
                path = inside(self.outputs.folder, "overlay.mp4")
                write_overlay(
                    self.job.video, self.outputs.folder, path, self.folder.renew, self.outputs.delivery.paints()
                )
        self._deliver()
        self.job.video.check_unchanged()
        self._sum_up()
        measured.peak = peak_memory()
        measured.wall = time.perf_counter() - begun
        self.folder.finish(self.report.as_record())
        return self.report

    def _write(self) -> None:
        """Take all steps; the first before anything of an earlier run goes, as a method may refuse what it is given."""
        measured = self.report.measured
        reading = time.perf_counter()
        steps = iter(self.passes)
        first = list(islice(steps, 1))
        self.folder.begin()
        known = {i for masks in self.job.prompts.values() for i in masks}
        places, delivery = self.outputs.places.items(), self.outputs.delivery
        self.writers = [self.folder, *(open_writer(name, place, delivery, known) for name, place in places)]
        if any(name in VIDEOS for name in self.outputs.formats):
            self.store = MatteStore(self.folder.mattes(), delivery)
            self.writers.append(self.store)
        try:
            with Sink(self.writers, measured, self._count) as sink:
                self.sink = sink
                for step in chain((first.pop() for _ in first[:]), steps):
                    self._take(step, sink)
                    self._show()
                    measured.saw(self.passes.sessions[-1])
                    del step  # its masks would live on while the next frame is answered
                sink.drain()
                elapsed = time.perf_counter() - reading
        except BaseException:
            with suppress(WriteError, OSError):  # why the run ends matters more
                self._flush()
            raise
        for writer in self.writers:
            writer.close()
        waited = max(elapsed - self.passes.measured.parts.get(TURN, 0.0), 0.0)
        measured.parts = {**self.passes.seconds, "wait for frames and rest": waited, **measured.parts}

    def _deliver(self) -> None:
        """Make videos for other programs of the mattes; those that an interrupted run had made are left."""
        if self.store is None:
            return
        with self.report.measured.part("videos"):
            made, folder = self.folder.made, self.outputs.folder
            notes = deliver(
                self.job.video, self.store, self.outputs.formats, folder, self.folder.renew, self.folder.note_made, made
            )
        self.delivered = notes

    def _take(self, step: Step, sink: Sink) -> None:
        self.folder.renew()
        if not step.hidden:
            self._agreement[step.prediction.index] = step.agreement
            sink.put(step.prediction, step.image)
            self.report.measured.frames += 1
        if self.on_frame is not None:
            self.on_frame(step.prediction)

    def _count(self, prediction: Prediction) -> None:
        """Take a frame into account whose masks are written."""
        prompts = self.job.prompts.get(prediction.index, {})
        self.tally.count(prediction, prompts, self._agreement.pop(prediction.index))

    def _show(self) -> None:
        """Make pictures of what points gave, at once, so that a wrong beginning is seen."""
        while self.passes.clicked:
            clicked = self.passes.clicked.popleft()
            path = self.folder.picture(f"{clicked.frame.name}-{clicked.object_id}")
            save_png(path, picture_of(clicked)[..., ::-1])
            if self.on_points is not None:
                self.on_points(clicked, path)

    def _flush(self) -> None:
        """Bring files that span the clip up to all frames that were answered."""
        for writer in self.writers:
            writer.flush()

    def _save(self, state: RunState) -> None:
        """Keep a state, once the masks before it are written, in every format."""
        if self.sink is None:
            return  # nothing is answered yet, and an earlier run's state may still be there
        self.sink.drain()
        self._flush()
        self.tally.note(self.job.video.problems, self.passes.warnings)
        state.tally = self.tally
        self.folder.save(state)

    def _sum_up(self) -> None:
        self.tally.note(self.job.video.problems, self.passes.warnings)
        self.report.confidence = self.tally.mean_confidence
        self.report.present = {object_id: number for object_id, (_, number) in self.tally.confidence.items()}
        self.report.objects = tuple(self.report.confidence)
        self.report.look = self.tally.watch.listed
        self.report.absent = self.tally.watch.absent
        self.report.problems = self.tally.problems
        self.report.notes = [*self.job.notes, *self.passes.notes, *self.delivered]
        self.report.warnings = [*self.job.warnings, *self.tally.warnings]
