"""The ConvLSTM cell (Shi et al., NIPS 2015, without peepholes) as recurrent decoders of objects use it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def lstm_states(gates: Tensor, cell: Tensor | None) -> tuple[Tensor, Tensor]:
    """Hidden and cell state after a step.

    Args:
        gates: ``[B, 4C, h, w]``, before any activation, in the order input, forget, output, candidate.
        cell: the cell state before, ``[B, C, h, w]``; None for zeros.
    Returns: hidden and cell, ``[B, C, h, w]`` each.
    """
    enter, keep, leave, new = gates.chunk(4, dim=1)
    kept = torch.sigmoid(enter) * torch.tanh(new)
    if cell is not None:
        kept = torch.sigmoid(keep) * cell + kept
    return torch.sigmoid(leave) * torch.tanh(kept), kept


class ConvLSTMCell(nn.Module):
    """A ConvLSTM cell: one convolution over the input and the hidden state before it.

    Args:
        channels_in: channels of the input.
        channels: channels of the states.
        kernel: side of the convolution's kernel, odd.
    """

    def __init__(self, channels_in: int, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.gates = nn.Conv2d(channels_in + channels, 4 * channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, hidden: Tensor | None, cell: Tensor | None) -> tuple[Tensor, Tensor]:
        """One step.

        Args:
            x: ``[B, channels_in, h, w]``.
            hidden, cell: states of the step before, ``[B, channels, h, w]``; None for zeros.
        Returns: hidden and cell.
        """
        before = x.new_zeros(x.shape[0], self.channels, *x.shape[-2:]) if hidden is None else hidden
        return lstm_states(self.gates(torch.cat([x, before], dim=1)), cell)
