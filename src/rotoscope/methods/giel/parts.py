"""Layers of GIEL: decoder, label encoder, coarse head, temporal attention (GIEL, section 3; STM, section 3).

Layers that take a frame's features beside an object's are linear before their ReLU, so each is computed in two parts:
the frame's once for all objects, the object's in one batch over objects.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.blocks import ResBlock, UpsampleBlock
from rotoscope.methods.giel.config import GIELConfig


class Refine(UpsampleBlock):
    """Add a finer skip, which may go through a residual block first, and refine (STM)."""

    def __init__(self, skip_channels: int, channels_in: int, channels_out: int, skip_block: bool) -> None:
        super().__init__(skip_channels, channels_in, channels_out)
        self.skip_block = ResBlock(channels_in, channels_in) if skip_block else None

    def project(self, skip: Tensor) -> Tensor:
        """``[B, skip_channels, 2H, 2W]`` -> ``[B, channels_in, 2H, 2W]``; does not depend on the object."""
        projected = super().project(skip)
        return projected if self.skip_block is None else self.skip_block(projected)


class Decoder(nn.Module):
    """What was read from memory, and the frame's own value and skips, to logits of a mask (STM's decoder).

    STM's has two output channels and a softmax over them, which is a sigmoid of their difference: here one.
    """

    def __init__(self, config: GIELConfig, channels8: int, channels4: int) -> None:
        super().__init__()
        d16, d8, d4 = config.decoder_dims
        self.read_dim = config.value_dim
        self.enter = nn.Conv2d(2 * config.value_dim, d16, 3, 1, 1)  # what was read, then the query's value
        self.block = ResBlock(d16, d16)
        self.up_16_8 = Refine(channels8, d16, d8, config.skip_blocks)
        self.up_8_4 = Refine(channels4, d8, d4, config.skip_blocks)
        self.pred = nn.Conv2d(d4, 1, 3, 1, 1)

    def of_frame(self, value: Tensor, f8: Tensor, f4: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The frame's part of the first layer ``[B, D16, h, w]``, and projected skips at stride 8 and 4."""
        entering = F.conv2d(value, self.enter.weight[:, self.read_dim :], self.enter.bias, padding=1)
        return entering, self.up_16_8.project(f8), self.up_8_4.project(f4)

    def forward(self, readout: Tensor, entering: Tensor, skip8: Tensor, skip4: Tensor) -> Tensor:
        """Readouts ``[N, Cv, h, w]`` and the frame's parts, batch 1 or N, to logits ``[N, 1, 16h, 16w]``."""
        x = self.block(entering + F.conv2d(readout, self.enter.weight[:, : self.read_dim], padding=1))
        x = self.up_8_4(self.up_16_8(x, skip8), skip4)
        x = self.pred(F.relu(x, inplace=True))
        return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)


class LabelEncoder(nn.Module):
    """Label tensors of instances to codes that multiply values (equation 7): two convolutions to stride 16."""

    def __init__(self, config: GIELConfig) -> None:
        super().__init__()
        self.gate = config.label_gate
        self.conv1 = nn.Conv2d(3, config.label_dim, 7, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.label_dim)
        self.conv2 = nn.Conv2d(config.label_dim, config.value_dim, 3, 4, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(config.value_dim)

    def forward(self, labels: Tensor) -> Tensor:
        """Instance, all other instances, background ``[N, 3, H, W]`` to codes ``[N, Cv, H/16, W/16]``."""
        x = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(labels)), inplace=True)))
        return torch.sigmoid(x) if self.gate == "sigmoid" else x


class CoarseHead(nn.Module):
    """An instance's embedding to a coarse map at stride 16."""

    def __init__(self, config: GIELConfig) -> None:
        super().__init__()
        self.read_dim = config.value_dim
        self.enter = nn.Conv2d(2 * config.value_dim, config.coarse_dim, 1)  # what was read, then the query's value
        self.leave = nn.Conv2d(config.coarse_dim, 1, 1)

    def of_frame(self, value: Tensor) -> Tensor:
        """The frame's part of the first layer, ``[B, K, h, w]``."""
        return F.conv2d(value, self.enter.weight[:, self.read_dim :], self.enter.bias)

    def forward(self, readout: Tensor, entering: Tensor) -> Tensor:
        """Readouts ``[N, Cv, h, w]`` and the frame's part, batch 1 or N, to logits ``[N, 1, h, w]``."""
        x = F.relu(entering + F.conv2d(readout, self.enter.weight[:, : self.read_dim]), inplace=True)
        out: Tensor = self.leave(x)
        return out


class TemporalAttention(nn.Module):
    """How much each support frame counts, from the first frame's key, its own, and the query's.

    Each of the three goes through a convolution of its own and is averaged over the frame, so it is computed once and
    remembered; what is left for each support frame are three linear layers on three vectors.

    Args:
        channels: of keys, and of these layers.
        seen: channels of what is seen of support frames, if not their keys.
    """

    def __init__(self, channels: int, seen: int | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(seen or channels, channels, 1)
        self.own = nn.Conv2d(seen or channels, channels, 1)
        self.query = nn.Conv2d(channels, channels, 1)
        self.layer1 = nn.Linear(3 * channels, channels)
        self.layer2 = nn.Linear(channels, channels)
        self.layer3 = nn.Linear(channels, 1)

    def support(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept of a support frame as the first one, and as itself, ``[B, Ck]`` each.

        Args:
            seen: its key ``[B, Ck, h, w]``, or its plain value ``[B, Cv, h, w]``, as the config's ``judged`` says.
        """
        return _pooled(self.first, seen), _pooled(self.own, seen)

    def forward(self, first: Tensor, own: Tensor, key: Tensor, count: int | None = None) -> Tensor:
        """Weights of support frames, their mean 1 (so that equal ones change nothing).

        Args:
            first: what is kept of the first frame, ``[B, Ck]``.
            own: the same of each support frame, ``[B, T, Ck]``.
            key: the key of the query, ``[B, Ck, h, w]``.
            count: so many of them are frames, the rest only fills up; all without it.
        Returns: ``[B, count]``.
        """
        query = _pooled(self.query, key)
        joined = torch.cat([first[:, None].expand_as(own), own, query[:, None].expand_as(own)], dim=-1)
        scores = self.layer3(F.relu(self.layer2(F.relu(self.layer1(joined)))))[:, :count, 0]
        return torch.softmax(scores.float(), dim=1) * scores.shape[1]


def _pooled(layer: nn.Module, key: Tensor) -> Tensor:
    pooled: Tensor = F.relu(layer(key)).mean(dim=(2, 3))
    return pooled
