"""Similarity at several scales, which the thesis leaves to future work (chapter 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def at_scales(key: Tensor, scales: int) -> Tensor:
    """Keys that are compared at several scales at once.

    Scale s of a cell is the mean of the keys of the square of ``2 s - 1`` cells a side around it, as far as it lies in
    the frame; scale 1 is the cell's own key. A memory that takes these keys in place of plain ones finds the mean of
    the similarities at all scales: negative squared distances add up over channels, and the factor makes up for the
    square root of the larger number of channels that they are divided by. Look-alikes stand before different
    things, and only a wider look sees that. The thesis does not say how scales are made or joined.

    Args:
        key: the key of each cell, ``[B, Ck, h, w]``.
        scales: the number of scales, at least 1; 1 gives the keys back.
    Returns: ``[B, scales * Ck, h, w]``, the finest scale first.
    """
    if scales == 1:
        return key
    wider = [F.avg_pool2d(key, 2 * s - 1, 1, s - 1, count_include_pad=False) for s in range(2, scales + 1)]
    joined: Tensor = torch.cat([key, *wider], dim=1) * scales**-0.25
    return joined
