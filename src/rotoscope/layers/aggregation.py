"""Soft aggregation: independent object probabilities to one distribution over background and objects."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-7


def aggregate_logits(probabilities: Tensor, dim: int = 0) -> Tensor:
    """Logits whose softmax over ``dim`` is the aggregated distribution (STM, Eq. 3; facts of STCN, section 4).

    Args:
        probabilities: one independent probability in [0, 1] per object along ``dim``.
    Returns: the same shape with one more entry along ``dim``, the background first.
    """
    background = (1 - probabilities).prod(dim=dim, keepdim=True)
    stacked = torch.cat([background, probabilities], dim=dim).clamp(EPSILON, 1 - EPSILON)
    return torch.log(stacked / (1 - stacked))


def aggregate(probabilities: Tensor, dim: int = 0) -> Tensor:
    """Aggregated probabilities: background and objects along ``dim``, summing to 1."""
    return torch.softmax(aggregate_logits(probabilities, dim), dim=dim)
