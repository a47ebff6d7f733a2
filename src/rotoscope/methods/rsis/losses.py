"""What RSIS and RIS learn from: which objects are true, which step found which, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.layers.matching import assign, forbid, soft_iou_costs
from rotoscope.methods.rsis.network import Steps

HALF = 0.5
"""The released code weighs both kinds of stop positions by this "balance", which only halves the term."""
LEAST_LOG = 1e-12
"""RIS adds this inside its logarithms."""


@dataclass(frozen=True, eq=False)
class Targets:
    """The true objects of pictures, the largest first (RSIS, released code).

    Attributes:
        masks: 0 or 1, float ``[B, G, H, W]``.
        classes: int64 ``[B, G]``; 0 where there is no object, or its class is not known.
        objects: 1 where there is an object, float ``[B, G]``; these come first.
        ends: the same and the positions behind, at which a sequence ends, float ``[B, G]``.
        order: the label of each position, less 1, int64 ``[B, G]``; means something only where there is an object.
    """

    masks: Tensor
    classes: Tensor
    objects: Tensor
    ends: Tensor
    order: Tensor

    @classmethod
    def of(cls, labels: Tensor, classes: Tensor | None = None, most: int = 20, beyond: int = 1) -> Targets:
        """Sort objects by their area.

        Args:
            labels: int64 ``[B, H, W]``, 0 the background.
            classes: class of each label, int64 ``[B, labels]`` from label 1 on; not known without.
            most: how many of the largest are kept.
            beyond: positions behind the objects at which a sequence ends.
        """
        count = max(int(labels.max()), 1)
        masks = F.one_hot(labels, count + 1).permute(0, 3, 1, 2)[:, 1:]
        areas, order = masks.sum(dim=(2, 3)).sort(dim=1, descending=True, stable=True)
        masks = torch.gather(masks, 1, order[..., None, None].expand_as(masks))
        known = torch.zeros_like(order)
        if classes is not None:
            wide = F.pad(classes, (0, max(count - classes.shape[1], 0)))
            known = torch.gather(wide, 1, order) * (areas > 0)
        room = (0, max(most - count, 0))
        objects = F.pad((areas > 0).float(), room)[:, :most]
        places = torch.arange(most, device=labels.device)
        ends = (places < objects.sum(dim=1, keepdim=True) + beyond).float()
        masks = F.pad(masks.float(), (0, 0, 0, 0, *room))[:, :most]
        return cls(masks, F.pad(known, room)[:, :most], objects, ends, F.pad(order, room)[:, :most])

    @property
    def most(self) -> int:
        """Objects of the picture that has most."""
        return int(self.objects.sum(dim=1).max())


@dataclass(frozen=True, eq=False)
class RSISLoss:
    """What steps cost, each term a scalar, unweighted.

    Attributes:
        mask: soft IoU.
        stop: binary cross-entropy of the stop scores.
        classes: cross-entropy of the classes; 0 without a class head.
        box: smooth L1 of the boxes; 0 without a box head.
        entropy: binary cross-entropy of the masks' pixels (ours).
        scores: the costs that were matched, ``[B, G, T]``.
        truth_of: the true object of each step, ``[B, T]``; means something only where ``matched``.
        matched: 1 for steps that have a true object, ``[B, T]``.
    """

    mask: Tensor
    stop: Tensor
    classes: Tensor
    box: Tensor
    entropy: Tensor
    scores: Tensor
    truth_of: Tensor
    matched: Tensor


def rsis_loss(answers: Steps, truth: Targets) -> RSISLoss:
    """What RSIS learns (released code).

    The first steps, as many as there are objects, are matched with the objects that they fit best. With fewer steps
    than objects, as in the curriculum, those are the objects found most easily, not the largest. Means are over all
    objects of the batch together.

    Args:
        answers: the steps of the pictures.
        truth: their objects; at least as many positions as steps.
    """
    steps = answers.masks.shape[1]
    matched, ends = truth.objects[:, :steps], truth.ends[:, :steps]
    allowed = (truth.objects[:, :, None] > 0) & (matched[:, None] > 0)
    scores = forbid(soft_iou_costs(answers.masks.detach(), truth.masks), allowed)
    truth_of = assign(scores)
    masks = torch.gather(truth.masks, 1, truth_of[..., None, None].expand_as(answers.masks))
    both = (answers.masks * masks).sum(dim=(2, 3))
    costs = 1 - both / ((answers.masks + masks - answers.masks * masks).sum(dim=(2, 3)) + 1e-6)
    pixels = -(masks * _log(answers.masks) + (1 - masks) * _log(1 - answers.masks)).mean(dim=(2, 3))
    stops = HALF * F.binary_cross_entropy_with_logits(answers.stop, matched, reduction="none")
    classes, boxes = torch.zeros_like(costs), torch.zeros_like(costs)
    if answers.classes is not None:
        names = torch.gather(truth.classes, 1, truth_of)
        classes = F.cross_entropy(answers.classes.flatten(0, 1), names.flatten(), reduction="none").view_as(costs)
    if answers.boxes is not None:
        boxes = F.smooth_l1_loss(answers.boxes, boxes_of(masks), reduction="none").sum(dim=2)
    return RSISLoss(
        _mean(costs, matched),
        _mean(stops, ends),
        _mean(classes, matched),
        _mean(boxes, matched),
        _mean(pixels, matched),
        scores,
        truth_of,
        matched,
    )


@dataclass(frozen=True, eq=False)
class RISLoss:
    """What RIS learns from one picture.

    Attributes:
        loss: a scalar.
        matrix: costs ``[n, n]``, one row for each of the first steps; rows of steps that were not run are 0.
        truth_of: the true object of each row, ``[n]``.
    """

    loss: Tensor
    matrix: Tensor
    truth_of: Tensor


def ris_loss(masks: Tensor, scores: Tensor, truth: Tensor, weight: float = 1.0) -> RISLoss:
    """What RIS learns from one picture (released code).

    Args:
        masks: probabilities of the steps, ``[T, H, W]``.
        scores: their stop scores in [0, 1], ``[T]``.
        truth: true masks, ``[n, H, W]``; n may be 0.
        weight: of the scores' cross-entropy.
    Returns: the sum of minus the relaxed IoU of the matched steps and of all scores' cross-entropies, by the number of
        steps.
    """
    count, steps = len(truth), len(masks)
    first = min(count, steps)
    p, y = masks[:first, None], truth.to(masks.dtype)[None]
    both = (p * y).flatten(2).sum(dim=2)
    overlap = both / (p.flatten(2).sum(dim=2) + y.flatten(2).sum(dim=2) - both)
    rows = weight * -_ln(scores[:first])[:, None] - overlap
    matrix = torch.cat([rows, rows.new_zeros(count - first, count)])
    truth_of = assign(matrix.T[None])[0] if count else torch.zeros(0, dtype=torch.int64, device=masks.device)
    costs = rows.gather(1, truth_of[:first, None]).sum() - weight * _ln(1 - scores[count:]).sum()
    return RISLoss(costs / steps, matrix, truth_of)


def boxes_of(masks: Tensor) -> Tensor:
    """Left, top, width and height of masks as shares of the picture, ``[..., 4]``; zeros for an empty mask.

    Args:
        masks: 0 or 1, ``[..., H, W]``.
    """
    sides = []
    for across in (True, False):
        line = masks.amax(dim=-2 if across else -1) > 0.5
        places = torch.arange(line.shape[-1], device=masks.device)
        first = torch.where(line, places, line.shape[-1]).amin(dim=-1)
        last = torch.where(line, places, -1).amax(dim=-1)
        there = line.any(dim=-1)
        sides.append((torch.where(there, first, 0) / line.shape[-1], (last - first + 1) * there / line.shape[-1]))
    (left, width), (top, height) = sides
    return torch.stack([left, top, width, height], dim=-1).to(masks.dtype)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of the values that count; 0 if none does."""
    return (values * weight).sum() / weight.sum().clamp(min=1)


def _log(p: Tensor) -> Tensor:
    """Logarithm of probabilities in single precision, which reach 0 and 1."""
    return p.clamp(min=1e-6).log()


def _ln(p: Tensor) -> Tensor:
    return (p + LEAST_LOG).log()
