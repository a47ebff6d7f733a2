"""Spoilt previous masks for training: a decoder that always gets good ones believes them too much."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KINDS = ("empty", "shifted", "grown", "shrunk", "swapped", "patched")
SHIFT = 0.12
"""Largest shift of a mask, as a share of the picture's side."""
REACH = 9
"""Side in pixels of what a mask grows or shrinks by."""
PATCH = 0.35
"""Largest side of a patch that is added to or cut out of a mask, as a share of the picture's side."""


def spoil(masks: Tensor, chance: float) -> Tensor:
    """Spoil the masks of some clips.

    A spoilt clip's masks are, each kind as often as the others: emptied; shifted; grown; shrunk; swapped between
    objects (emptied where there is one only); or a rectangle of them is flipped, as where a blob is kept by mistake.

    Args:
        masks: soft masks, ``[B, N, H, W]``; not changed.
        chance: how likely each clip is spoilt, in [0, 1].
    Returns: the same shape; drawn from PyTorch's generator.
    """
    out = masks.clone()
    for clip in torch.nonzero(torch.rand(masks.shape[0]) < chance).flatten().tolist():
        out[clip] = _spoilt(masks[clip], KINDS[int(torch.randint(len(KINDS), ()))])
    return out


def _spoilt(masks: Tensor, kind: str) -> Tensor:
    """Masks of one clip, ``[N, H, W]``, spoilt in one way."""
    height, width = masks.shape[-2:]
    if kind == "shifted":
        down, right = ((2 * torch.rand(2) - 1) * SHIFT * torch.tensor([height, width])).round().int().tolist()
        return _shifted(masks, down, right)
    if kind == "grown":
        return F.max_pool2d(masks[None], REACH, 1, REACH // 2)[0]
    if kind == "shrunk":
        return -F.max_pool2d(-masks[None], REACH, 1, REACH // 2)[0]
    if kind == "swapped" and masks.shape[0] > 1:
        return masks.roll(1, dims=0)
    if kind == "patched":
        return _patched(masks)
    return torch.zeros_like(masks)


def _shifted(masks: Tensor, down: int, right: int) -> Tensor:
    """Moved, with nothing coming in at the border."""
    padded = F.pad(masks, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))
    height, width = masks.shape[-2:]
    top, left = max(-down, 0), max(-right, 0)
    return padded[:, top : top + height, left : left + width]


def _patched(masks: Tensor) -> Tensor:
    """With a rectangle of one object's mask turned into its opposite."""
    height, width = masks.shape[-2:]
    share = torch.rand(4)
    high, wide = (max(int(share[i] * PATCH * side), 1) for i, side in enumerate((height, width)))
    top, left = int(share[2] * (height - high)), int(share[3] * (width - wide))
    out = masks.clone()
    which = int(torch.randint(masks.shape[0], ()))
    patch = out[which, top : top + high, left : left + wide]
    patch.copy_(1 - patch)
    return out
