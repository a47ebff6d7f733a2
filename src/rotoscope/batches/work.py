"""Carrying out one job of a batch: the same in a worker process, in an actor of Ray, and in a check beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.joining import join, piece_identity
from rotoscope.batches.places import Places
from rotoscope.batches.split import find_cuts, piece_jobs, pieces_of
from rotoscope.batches.thumbnails import write_thumbnail
from rotoscope.datasets.sequences import VideoDataset, VideoSequence
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.evaluation.protocol import protocol
from rotoscope.files import remove_tree
from rotoscope.methods.base import Method
from rotoscope.runs.dataset import prompts_of
from rotoscope.runs.folder import holds_run
from rotoscope.runs.job import Job, Outputs
from rotoscope.runs.prompts import Prompts, read_prompts
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import Video, open_video
from rotoscope.video.images import ImageSequence
from rotoscope.weights import load
from rotoscope.weights.load import located
from rotoscope.weights.store import file_hash


@dataclass
class Carrier:
    """Does jobs one after another; holds the model and the data set over jobs.

    Attributes:
        folder: of the batch.
        device: see :func:`rotoscope.load`.
        precision: see :func:`rotoscope.load`.
        state_every: frames between saved states.
    """

    folder: Path
    device: str = "auto"
    precision: str = "fast"
    state_every: int = 50
    _models: dict[str, Method] = field(default_factory=dict)
    _datasets: dict[str, VideoDataset] = field(default_factory=dict)

    def do(self, job: BatchJob, identity: str, on_frame: Callable[[Any], None] | None = None) -> dict[str, Any]:
        """Segment a job's video and move the results into place; what is done already is not done again.

        Args:
            job: what to do.
            identity: of the job; see :meth:`~rotoscope.batches.jobs.BatchJob.identity`.
            on_frame: called with each prediction; what it raises ends the job, which can go on later.
        Returns: the report, as ``run.json`` has it, with the frames of all attempts.

        Raises:
            InputError: something about the job cannot be used.
            RotoscopeError: the results cannot be written.
        """
        places = Places(self.folder)
        there = places.committed(job, identity)
        if there is None or there["identity"] != identity:
            places.adopt(identity)
            if job.cuts and job.piece is None:
                self._join(job, identity)
            else:
                self._run(job, identity, on_frame)
            there = places.commit(job, identity)
        for number, _ in enumerate(piece_jobs(job) if job.piece is None else ()):
            remove_tree(places.results(replace(job, piece=number), piece_identity(identity, number)))
        return there["report"] | {"frames": len(there["masks"])}  # the last call may have answered only some of them

    def _run(self, job: BatchJob, identity: str, on_frame: Callable[[Any], None] | None) -> None:
        """Segment, into the folder of work."""
        work = Places(self.folder).work(identity)
        with self.opened(job) as (video, prompts, model):
            segment_to_folder(
                video,
                prompts or None,
                model,
                work,
                output_formats=job.formats,
                direction=job.direction,  # type: ignore[arg-type]
                resume=holds_run(work),
                overwrite=True,
                state_every=self.state_every,
                on_frame=on_frame,
                **job.options,
            )
            if job.piece is None:
                write_thumbnail(video, work)

    def _join(self, job: BatchJob, identity: str) -> None:
        """Join the pieces of a video, in the folder of work."""
        places = Places(self.folder)
        with self.opened(job) as (video, prompts, model):
            outputs = Outputs.of(places.work(identity), job.formats, self.state_every)
            asked = Job.of(video, prompts, model, direction=job.direction, options=job.options, outputs=outputs)  # type: ignore[arg-type]
            join(job, identity, places, video, asked)
            write_thumbnail(video, places.work(identity))

    def check(self, job: BatchJob) -> tuple[tuple[int, int], int | None]:
        """See that a job could be done, without touching anything; size and number of frames of its video.

        Raises:
            InputError: it could not.
        """
        places = Places(self.folder)
        places.committed(job)
        with self.opened(job) as (video, prompts, model):
            outputs = Outputs.of(places.results(job), job.formats, self.state_every)
            Job.of(video, prompts or None, model, direction=job.direction, options=job.options, outputs=outputs)  # type: ignore[arg-type]
            return video.size, video.length

    @contextmanager
    def opened(self, job: BatchJob) -> Iterator[tuple[Video, Prompts, Method]]:
        """A job's video, masks and model, ready.

        Raises:
            InputError: one of them cannot be used.
        """
        model = self._model(job.method)
        if not job.dataset:
            with open_video(job.video, start=job.start, end=job.end) as video:
                masks = {frame: Path(path) for frame, path in job.masks.items()}
                prompts = read_prompts(masks or None, video, job.resize_masks)
                if job.piece is None:
                    yield video, prompts, model
                    return
            piece = pieces_of(job)[job.piece]
            with open_video(job.video, start=piece.first, end=piece.stop) as video:
                yield video, {frame: by_id for frame, by_id in prompts.items() if piece.holds(frame)}, model
            return
        dataset, sequence = _found(job, self._datasets)
        prompts = prompts_of(sequence, protocol(dataset.kind, "semi")) if model.task == "semi" else {}
        with ImageSequence(list(sequence.images.values()), sequence.name) as images:
            yield images, prompts, model

    def _model(self, name: str) -> Method:
        if name not in self._models:
            self._models.clear()  # a batch of several methods holds one at a time
            self._models[name] = load(name, device=self.device, precision=self.precision)
        return self._models[name]


def weights_hash(name: str, known: dict[str, str]) -> str:
    """Hash of the weights that a name or path stands for; kept in ``known``.

    Raises:
        InputError: there are none.
    """
    if name not in known:
        path, _ = located(name)
        known[name] = file_hash(path) if path.is_file() else str(path)
    return known[name]


def cut(job: BatchJob) -> BatchJob:
    """A job with the frames at which its video may be cut; as it was if there are none, or it cannot be opened.

    Sequences of data sets stay whole: their protocols ask for one run. What is wrong with a job is said when it is done
    or checked.
    """
    if job.dataset or not job.masks:
        return job
    try:
        with open_video(job.video, start=job.start, end=job.end) as video:
            prompts = read_prompts({frame: Path(path) for frame, path in job.masks.items()}, video, job.resize_masks)
            return replace(job, cuts=find_cuts(prompts, job.direction, video.start))
    except RotoscopeError:
        return job


def files_of(job: BatchJob, known: dict[str, VideoDataset]) -> list[Path]:
    """Images and masks of the sequence that a job is of, in order; the data set is kept in ``known``.

    Raises:
        InputError: there is no such sequence.
    """
    _, sequence = _found(job, known)
    return [*sequence.images.values(), *(path for paths in sequence.annotations.values() for path in paths)]


def _found(job: BatchJob, known: dict[str, VideoDataset]) -> tuple[VideoDataset, VideoSequence]:
    if job.dataset not in known:
        known[job.dataset] = open_dataset(job.dataset)
    sequence = next((one for one in known[job.dataset] if one.name == job.sequence), None)
    if sequence is None or not sequence.images:
        raise InputError(f"{job.dataset}: has no images of a sequence {job.sequence}.")
    return known[job.dataset], sequence
