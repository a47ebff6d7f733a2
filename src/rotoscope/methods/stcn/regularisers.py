"""The thesis's two regularisers of the affinity (chapter 4); training only. Both made its results worse."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def drop_affinity(scores: Tensor, share: float) -> Tensor:
    """Put a random share of the affinity's entries to minus infinity, before the softmax.

    The thesis leaves open whether it is before or after. A query never loses everything.

    Args:
        scores: ``[B, M, Q]``.
        share: in [0, 1).
    """
    gone = torch.rand_like(scores) < share
    gone = gone & ~gone.all(dim=1, keepdim=True)
    return scores.masked_fill(gone, float("-inf"))


def inside_objects(masks: Tensor, height: int, width: int) -> Tensor:
    """Which support features lie inside each object's mask, interpolated to their grid.

    Args:
        masks: ``[B, N, H, W]`` in [0, 1].
        height, width: height and width of the grid.
    Returns: bool ``[B, N, h * w]``.
    """
    return F.interpolate(masks, (height, width), mode="bilinear", align_corners=False).flatten(2) > 0.5


def reallocate(weights: Tensor, inside: Tensor) -> Tensor:
    """Support-feature reallocation: the less a feature of an object is attended to, the more it gets.

    The attention of a support feature is what all queries give it; the features inside an object's mask are ranked by
    it, the most attended first, and their weights multiplied by rank over the sum of ranks. What a query gives to an
    object's features in all stays as it was (open in the thesis: without that the object's readout would vanish).

    Args:
        weights: affinity after the softmax, ``[B, M, Q]``.
        inside: bool, ``[B, N, M]``.
    Returns: an affinity for each object, ``[B, N, M, Q]``.
    """
    attention = weights.detach().sum(dim=-1)[:, None].expand_as(inside)
    order = attention.masked_fill(~inside, float("-inf")).argsort(dim=-1, descending=True)
    places = torch.arange(1, inside.shape[-1] + 1, device=weights.device, dtype=weights.dtype).expand_as(attention)
    rank = torch.zeros_like(attention).scatter(-1, order, places) * inside
    share = rank / rank.sum(dim=-1, keepdim=True).clamp(min=1)
    within = weights[:, None] * inside[..., None]
    moved = within * share[..., None]
    kept = within.sum(dim=2, keepdim=True) / moved.sum(dim=2, keepdim=True).clamp(min=1e-12)
    return weights[:, None] * ~inside[..., None] + moved * kept
