"""Soft aggregation: independent object probabilities to one distribution over background and objects."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-7


def aggregate_logits(probabilities: Tensor, dim: int = 0) -> Tensor:
    """Logits whose softmax over ``dim`` is the aggregated distribution (STM, Eq. 3).

    Args:
        probabilities: one independent probability in [0, 1] per object along ``dim``.
    Returns: the same shape with one more entry along ``dim``, the background first.
    """
    stacked = _with_background(probabilities, dim)
    return torch.log(stacked / (1 - stacked))


def aggregate(probabilities: Tensor, dim: int = 0) -> Tensor:
    """Aggregated probabilities: background and objects along ``dim``, summing to 1.

    The softmax of logits is each one's odds over the sum of all odds, which costs no logarithm and no exponential.
    """
    stacked = _with_background(probabilities, dim)
    if torch.is_grad_enabled():
        odds = stacked / (1 - stacked)
        return odds / odds.sum(dim=dim, keepdim=True)
    odds = stacked.div_(1 - stacked)  # in place: at the frame's own size a plane more is a megabyte and a half
    return odds.div_(odds.sum(dim=dim, keepdim=True))


def leaned(logits: Tensor, lean: float) -> Tensor:
    """Logits of objects with so much added.

    A network that has learnt on few videos marks too little of an object that it has not seen: what turns towards the
    camera is left out, is remembered as background, and stays lost. Not in any paper: 0 is as published.

    Args:
        logits: of any shape.
        lean: in logits; above 0 towards objects, below 0 towards the background.
    Returns: the same shape; the very same tensor for 0.
    """
    return logits + lean if lean else logits


def put_in(objects: Tensor, slots: Sequence[int], masks: Tensor) -> Tensor:
    """Masks that were given replace what was predicted: their own objects' whole, all others' where they cover.

    Args:
        objects: each object's own probability in [0, 1], ``[N, H, W]``; left as it is.
        slots: which of the N objects the masks are of.
        masks: masks in [0, 1], ``[G, H, W]``; they cover where they are above 0.5.
    Returns: ``[N, H, W]``, not aggregated.
    """
    result = objects.masked_fill(masks.gt(0.5).any(dim=0), 0)
    result[list(slots)] = masks.to(result.dtype)
    return result


def _with_background(probabilities: Tensor, dim: int) -> Tensor:
    """Independent probabilities with the background's before them, none of them 0 or 1.

    In float32 at least: half precision has no number between 1 - EPSILON and 1, so the odds would be infinite there.
    """
    if probabilities.dtype in (torch.float16, torch.bfloat16):
        probabilities = probabilities.float()
    background = 1 - probabilities if probabilities.shape[dim] == 1 else (1 - probabilities).prod(dim=dim, keepdim=True)
    return torch.cat([background, probabilities], dim=dim).clamp_(EPSILON, 1 - EPSILON)
