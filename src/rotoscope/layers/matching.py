"""Predictions and true objects brought together one to one (RSIS and RVOS, released code)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rotoscope.layers.assignment import least_cost

FORBIDDEN = 10.0
"""Cost of a pair that must not match; soft-IoU costs lie in [0, 1]."""


def soft_iou_costs(probabilities: Tensor, truth: Tensor, eps: float = 1e-6) -> Tensor:
    """One minus the soft intersection over union of all pairs.

    Args:
        probabilities: predicted masks in [0, 1], ``[B, M, H, W]``.
        truth: true masks, 0 or 1, ``[B, G, H, W]``.
        eps: keeps empty pictures finite.
    Returns: ``[B, G, M]``, in [0, 1].
    """
    p, y = probabilities.float().flatten(2), truth.float().flatten(2)
    with torch.autocast(p.device.type, enabled=False):  # sums over a picture want full precision
        both = y @ p.transpose(1, 2)
    return 1 - both / (p.sum(dim=2)[:, None] + y.sum(dim=2)[:, :, None] - both + eps)


def forbid(costs: Tensor, allowed: Tensor) -> Tensor:
    """The costs, with :data:`FORBIDDEN` wherever ``allowed``, of the same shape, is False."""
    return torch.where(allowed, costs, torch.full_like(costs, FORBIDDEN))


def assign(costs: Tensor) -> Tensor:
    """Match each prediction with a true object so that the sum of costs is least (SciPy's Hungarian method).

    Args:
        costs: ``[B, G, M]``: true object, prediction.
    Returns: the true object of each prediction, int64 ``[B, M]`` in [0, G), on the costs' device; where there are
        fewer objects than predictions, those left over get 0.
    """
    truth_of = np.zeros((costs.shape[0], costs.shape[2]), np.int64)
    for row_of, matrix in zip(truth_of, costs.detach().float().cpu().numpy(), strict=True):
        rows, columns = least_cost(matrix)
        row_of[columns] = rows
    return torch.from_numpy(truth_of).to(costs.device)
