"""How good weights are while they are trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.recurring import RecurringClips
from rotoscope.datasets.synthetic import SyntheticClips, SyntheticConfig
from rotoscope.datasets.wide_clips import clips_of
from rotoscope.methods.clip_loss import ClipLossFunction
from rotoscope.methods.recipe import Recipe
from rotoscope.training.clips import collate, stacked
from rotoscope.training.data import PRIMARY

FRAMES = 4
"""Length of a validation clip."""


def synthetic_j(
    network: nn.Module, clip_loss: ClipLossFunction, recipe: Recipe, photographs: Photographs, device: torch.device
) -> float:
    """Mean J over synthetic clips, at the size and pace of the recipe's last stage: of one and two objects, or of the
    primary object if that is what the stage teaches to find."""
    last = recipe.stages[-1]
    if last.source == "recurring":
        return recurring_j(network, clip_loss, recipe, photographs, device)
    primary = last.source == "primary"
    scores: list[Tensor] = []
    for objects in (1,) if primary else (1, 2):
        asked = {
            "size": max(last.size, last.width),
            "frames": FRAMES,
            "objects": objects,
            "pace": last.pace * recipe.pace,
        }
        config = SyntheticConfig(**{**asked, **(PRIMARY if primary else {})})
        clips = clips_of(SyntheticClips(photographs, config, seed=recipe.seed + 1), last.size, last.width)
        count = recipe.validation_clips // 2
        for start in range(0, count, 4):
            batch = collate(clips, range(start, min(start + 4, count)), objects)
            clip = batch.on(device)
            answers = clip_loss(network, clip).probabilities.argmax(2)
            scores.append(clip_similarity(answers, clip.labels, objects))
    return torch.cat(scores).mean().item()


def recurring_j(
    network: nn.Module, clip_loss: ClipLossFunction, recipe: Recipe, photographs: Photographs, device: torch.device
) -> float:
    """Mean J over clips in which one object recurs, at the size of the recipe's last stage."""
    source, shape = RecurringClips(photographs), ClipShape(recipe.stages[-1].size, FRAMES, 1)
    scores: list[Tensor] = []
    for index in range(recipe.validation_clips):
        clip = stacked([source.clip(np.random.default_rng((recipe.seed + 1, index)), shape)], 1).on(device)
        scores.append(clip_similarity(clip_loss(network, clip).probabilities.argmax(2), clip.labels, 1))
    return torch.cat(scores).mean().item()


def clip_similarity(answers: Tensor, labels: Tensor, objects: int) -> Tensor:
    """J of each object of the first frames over frames 1 to T - 1; empty against empty counts 1.

    Args:
        answers: ``[B, T - 1, H, W]``.
        labels: ``[B, T, H, W]``.
        objects: how many ids.
    """
    scores = []
    for slot in range(1, objects + 1):
        there = (labels[:, 0] == slot).flatten(1).any(dim=1)
        ours, truth = answers[there] == slot, labels[there, 1:] == slot
        both, either = (ours & truth).sum(dim=(2, 3)), (ours | truth).sum(dim=(2, 3))
        scores.append(torch.where(either > 0, both / either.clamp(min=1), 1.0).flatten())
    return torch.cat(scores)
