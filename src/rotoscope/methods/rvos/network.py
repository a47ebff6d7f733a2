"""The layers of RVOS: tensors in, tensors out (Ventura et al., CVPR 2019; section 3, and its released code)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.convlstm import lstm_states
from rotoscope.layers.trunks import build_trunk
from rotoscope.methods.rvos.config import RVOSConfig

Pyramid = list[Tensor]
"""One tensor for each level, coarsest first: strides 32, 16, 8, 4."""


class State(NamedTuple):
    """What an object leaves behind on a frame: hidden and cell states of the four levels."""

    hidden: Pyramid
    cell: Pyramid


class ConvLSTMCell(nn.Module):
    """A ConvLSTM whose hidden state comes from the object before and from the frame before, its cell only from the
    object before (released code; the paper's equations read otherwise)."""

    def __init__(self, channels_in: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.channels = channels
        self.gates = nn.Conv2d(channels_in + 2 * channels, 4 * channels, kernel, padding=kernel // 2)

    def forward(
        self, x: Tensor, hidden: Tensor | None, cell: Tensor | None, before: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """One step.

        Args:
            x: ``[B, channels_in, h, w]``.
            hidden, cell: states of the object before on this frame, ``[B, channels, h, w]``; None for the first.
            before: hidden state of this object on the frame before; None on the first frame.
        Returns: hidden and cell.
        """
        empty = x.new_zeros(x.shape[0], self.channels, *x.shape[-2:])
        inputs = [x, empty if hidden is None else hidden, empty if before is None else before]
        return lstm_states(self.gates(torch.cat(inputs, dim=1)), cell)


class RVOSNetwork(nn.Module):
    """Encoder of a frame, and a decoder that runs once per object slot."""

    pure: ClassVar[tuple[str, ...]] = ("encode", "decode")
    """Functions that may be replayed (:class:`~rotoscope.runtimes.replayed.Replayed`)."""

    def __init__(self, config: RVOSConfig) -> None:
        super().__init__()
        self.one_shot = config.one_shot
        self.recurrence, self.carry = config.recurrence, config.carry  # that it is trained with
        self.encoder = build_trunk(config.trunk, stages=4, last_width=config.last_width)
        width = config.hidden
        shown = (width, width, width // 2, width // 4)  # channels of the four projected skips, coarsest first
        self.skips = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out))
            for channels, out in zip(reversed(self.encoder.channels), shown, strict=True)
        )
        inside = (width, width // 2, width // 4, width // 8)
        above = (0, *inside)
        mask = 1 if config.one_shot else 0
        self.cells = nn.ModuleList(
            ConvLSTMCell(above[level] + shown[level] + mask, inside[level], config.kernel) for level in range(4)
        )
        self.conv_out = nn.Conv2d(inside[3], 1, 3, padding=1)

    def encode(self, image: Tensor) -> Pyramid:
        """Projected features of frames, once for all objects.

        Args:
            image: normalised RGB, ``[B, 3, H, W]``; any size.
        Returns: ``[B, C, h, w]`` at strides 32, 16, 8 and 4.
        """
        features = reversed(self.encoder(image))
        return [skip(feature) for skip, feature in zip(self.skips, features, strict=True)]

    def decode(
        self, features: Pyramid, masks: Pyramid | None, other: State | None, before: Pyramid | None
    ) -> tuple[Tensor, State]:
        """One object on one frame.

        Args:
            features: the features of the frame.
            masks: the object's previous mask at the four levels, ``[B, 1, h, w]``; None for zero-shot.
            other: state of the object before on this frame.
            before: hidden states of this object on the frame before.
        Returns: logits ``[B, 1, 2h, 2w]`` at stride 2, and the object's state.
        """
        hidden: Pyramid = []
        cells: Pyramid = []
        x = features[0]
        for level, cell in enumerate(self.cells):
            if level:
                above = resize(hidden[-1], features[level].shape[-2:])
                x = torch.cat([above, features[level]], dim=1)
            if masks is not None:
                x = torch.cat([x, masks[level]], dim=1)
            h, c = cell(
                x,
                None if other is None else other.hidden[level],
                None if other is None else other.cell[level],
                None if before is None else before[level],
            )
            hidden.append(h)
            cells.append(c)
        last = hidden[-1]
        logits = self.conv_out(resize(last, torch.Size((2 * last.shape[-2], 2 * last.shape[-1]))))
        return logits, State(hidden, cells)


def resize(x: Tensor, size: torch.Size) -> Tensor:
    """Bilinear, with corners aligned, as everywhere in RVOS."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def mask_pyramid(masks: Tensor) -> Pyramid:
    """Masks at the four levels, coarsest first: halved five times by the larger of four, the first left out.

    Args:
        masks: ``[B, 1, H, W]`` in [0, 1] at the size the image enters.
    """
    halved = []
    for _ in range(5):
        masks = F.max_pool2d(masks, 2, 2, ceil_mode=True)
        halved.append(masks)
    return halved[:0:-1]


def carried(masks: Tensor, carry: str) -> Tensor:
    """What the next frame is told of masks ``[..., H, W]`` in [0, 1]; see ``carry`` of the config."""
    return (masks > 0.5).to(masks.dtype) if carry == "hard" else masks


def run_frame(
    network: RVOSNetwork,
    features: Pyramid,
    slots: int,
    masks: Tensor | None,
    before: list[Pyramid | None] | None,
    recurrence: str,
) -> tuple[Tensor, list[State]]:
    """All slots of one frame, in order.

    Args:
        network: the layers.
        features: the features of the frame.
        slots: objects.
        masks: previous masks ``[B, slots, H, W]``; None for zero-shot.
        before: hidden states of each slot on the frame before, None for a slot that is new; None on the first frame.
        recurrence: see :class:`~rotoscope.methods.rvos.config.RVOSConfig`.
    Returns: logits ``[B, slots, h, w]`` at stride 2, and each slot's state.
    """
    logits, states = [], []
    other: State | None = None
    for slot in range(slots):
        temporal = None if before is None or recurrence == "spatial" else before[slot]
        spatial = None if recurrence == "temporal" and temporal is not None else other
        pyramid = None if masks is None else mask_pyramid(masks[:, slot : slot + 1])
        answer, other = network.decode(features, pyramid, spatial, temporal)
        logits.append(answer)
        states.append(other)
    return torch.cat(logits, dim=1), states
