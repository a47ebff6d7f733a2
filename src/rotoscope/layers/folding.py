"""Convolutions with the batch norm behind them as one operation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolve(x: Tensor, convolution: nn.Conv2d, norm: nn.Module) -> Tensor:
    """A convolution and the batch norm behind it, as one convolution wherever the norm's statistics are fixed.

    Folding costs a pass over the weights instead of one over the features, forward and backward, and gradients still
    reach the norm's scale and shift. A norm that is training, or that was folded for good, is applied as it is.

    Args:
        x: ``[B, C, H, W]``.
        convolution: without a bias.
        norm: the batch norm behind it, or an identity once :func:`~rotoscope.layers.precision.fold_batch_norms` ran.
    """
    if not isinstance(norm, nn.BatchNorm2d) or norm.training:
        out: Tensor = norm(convolution(x))
        return out
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    weight = convolution.weight * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    return F.conv2d(x, weight, bias, convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
