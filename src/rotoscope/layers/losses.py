"""Losses that several methods share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def bootstrapped_cross_entropy(logits: Tensor, labels: Tensor, hardest: float = 1.0) -> Tensor:
    """Cross-entropy over the hardest share of the pixels of each clip (STCN, released code).

    Args:
        logits: ``[B, C, H, W]``.
        labels: int64 ``[B, H, W]`` in [0, C).
        hardest: share of the pixels that count, in (0, 1]; 1 is plain cross-entropy.
    Returns: the mean over the batch, a scalar.
    """
    loss = F.cross_entropy(logits, labels, reduction="none").flatten(1)
    if hardest < 1:
        loss = loss.topk(max(int(loss.shape[1] * hardest), 1), dim=1, sorted=False).values
    return loss.mean()


def dice_loss(probabilities: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """One minus the soft Dice coefficient, averaged over each clip's objects, then over the clips.

    Args:
        probabilities: ``[B, N, H, W]`` in [0, 1].
        targets: the same shape, 0 or 1.
        valid: ``[B, N]``, 1 where the slot holds an object.
    """
    overlap = (probabilities * targets).sum(dim=(2, 3))
    total = (probabilities + targets).sum(dim=(2, 3))
    loss = 1 - (2 * overlap + 1) / (total + 1)
    return ((loss * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)).mean()


def correspondence_loss(scores: Tensor, memory: Tensor, query: Tensor, sigma: float = 12.0) -> Tensor:
    """How far an affinity is from looking where the same thing was.

    Synthetic clips know which cell of one frame shows what a cell of another shows. Asking the affinity for that
    directly teaches the keys much faster than asking only for masks.

    Args:
        scores: affinity before the softmax, ``[B, M, Q]``.
        memory: what each memory cell shows, ``[B, M, 3]``: layer (-1: unknown), and a point on it in pixels.
        query: the same for the query cells, ``[B, Q, 3]``.
        sigma: how near two points count as the same, in pixels.
    Returns: cross-entropy against the cells that show the same thing, over each clip's query cells that have any; 0
        without one.
    """
    same = (memory[:, :, None, 0] == query[:, None, :, 0]) & (query[:, None, :, 0] >= 0)
    apart = (memory[:, :, None, 1:] - query[:, None, :, 1:]).square().sum(dim=-1)
    weight = torch.exp(-apart / (2 * sigma**2)) * same
    total = weight.sum(dim=1)
    there = total > 0.25
    target = weight / total.clamp(min=1e-6)[:, None]
    loss = -(target * torch.log_softmax(scores.float(), dim=1)).sum(dim=1)
    return ((loss * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)).mean()


def two_sided_dice_loss(probabilities: Tensor, targets: Tensor, eps: float = 1e-8) -> Tensor:
    """Dice loss of object and background together, without the factor 2 (CapsuleVOS, equation 5 and released code).

    Args:
        probabilities: ``[..., H, W]`` in [0, 1].
        targets: the same shape, 0 or 1.
        eps: keeps empty pictures finite.
    Returns: ``1 - both / all - neither / (all but)``, the mean over the leading dimensions; 0 for a perfect answer.
    """
    p, r = probabilities, targets
    dims = (-2, -1)
    front = ((p * r).sum(dims) + eps) / ((p + r).sum(dims) + eps)
    back = (((1 - p) * (1 - r)).sum(dims) + eps) / ((2 - p - r).sum(dims) + eps)
    return (1 - front - back).mean()


def soft_iou_loss(logits: Tensor, targets: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """One minus the soft intersection over union (RSIS and RVOS, released code).

    Args:
        logits: ``[N, P]``, flattened masks.
        targets: the same shape, 0 or 1. An empty target costs exactly 1 and teaches nothing.
        weight: ``[N]``, 1 for masks that count; all count without it, or if none does.
        eps: keeps empty pictures finite.
    """
    p = torch.sigmoid(logits)
    both = (p * targets).sum(dim=-1)
    cost = 1 - both / ((p + targets - p * targets).sum(dim=-1) + eps)
    if weight is None or not weight.any():
        return cost.mean()
    return (cost * weight).sum() / weight.sum()


def class_balanced_bce(logits: Tensor, targets: Tensor, balanced: bool = True) -> Tensor:
    """Binary cross-entropy that does not let the background drown the object (COSNet).

    Args:
        logits: any shape.
        targets: the same shape, 0 or 1.
        balanced: object pixels weigh by the share of the background and background pixels by the share of the object,
            as the paper says; else all pixels weigh alike, by one over the share of object pixels (released code).
    """
    share = targets.mean()
    if not balanced:
        return F.binary_cross_entropy_with_logits(logits, targets) / share.clamp(min=1e-6)
    weight = torch.where(targets > 0.5, 1 - share, share)
    return F.binary_cross_entropy_with_logits(logits, targets, weight)
