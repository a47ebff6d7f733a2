"""What runs for each object: propagation, fusion, upsampling (A-GAME, released code).

Layers that take the frame's features beside an object's are linear before their ReLU, so each is computed in two parts:
the frame's once for all objects, the object's in one batch over objects.

In sums of what is of the frame alone and what is of each object, the latter stands first: OpenVINO joins a sum to the
convolution before it, and gives it the batch of its first term.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Propagation(nn.Module):
    """Where the object is likely to have gone: this frame and the given one, the last mask and the given one."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.features = channels_in
        self.enter = nn.Conv2d(2 * channels_in + 4, channels, 1)  # this frame, given frame, last mask, given mask
        self.branches = nn.ModuleList(nn.Conv2d(channels, channels, 3, 1, spread, spread) for spread in (1, 3, 6))
        self.leave = nn.Conv2d(3 * channels, channels, 3, 1, 1)

    def of_frame(self, s16: Tensor) -> Tensor:
        """The part of the first layer that sees the current frame, ``[B, P, h, w]``."""
        return F.conv2d(s16, self.enter.weight[:, : self.features])

    def of_first(self, s16: Tensor, masks: Tensor) -> Tensor:
        """The part that sees the given frame ``[N or 1, C16, h, w]`` and mask ``[N, 2, h, w]``: ``[N, P, h, w]``."""
        weight = self.enter.weight
        seen = F.conv2d(s16, weight[:, self.features : 2 * self.features], self.enter.bias)
        return F.conv2d(masks.to(s16.dtype), weight[:, -2:]) + seen

    def forward(self, current: Tensor, first: Tensor, previous: Tensor) -> Tensor:
        """The three parts, the last of them a mask ``[N, 2, h, w]``, to ``[N, P, h, w]``."""
        last = F.conv2d(previous.to(first.dtype), self.enter.weight[:, 2 * self.features : -2])
        x = F.relu(first + current + last)
        x = F.relu(torch.cat([branch(x) for branch in self.branches], dim=1))
        return F.relu(self.leave(x))


class Fusion(nn.Module):
    """Appearance scores and propagation together, and the coarse mask."""

    def __init__(self, scores: int, propagated: int, hidden: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.scores = scores
        self.conv1 = nn.Conv2d(scores + propagated, hidden, 3, 1, 1)
        self.conv2 = nn.Conv2d(hidden, channels, 3, 1, 1)
        self.coarse = nn.Conv2d(channels, 2, kernel, padding=kernel // 2)

    def forward(self, scores: Tensor | None, propagated: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scores ``[N, K, h, w]`` in float32 and propagation ``[N, P, h, w]`` to features and coarse logits."""
        parts: list[Tensor] = []
        if propagated is not None:
            weight = self.conv1.weight[:, self.scores :]
            parts.append(F.conv2d(propagated, weight, self.conv1.bias, padding=1))
        if scores is not None:  # single units of scores of hundreds count: not in bfloat16
            with torch.autocast(scores.device.type, enabled=False):
                weight = self.conv1.weight[:, : self.scores].float()
                bias = None if propagated is not None or self.conv1.bias is None else self.conv1.bias.float()
                parts.append(F.conv2d(scores, weight, bias, padding=1))
        x = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        fused = F.relu(self.conv2(F.relu(x).to(self.conv2.weight.dtype)))
        return fused, self.coarse(fused)


class Upsampling(nn.Module):
    """From stride 16 to full size with the features of strides 8 and 4."""

    def __init__(self, channels8: int, channels4: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.project8 = nn.Conv2d(channels8, channels, 1)
        self.blend8 = nn.Conv2d(2 * channels, channels, 3, 1, 1)  # the frame's features, the object's
        self.project4 = nn.Conv2d(channels4, channels, 1)
        self.blend4 = nn.Conv2d(2 * channels, channels, 3, 1, 1)
        self.predict = nn.Conv2d(channels, 2, 3, 1, 1)

    def of_frame(self, s8: Tensor, s4: Tensor) -> tuple[Tensor, Tensor]:
        """The frame's parts of both blends."""
        maps = []
        for feature, project, mix in ((s8, self.project8, self.blend8), (s4, self.project4, self.blend4)):
            weight = mix.weight[:, : self.channels]
            maps.append(F.conv2d(F.relu(project(feature)), weight, mix.bias, padding=1))
        return maps[0], maps[1]

    def forward(self, fused: Tensor, skip8: Tensor, skip4: Tensor) -> Tensor:
        """Features ``[N, D, h, w]`` and the frame's parts to logits ``[N, 2, 16h, 16w]``."""
        x = fused
        for skip, mix in ((skip8, self.blend8), (skip4, self.blend4)):
            x = F.relu(F.conv2d(enlarge(x, 2), mix.weight[:, self.channels :], padding=1) + skip)
        return enlarge(self.predict(x).float(), 4)


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Bilinear, corners not aligned, as everywhere in A-GAME."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
