"""Batches of clips as a function of the step, for exact resume, and of the process, for several at once."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rotoscope.datasets.clip_sources import ClipShape, ClipSource, Mixture
from rotoscope.datasets.synthetic import Clip, SyntheticClips
from rotoscope.datasets.wide_clips import WideClips
from rotoscope.errors import InputError
from rotoscope.layers.normalise import normalise
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.sources import ON_DEVICE, RECTANGULAR
from rotoscope.training.data import TrainingData
from rotoscope.training.layered.plan import StepPlan, step_plan


class Batch(NamedTuple):
    """Clips of one step.

    Attributes:
        frames: the frames, uint8 RGB ``[B, T, 3, H, W]``.
        labels: the labels, int64 ``[B, T, H, W]`` in [0, objects].
        objects: the number of slots for objects.
        places: float32 ``[B, T, H / 16, W / 16, 3]``, see :class:`~rotoscope.datasets.synthetic.Clip`.
        classes: class of each slot, int64 ``[B, objects]``, 0 where it is not known; None if no class is.
    """

    frames: Tensor
    labels: Tensor
    objects: int
    places: Tensor
    classes: Tensor | None = None

    def on(self, device: torch.device, hardest: float = 1.0) -> ClipBatch:
        """The batch as a clip loss takes it, on a device.

        Args:
            device: where.
            hardest: share of the pixels that a bootstrapped loss counts.
        """
        images, labels = normalise(self.frames.to(device)), self.labels.to(device)
        classes = None if self.classes is None else self.classes.to(device)
        return ClipBatch(images, labels, self.objects, self.places.to(device), hardest, classes)

    def parts(self, count: int) -> list[Batch]:
        """The batch in ``count`` parts of one size, or as near to it as its clips allow."""
        size = -(-len(self.frames) // count)
        cuts = [slice(start, start + size) for start in range(0, len(self.frames), size)]
        return [
            Batch(
                self.frames[cut],
                self.labels[cut],
                self.objects,
                self.places[cut],
                None if self.classes is None else self.classes[cut],
            )
            for cut in cuts
        ]


class StepBatches(Dataset["Batch | StepPlan"]):
    """Item ``step`` is the batch of that step, or the plan of one that the device makes; nothing else decides it.

    With several processes each takes its part of the step's clips: two processes with batches of four see what one
    with batches of eight sees.
    """

    def __init__(self, recipe: Recipe, data: TrainingData, process: int = 0, processes: int = 1) -> None:
        self.recipe = recipe
        for stage in recipe.kinds():
            apart = [origin.source for origin in stage.origins if origin.source in ON_DEVICE]
            if apart and len(stage.origins) > 1:
                raise InputError(f"{recipe.name}: {apart[0]} clips make whole steps; give them a stage of their own.")
            square = [origin.source for origin in stage.origins if origin.source not in RECTANGULAR]
            if stage.width and square:
                raise InputError(
                    f"{recipe.name}: {square[0]} clips are squares, not {stage.shape}. Only those of "
                    f"{', '.join(RECTANGULAR)} have a width."
                )
        self.sources = data.sources(recipe)
        self.planner = data.layered.planner if recipe.on_device else None
        self.process = process
        self.processes = processes

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> Batch | StepPlan:
        stage, within = self.recipe.place(step)
        rng = np.random.default_rng((self.recipe.seed, step))
        chances = np.array(stage.objects or self.recipe.objects)
        objects = int(rng.choice(len(chances), p=chances / chances.sum())) + 1
        pace = stage.pace * self.recipe.pace
        shape = ClipShape(stage.size, stage.frames, objects, stage.skip(within), pace, stage.width)
        slots = range(self.process * stage.batch, (self.process + 1) * stage.batch)
        rngs = [np.random.default_rng((self.recipe.seed, step, slot)) for slot in slots]
        if self.planner is not None and stage.source in ON_DEVICE:
            return step_plan([self.planner.clip(own, shape) for own in rngs], shape)
        source = self._source(stage)
        return stacked([source.clip(own, shape) for own in rngs], objects)

    def _source(self, stage: Stage) -> ClipSource:
        """What makes the clips of a stage; of several sources one is drawn for each clip."""
        origins = self.recipe.origins_of(stage)
        if len(origins) == 1:  # no draw, so that clips are those of before there were several
            return self.sources[origins[0]]
        return Mixture([(origin.share, self.sources[origin]) for origin in origins])


def stacked(clips: list[Clip], objects: int) -> Batch:
    """Clips as a batch."""
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips])).permute(0, 1, 4, 2, 3).contiguous()
    labels = torch.from_numpy(np.stack([clip.labels for clip in clips])).long()
    classes = None
    if any(clip.classes is not None for clip in clips):
        known = [np.zeros(0, np.int64) if clip.classes is None else clip.classes for clip in clips]
        classes = torch.from_numpy(np.stack([np.pad(row, (0, objects - len(row))) for row in known]))
    return Batch(frames, labels, objects, torch.from_numpy(np.stack([clip.places for clip in clips])), classes)


def collate(clips: SyntheticClips | WideClips, indices: range, objects: int) -> Batch:
    """Make the synthetic clips of ``indices`` and stack them."""
    return stacked([clips.clip(index) for index in indices], objects)


def _quiet_worker(worker: int) -> None:
    cv2.setNumThreads(0)


def step_loader(batches: StepBatches, start: int, workers: int, pinned: bool = False) -> DataLoader[Batch | StepPlan]:
    """Batches of the steps from ``start`` on, in order, made ahead by ``workers`` processes.

    ``pinned`` puts them where a GPU fetches them without being waited for.
    """
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_quiet_worker,
        pin_memory=pinned,
    )
