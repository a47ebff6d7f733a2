"""Convolutions with the batch norm behind them as one operation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.packed import Activation, finished, fused


def convolve(
    x: Tensor,
    convolution: nn.Conv2d,
    norm: nn.Module,
    *,
    activation: Activation = "none",
    plus: Tensor | None = None,
) -> Tensor:
    """A convolution and the batch norm behind it, as one convolution wherever the norm's statistics are fixed.

    Folding costs a pass over the weights instead of one over the features, forward and backward, and gradients still
    reach the norm's scale and shift. A norm that is training, or that was folded for good, is applied as it is.

    Args:
        x: ``[B, C, H, W]``.
        convolution: without a bias.
        norm: the batch norm behind it, or an identity once :func:`~rotoscope.layers.precision.fold_batch_norms` ran.
        activation, plus: what stands behind both (see :func:`~rotoscope.layers.packed.fused`).
    """
    if not isinstance(norm, nn.BatchNorm2d) or norm.training:
        return fused(x, convolution, norm, activation=activation, plus=plus)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    weight = convolution.weight * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    y = F.conv2d(x, weight, bias, convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
    return finished(y, activation, plus)
