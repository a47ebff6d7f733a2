"""Losses of one training clip of RVOS, and its recipes (Ventura et al., CVPR 2019; released code: facts, 11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from rotoscope.layers.aggregation import aggregate
from rotoscope.layers.losses import soft_iou_loss
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.rvos.network import Pyramid, RVOSNetwork, resize, run_frame

SMALL = {"depth": 18, "hidden": 64, "size": (192, 336)}
"""Sizes of ``rvos-small``: a ResNet-18 trunk and ConvLSTMs of half the width."""
SLOTS = 10
FORBIDDEN = 10.0
"""Cost of a pair that must not match."""

RECIPES: dict[str, Recipe] = {
    name: Recipe(
        name=name,
        method="rvos",
        config={**SMALL, "one_shot": one_shot},
        stages=(Stage(2000, 192, 4, 4), Stage(1000, 192, 5, 3)),
        objects=(0.3, 0.4, 0.3),
        learning_rate=5e-4,
        loss={"inferred": 1.0} if one_shot else {},
    )
    for name, one_shot in (("rvos-small", True), ("rvos-small-zeroshot", False))
}
"""Recipes by name; each trains from scratch on synthetic clips."""


@dataclass(frozen=True)
class ClipLoss:
    """What a training clip gives.

    Attributes:
        loss: scalar to minimise: the frames' losses, summed.
        parts: named scalars for the log.
        probabilities: aggregated, ``[B, T - 1, 1 + N, H, W]``, of the frames after the first, detached.
    """

    loss: Tensor
    parts: dict[str, float]
    probabilities: Tensor


@dataclass(frozen=True)
class ClipRun:
    """What running a clip gives.

    Attributes:
        losses: of each frame.
        probabilities: of each frame, by slot, ``[B, S, H, W]``, detached.
        cost: matrix ``[B, S, S]`` (true slot, predicted slot) that was matched; None for one-shot.
        truth_of: the true slot of each predicted slot, ``[B, S]``; None for one-shot.
    """

    losses: list[Tensor]
    probabilities: list[Tensor]
    cost: Tensor | None = None
    truth_of: Tensor | None = None


def run_clip(
    network: RVOSNetwork,
    images: Tensor,
    truth: Tensor,
    weight: Tensor,
    *,
    recurrence: str = "spatial-temporal",
    inferred: bool = False,
    any_slot: bool = False,
) -> ClipRun:
    """Run a clip and compare with the truth; gradients flow back through the hidden states, not through masks.

    Args:
        network: what is trained.
        images: normalised RGB, ``[B, T, 3, H, W]``.
        truth: masks by slot, ``[B, T, S, H, W]``, 0 or 1.
        weight: 1 for slots that hold an object of the clip, ``[B, S]``.
        recurrence: see :class:`~rotoscope.methods.rvos.config.RVOSConfig`.
        inferred: one-shot takes its own mask of the frame before (second stage, the "+" model), else the true one. The
            first frame takes its own truth either way.
        any_slot: zero-shot may match an object with any slot, as the paper says; the released code only with the slots
            that stand at the objects' own places.
    """
    slots = truth.shape[2]
    before: list[Pyramid | None] | None = None
    masks = truth[:, 0]
    losses, answers = [], []
    cost = truth_of = None
    for t in range(images.shape[1]):
        features = network.encode(images[:, t])
        if not inferred and t:
            masks = truth[:, t - 1]
        logits, states = run_frame(network, features, slots, masks if network.one_shot else None, before, recurrence)
        before = [state.hidden for state in states]
        full = resize(logits.float(), images.shape[-2:])  # the losses and the matching want full precision
        if inferred:
            masks = torch.sigmoid(full).detach()
        if not network.one_shot and truth_of is None:
            cost = matching_cost(full.detach(), truth[:, 0], weight, any_slot)
            truth_of = assign(cost)
        target = truth[:, t]
        if truth_of is not None:
            target = torch.gather(target, 1, truth_of[..., None, None].expand_as(target))
        counted = weight
        if truth_of is not None and any_slot:
            counted = torch.gather(weight, 1, truth_of)
        losses.append(soft_iou_loss(full.flatten(2).flatten(0, 1), target.flatten(2).flatten(0, 1), counted.flatten()))
        answers.append(torch.sigmoid(full).detach())
    return ClipRun(losses, answers, cost, truth_of)


def matching_cost(logits: Tensor, truth: Tensor, weight: Tensor, any_slot: bool) -> Tensor:
    """Soft-IoU costs of all pairs of the first frame, ``[B, true slot, predicted slot]``; forbidden pairs cost ten."""
    p, y = torch.sigmoid(logits).flatten(2)[:, None], truth.flatten(2)[:, :, None]
    both = (p * y).sum(dim=-1)
    cost = 1 - both / ((p + y - p * y).sum(dim=-1) + 1e-6)
    allowed = weight[:, :, None] > 0
    if not any_slot:
        allowed = allowed & (weight[:, None, :] > 0)
    return torch.where(allowed, cost, torch.full_like(cost, FORBIDDEN))


def assign(cost: Tensor) -> Tensor:
    """The true slot of each predicted slot, ``[B, S]``, so that the sum of costs is least."""
    found = []
    for matrix in cost.cpu().numpy():
        rows, columns = linear_sum_assignment(matrix)
        truth_of = np.empty(len(rows), np.int64)
        truth_of[columns] = rows
        found.append(truth_of)
    return torch.from_numpy(np.stack(found)).to(cost.device)


def clip_loss(
    network: RVOSNetwork,
    images: Tensor,
    labels: Tensor,
    objects: int,
    *,
    hardest: float = 1.0,
    places: Tensor | None = None,
    correspondence: float = 0.0,
    inferred: float = 1.0,
    any_slot: float = 0.0,
    only: float = 0.0,
) -> ClipLoss:
    """The loss of a clip of labels, as the training loop asks for it.

    Args:
        network: what is trained.
        images: normalised RGB, ``[B, T, 3, H, W]``.
        labels: int64 ``[B, T, H, W]``; slot = id - 1.
        objects: highest id.
        hardest, places, correspondence: not used by RVOS.
        inferred, any_slot: other than 0: see :func:`run_clip`.
        only: 1 trains spatial recurrence only, 2 temporal only.
    """
    slots = objects if network.one_shot else SLOTS
    truth = F.one_hot(labels, slots + 1).permute(0, 1, 4, 2, 3)[:, :, 1:].to(images.dtype)
    weight = (truth[:, 0].sum(dim=(2, 3)) > 0).to(images.dtype)
    recurrence = ("spatial-temporal", "spatial", "temporal")[int(only)]
    run = run_clip(
        network, images, truth, weight, recurrence=recurrence, inferred=bool(inferred), any_slot=bool(any_slot)
    )
    answers = []
    for probabilities in run.probabilities[1:]:
        if run.truth_of is not None:  # back from predicted slots to the objects' own
            places_of = run.truth_of.argsort(dim=1)[:, :objects]
            size = (-1, -1, *probabilities.shape[-2:])
            probabilities = torch.gather(probabilities, 1, places_of[..., None, None].expand(size))
        answers.append(torch.stack([aggregate(p) for p in probabilities.float()]))
    loss = torch.stack(run.losses).sum()
    return ClipLoss(loss, {"soft_iou": loss.item() / len(run.losses)}, torch.stack(answers, dim=1))
