"""Convolutions with TensorFlow's SAME padding, and the ConvLSTM cell of CapsuleVOS."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side; the odd one comes after, so a stride of 2 pads an even side by 0 and 1."""
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def divided(x: Tensor, dim: int, *sizes: int) -> Tensor:
    """One dimension as several, from the front: ``x.unflatten(dim, sizes)``.

    A graph traced through ``unflatten`` holds all later sizes as the numbers of its trace.
    """
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


def _padded(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Padding of the strided dimensions; those of stride 1 are padded evenly by the convolution itself.

    A traced graph has the margins of the sides that it was traced with: right for all multiples of the stride.
    """
    margins: list[int] = []
    for side, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        margins += same_padding(int(side), k, s) if s > 1 else (0, 0)
    return F.pad(x, margins) if any(margins) else x


def _even(kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> tuple[int, int, int]:
    depth, height, width = (k // 2 if s == 1 else 0 for k, s in zip(kernel, stride, strict=True))
    return depth, height, width


class SameConv2d(nn.Conv2d):
    """A 2-D convolution with an odd kernel and SAME padding."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int = 1, *, linear: bool = False) -> None:
        super().__init__(channels_in, channels, kernel, stride, kernel // 2 if stride == 1 else 0)
        begin(self.weight, self.bias, channels_in * kernel**2, linear)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, H, W]`` to ``[B, channels, ceil(H / stride), ceil(W / stride)]``."""
        return super().forward(_padded(x, self.kernel_size, self.stride))


class SameConv3d(nn.Conv3d):
    """A 3-D convolution with an odd kernel and SAME padding."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        *,
        linear: bool = False,
    ) -> None:
        super().__init__(channels_in, channels, kernel, stride, _even(kernel, stride))
        begin(self.weight, self.bias, channels_in * math.prod(kernel), linear)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, T, H, W]`` to ``[B, channels, …]``, each side divided by its stride and rounded up."""
        return super().forward(_padded(x, self.kernel_size, self.stride))


class SameConvTranspose3d(nn.ConvTranspose3d):
    """A transposed 3-D convolution without bias and with SAME padding: sides are multiplied by the stride.

    It is the gradient of a convolution that pads 0 before and 1 after, so the last row that it makes is cut off.
    """

    def __init__(
        self, channels_in: int, channels: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1)
    ) -> None:
        super().__init__(channels_in, channels, kernel, stride, _even(kernel, stride), bias=False)
        begin(self.weight, None, channels_in * math.prod(kernel) / math.prod(stride), False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """``[B, channels_in, T, H, W]`` to ``[B, channels, …]``; ``output_size`` is not used."""
        depth, height, width = (side * stride for side, stride in zip(x.shape[2:], self.stride, strict=True))
        return super().forward(x)[:, :, :depth, :height, :width]

    def flat(self, x: Tensor) -> Tensor:
        """The same for a kernel that sees one frame at a time, on ``[B * T, channels_in, H, W]``.

        A 2-D convolution takes a fraction of the time of a 3-D one with a flat kernel.
        """
        padding = (self.kernel_size[1] // 2 if self.stride[1] == 1 else 0,) * 2
        grown = F.conv_transpose2d(x, self.weight[:, :, 0], stride=self.stride[1:], padding=padding)
        return grown[..., : x.shape[-2] * self.stride[1], : x.shape[-1] * self.stride[2]]


def begin(weight: Tensor, bias: Tensor | None, fan_in: float, linear: bool) -> None:
    """Draw weights that keep the variance, before a ReLU or (``linear``) without: there is no batch norm to do it."""
    nn.init.normal_(weight, std=math.sqrt((1.0 if linear else 2.0) / fan_in))
    if bias is not None:
        nn.init.zeros_(bias)


class LSTMState(NamedTuple):
    """State of a ConvLSTM between clips.

    Attributes:
        cell, hidden: the cell state and the hidden state, float32 ``[B, C, h, w]`` each.
    """

    cell: Tensor
    hidden: Tensor


class ConvLSTMCell(nn.Module):
    """A ConvLSTM whose one convolution gives input gate, new input, forget gate and output gate, in this order."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.channels = channels
        self.gates = SameConv2d(2 * channels, 4 * channels, kernel, linear=True)

    def forward(self, x: Tensor, state: LSTMState | None) -> LSTMState:
        """One step.

        Args:
            x: ``[B, channels, h, w]``.
            state: the state of the clip before; zeros if None.
        """
        if state is None:
            state = LSTMState(*(torch.zeros_like(x, dtype=torch.float32) for _ in range(2)))
        gates = self.gates(torch.cat([x, state.hidden.to(x.dtype)], dim=1)).float()
        enter, new, keep, leave = gates.chunk(4, dim=1)
        cell = torch.sigmoid(keep) * state.cell + torch.sigmoid(enter) * torch.tanh(new)
        return LSTMState(cell, torch.tanh(cell) * torch.sigmoid(leave))
