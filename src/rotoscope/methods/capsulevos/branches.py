"""What describes a clip (the video branch), what describes the object in its first frame (the frame branch), and what
turns capsules back into masks (the decoder)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.trunks import begin_small
from rotoscope.methods.capsulevos.capsules import Capsules, PrimaryCapsules
from rotoscope.methods.capsulevos.config import CapsuleVOSConfig
from rotoscope.methods.capsulevos.convolution import (
    ConvLSTMCell,
    LSTMState,
    SameConv2d,
    SameConv3d,
    SameConvTranspose3d,
    divided,
)

VIDEO = ((1, 2, 1), (2, 4, 2), (8, 8, 1), (8, 8, 2), (16, 16, 1), (16, 16, 1))
"""Of each (2+1)-D convolution: channels in space and in time as multiples of the width, stride in space."""
BEFORE_TRUNK = 4
"""How many of them a trunk stands for; both end at stride 4."""
FRAME = ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1))
"""Of each convolution of the frame branch: channels as a multiple of the width, stride."""
DECODER = (4, 4, 8, 8, 4)
"""Channels of the five transposed convolutions, as multiples of the width."""


class FactorisedConv(nn.Module):
    """A (2+1)-D convolution: 3x3 in space, then 3 in time, a ReLU after each."""

    def __init__(self, channels_in: int, inside: int, channels: int, stride: int) -> None:
        super().__init__()
        self.space = SameConv3d(channels_in, inside, (1, 3, 3), (1, stride, stride))
        self.time = SameConv3d(inside, channels, (3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, T, H, W]`` to ``[B, channels, T, H / stride, W / stride]``."""
        return F.relu(self.time(F.relu(self.space(x))))


class FrameFeatures(nn.Module):
    """Features of single frames by a trunk, in place of the video branch's first convolutions.

    Three stages of it are brought to the channels and the stride that those convolutions end with, and added.

    Args:
        config: names the trunk, and says the width.
        channels: how many channels the trunk's features have at stride 4, 8 and 16.
    """

    def __init__(self, config: CapsuleVOSConfig, channels: list[int]) -> None:
        super().__init__()
        wanted = VIDEO[BEFORE_TRUNK - 1][1] * config.width
        layers = [nn.Conv2d(before, wanted, 1) for before in channels]
        begin_small(config.trunk or "", *(layer.weight for layer in layers))
        self.project = nn.ModuleList(layers)

    def forward(self, stages: list[Tensor]) -> Tensor:
        """Stages at strides 4, 8 and 16 to ``[B, channels, H / 4, W / 4]``."""
        finest, *others = (project(stage) for project, stage in zip(self.project, stages, strict=True))
        size = finest.shape[-2:]
        raised = (F.interpolate(other, size=size, mode="bilinear", align_corners=False) for other in others)
        return F.relu(sum(raised, finest))


class VideoBranch(nn.Module):
    """Six (2+1)-D convolutions and the clip's primary capsules; behind a trunk, the last two of them."""

    def __init__(self, config: CapsuleVOSConfig) -> None:
        super().__init__()
        layers, before = [], 3
        skipped = BEFORE_TRUNK if config.trunk else 0
        if skipped:
            before = VIDEO[skipped - 1][1] * config.width
        for inside, channels, stride in VIDEO[skipped:]:
            layers.append(FactorisedConv(before, inside * config.width, channels * config.width, stride))
            before = channels * config.width
        self.convs = nn.Sequential(*layers)
        self.capsules = PrimaryCapsules(before, config.video_types, config.capsules)

    def forward(self, clip: Tensor) -> Capsules:
        """RGB in [0, 1], ``[B, 3, T, H, W]``, or a trunk's features of it, to capsules of ``[T, H / 8, W / 8]``."""
        out: Capsules = self.capsules(self.convs(clip))
        return out


class FrameBranch(nn.Module):
    """The first frame with its mask, what was seen of the object in the clips before, and the frame's capsules."""

    def __init__(self, config: CapsuleVOSConfig) -> None:
        super().__init__()
        layers, before = [], 4
        for channels, stride in FRAME:
            layers += [SameConv2d(before, channels * config.width, 3, stride), nn.ReLU()]
            before = channels * config.width
        self.convs = nn.Sequential(*layers)
        if config.trunk:
            before += VIDEO[BEFORE_TRUNK - 1][1] * config.width
        self.lstm = ConvLSTMCell(before, 3)
        self.capsules = PrimaryCapsules(before, config.frame_types, config.capsules)

    def forward(
        self, frame: Tensor, mask: Tensor, state: LSTMState | None, features: Tensor | None = None
    ) -> tuple[Capsules, LSTMState]:
        """One frame.

        Args:
            frame: RGB in [0, 1], ``[B, 3, H, W]``.
            mask: in [0, 1], ``[B, 1, H, W]``.
            state: the state of the clip before; zeros if None.
            features: the features of the frame by the trunk, if there is one, ``[B or 1, …, H / 4, W / 4]``.
        Returns: capsules of ``[1, H / 8, W / 8]``, and the state.
        """
        seen = self.convs(torch.cat([frame, mask], dim=1))
        if features is not None:
            seen = torch.cat([seen, features.expand(seen.shape[0], -1, -1, -1)], dim=1)
        state = self.lstm(seen, state)
        return self.capsules(state.hidden.to(seen.dtype)[:, :, None]), state


class FineSkip(nn.Module):
    """Each frame beside the first one and its mask at stride 4, where the decoder's capsules are too coarse to tell.

    The first layer is linear until its ReLU, so the first frame's part is computed once for all frames.
    """

    def __init__(self, config: CapsuleVOSConfig) -> None:
        super().__init__()
        channels, out = VIDEO[BEFORE_TRUNK - 1][1] * config.width, DECODER[2] * config.width
        self.frames = SameConv2d(channels, out, 3)
        self.given = SameConv2d(channels + FRAME[-1][0] * config.width, out, 3)
        self.late = nn.Parameter(torch.zeros(out))
        self.merge = SameConv2d(out, out, 3)

    def forward(self, features: Tensor, first: Tensor) -> Tensor:
        """A clip.

        Args:
            features: the features of its frames, ``[B or 1, T, C, h / 4, w / 4]``.
            first: what the frame branch keeps of the first frame and its mask, ``[B, C', h / 4, w / 4]``.
        Returns: ``[B, T, …, h / 4, w / 4]``.
        """
        frames = features.shape[1]
        when = torch.linspace(0, 1, frames, device=features.device, dtype=features.dtype)
        seen = divided(self.frames(features.flatten(0, 1)), 0, features.shape[0], frames)
        both = seen + self.given(first)[:, None] + (when[:, None] * self.late.to(when.dtype))[:, :, None, None]
        merged: Tensor = F.relu(self.merge(F.relu(both).flatten(0, 1)))
        return divided(merged, 0, first.shape[0], frames)


class Decoder(nn.Module):
    """Transposed convolutions from the last layer's poses to masks, with skips from the layers before."""

    def __init__(self, config: CapsuleVOSConfig, coarse: int, middle: int, fine: int) -> None:
        super().__init__()
        first, second, third, fourth, fifth = (channels * config.width for channels in DECODER)
        both, flat = (2, 2, 2), (1, 2, 2)
        self.deconv1 = SameConvTranspose3d(coarse, first, (3, 3, 3), both)
        self.skip1 = SameConvTranspose3d(middle, first, (3, 3, 3))
        self.deconv2 = SameConvTranspose3d(2 * first, second, (3, 3, 3), both)
        self.skip2 = SameConvTranspose3d(fine, second, (1, 3, 3))
        self.deconv3 = SameConvTranspose3d(2 * second, third, (1, 3, 3), flat)
        beside = third if config.skips == "fine" else 0
        self.deconv4 = SameConvTranspose3d(third + beside, fourth, (1, 3, 3), flat)
        self.deconv5 = SameConvTranspose3d(fourth, fifth, (1, 3, 3), flat)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(n)) for n in (second, third, fourth, fifth))
        self.segment = SameConv3d(fifth, 1, (1, 1, 1), linear=True)

    def forward(self, coarse: Tensor, middle: Tensor, fine: Tensor, skip: Tensor | None = None) -> Tensor:
        """Poses as channels.

        Args:
            coarse: capsules of the last layer, ``[B, …, T / 4, H / 32, W / 32]``.
            middle: capsules of the layer before, ``[B, …, T / 2, H / 16, W / 16]``.
            fine: the clip's primary capsules, ``[B, …, T, H / 8, W / 8]``.
            skip: what else is seen, ``[B, T, …, H / 4, W / 4]``.
        Returns: logits ``[B, T, H, W]``, float32.
        """
        x = torch.cat([F.relu(self.deconv1(coarse)), F.relu(self.skip1(middle))], dim=1)
        x = torch.cat([_biased(self.deconv2(x), self.biases[0]), F.relu(self.skip2(fine))], dim=1)
        batch, frames = x.shape[0], x.shape[2]
        x = x.transpose(1, 2).flatten(0, 1)  # from here on, frames do not meet
        for number, deconv in enumerate((self.deconv3, self.deconv4, self.deconv5), 1):
            if deconv is self.deconv4 and skip is not None:
                x = torch.cat([x, skip.flatten(0, 1)], dim=1)
            x = _biased(deconv.flat(x), self.biases[number])
        logits = F.conv2d(x, self.segment.weight[:, :, 0], self.segment.bias)
        return divided(logits, 0, batch, frames)[:, :, 0].float()


def _biased(x: Tensor, bias: Tensor) -> Tensor:
    """The bias of the released code's transposed convolutions, which comes between two ReLUs."""
    return F.relu(F.relu(x) + bias.view(-1, *[1] * (x.ndim - 2)))
