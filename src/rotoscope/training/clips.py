"""Batches of synthetic clips as a function of the step, for exact resume."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.synthetic import SyntheticClips, SyntheticConfig
from rotoscope.methods.recipe import Recipe


class Batch(NamedTuple):
    """Clips of one step.

    Attributes:
        frames: uint8 ``[B, T, 3, H, W]``.
        labels: int64 ``[B, T, H, W]`` in [0, objects].
        objects: slots.
        places: float32 ``[B, T, H / 16, W / 16, 3]``, see :class:`~rotoscope.datasets.synthetic.Clip`.
    """

    frames: Tensor
    labels: Tensor
    objects: int
    places: Tensor


class StepBatches(Dataset[Batch]):
    """Item ``step`` is the batch of that step; nothing else decides what it holds."""

    def __init__(self, recipe: Recipe, photographs: Photographs) -> None:
        self.recipe = recipe
        self.photographs = photographs

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> Batch:
        stage = self.recipe.stage(step)
        rng = np.random.default_rng((self.recipe.seed, step))
        chances = np.array(self.recipe.objects) / sum(self.recipe.objects)
        objects = int(rng.choice(len(chances), p=chances)) + 1
        config = SyntheticConfig(size=stage.size, frames=stage.frames, objects=objects)
        clips = SyntheticClips(self.photographs, config, self.recipe.seed)
        return collate(clips, range(step * 64, step * 64 + stage.batch), objects)


def collate(clips: SyntheticClips, indices: range, objects: int) -> Batch:
    """Make the clips of ``indices`` and stack them."""
    made = [clips.clip(index) for index in indices]
    frames = torch.from_numpy(np.stack([clip.frames for clip in made])).permute(0, 1, 4, 2, 3).contiguous()
    labels = torch.from_numpy(np.stack([clip.labels for clip in made])).long()
    return Batch(frames, labels, objects, torch.from_numpy(np.stack([clip.places for clip in made])))


def _quiet_worker(worker: int) -> None:
    cv2.setNumThreads(0)


def step_loader(recipe: Recipe, photographs: Photographs, start: int, workers: int) -> DataLoader[Batch]:
    """Batches of the steps from ``start`` on, in order, made ahead by ``workers`` processes."""
    return DataLoader(
        StepBatches(recipe, photographs),
        batch_size=None,
        sampler=range(start, recipe.steps),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_quiet_worker,
    )
