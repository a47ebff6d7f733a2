"""Resampling as TensorFlow 1 does it, which PyTorch does not: crops with aligned corners, resizing, pasting back."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

OUTSIDE = -1000.0
"""Logit outside the box (released code)."""


def take(x: Tensor, positions: Tensor, dim: int) -> Tensor:
    """Values between the entries of one dimension, by linear interpolation; 0 outside.

    Args:
        x: ``[B, C, H, W]``.
        positions: in units of entries, ``[B, n]``.
        dim: -2 or -1.
    Returns: ``x`` with ``n`` entries along ``dim``.
    """
    last = x.shape[dim] - 1
    inside = (positions >= 0) & (positions <= last)
    lower = positions.detach().floor().clamp(0, last)
    share = (positions - lower).to(x.dtype)
    shape = (-1, 1, positions.shape[1], 1) if dim == -2 else (-1, 1, 1, positions.shape[1])
    size = list(x.shape)
    size[dim] = positions.shape[1]
    below, above = (
        x.gather(dim, index.long().reshape(shape).expand(size)) for index in (lower, (lower + 1).clamp(max=last))
    )
    between = below + (above - below) * share.reshape(shape)
    return between * inside.reshape(shape).to(x.dtype)


def crop_and_resize(images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The content of one box of each image, its corners on the first and last row and column (TensorFlow's op).

    Args:
        images: ``[B, C, H, W]``.
        boxes: y1, x1, y2, x2 as shares of the last row and column, ``[B, 4]``.
        size: height and width of the crops, at least 2.
    Returns: ``[B, C, *size]``; 0 where a box leaves its image.
    """
    for dim, near, far in ((-2, boxes[:, 0], boxes[:, 2]), (-1, boxes[:, 1], boxes[:, 3])):
        last, count = images.shape[dim] - 1, size[dim]
        steps = torch.arange(count, device=boxes.device, dtype=boxes.dtype)
        positions = (near * last)[:, None] + steps * ((far - near) * last / (count - 1))[:, None]
        slack = 1e-3  # a box that ends on the border must not lose it to rounding
        positions = torch.where((positions > last) & (positions < last + slack), last, positions)
        images = take(images, positions, dim)
    return images


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resizing as TensorFlow 1 does it: place ``i`` reads ``i * old / new``, without half a pixel's shift.

    Args:
        x: ``[B, C, H, W]``.
        size: height and width.
    """
    for dim in (-2, -1):
        old, new = x.shape[dim], size[dim]
        positions = torch.arange(new, device=x.device, dtype=torch.float32) * (old / new)
        x = take(x, positions.clamp(max=old - 1).expand(x.shape[0], -1), dim)
    return x


def paste(logits: Tensor, boxes: Tensor, size: tuple[int, int], outside: float = OUTSIDE) -> Tensor:
    """Logits of crops, put back where their boxes are.

    Args:
        logits: ``[B, T, h, w]``.
        boxes: y1, x1, y2, x2 as shares of the frame, ``[B, 4]``.
        size: height and width of the frames.
        outside: what the rest is filled with.
    Returns: ``[B, T, *size]``.
    """
    pasted = []
    for crop, (y1, x1, y2, x2) in zip(logits, boxes.tolist(), strict=True):
        top, left = math.floor(y1 * size[0]), math.floor(x1 * size[1])
        rows, columns = math.ceil((y2 - y1) * size[0]), math.ceil((x2 - x1) * size[1])
        fitted = resize(crop[None], (rows, columns))[:, :, : size[0] - top, : size[1] - left]
        below, right = size[0] - top - fitted.shape[-2], size[1] - left - fitted.shape[-1]
        pasted.append(F.pad(fitted, (left, right, top, below), value=outside))
    return torch.cat(pasted)
