"""Layers of capsules: convolutions to poses and activations, votes, pooling (CapsuleVOS, section 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.methods.capsulevos.convolution import SameConv3d, divided
from rotoscope.methods.capsulevos.routing import Attended, Fitted, attention_routing, em_routing

SIDE = 4
POSE = SIDE * SIDE
VOTE_SPREAD = 0.5
"""Deviation of the weights drawn for votes: with four products each, votes vary as much as poses."""


class Capsules(NamedTuple):
    """Capsules of I types at each place of a volume, float32.

    Attributes:
        pose: the poses, ``[B, I, 16, T, H, W]``: matrices of 4x4, row by row.
        activation: how present each capsule is, ``[B, I, T, H, W]`` in [0, 1].
    """

    pose: Tensor
    activation: Tensor

    @property
    def flat(self) -> Tensor:
        """Poses as channels, ``[B, I * 16, T, H, W]``."""
        return self.pose.flatten(1, 2)


class PrimaryCapsules(nn.Module):
    """Capsules out of features: one convolution for poses, one for activations, each halving height and width.

    The released kernels are 1x3x3; the paper says 3x3x3. Without ``gated`` no activations are learnt: all are 1.
    """

    def __init__(self, channels: int, types: int, gated: bool = True) -> None:
        super().__init__()
        self.types = types
        self.pose = SameConv3d(channels, types * POSE, (1, 3, 3), (1, 2, 2), linear=True)
        self.activation = SameConv3d(channels, types, (1, 3, 3), (1, 2, 2), linear=True) if gated else None

    def forward(self, features: Tensor) -> Capsules:
        """``[B, channels, T, H, W]`` to capsules of ``[T, H / 2, W / 2]``."""
        pose = divided(self.pose(features).float(), 1, self.types, POSE)
        if self.activation is None:
            return Capsules(pose, torch.ones_like(pose[:, :, 0]))
        return Capsules(pose, torch.sigmoid(self.activation(features).float()))


def over_time(capsules: Capsules, frames: int) -> Capsules:
    """Capsules of one frame repeated for a clip; the last entry of a pose is told the time, from 0 to 1.

    Args:
        capsules: the capsules of one frame, ``[B, I, …, 1, H, W]``.
        frames: how many frames the clip has.
    """
    time = torch.linspace(0, 1, frames, device=capsules.pose.device)[:, None, None]
    still, last = capsules.pose[:, :, :-1], capsules.pose[:, :, -1:]
    moving = torch.cat([still.expand(-1, -1, -1, frames, -1, -1), last + time], dim=2)
    return Capsules(moving, capsules.activation.expand(-1, -1, frames, -1, -1))


def pooled(capsules: Capsules) -> Capsules:
    """The mean capsule of each type over windows of 3x3x3 with stride 2, borders filled with zeros.

    Votes are linear in poses and their weights are the same at all places, so the mean of a window's votes is the vote
    of its mean pose. Pooling first is thus the same network, but never holds the votes of all 27 places.
    """
    border = (1,) * 6
    pose, activation = (F.avg_pool3d(F.pad(x, border), 3, 2) for x in (capsules.flat, capsules.activation))
    return Capsules(divided(pose, 1, capsules.pose.shape[1], POSE), activation)


def by_place(capsules: Capsules) -> tuple[Tensor, Tensor]:
    """Poses ``[P, I, 4, 4]`` and activations ``[P, I]``, places in the order B, T, H, W."""
    pose = capsules.pose.permute(0, 3, 4, 5, 1, 2).flatten(0, 3)
    return divided(pose, 2, SIDE, SIDE), capsules.activation.permute(0, 2, 3, 4, 1).flatten(0, 3)


def votes(weight: Tensor, pose: Tensor) -> Tensor:
    """What capsules of each type say that those above are: the weights stand on the left (released code).

    Args:
        weight: ``[I, J, 4, 4]``.
        pose: ``[P, I, 4, 4]``.
    Returns: ``[P, I, J, 16]``.
    """
    return torch.einsum("ijak,pikc->pijac", weight, pose).flatten(-2)


def in_volume(pose: Tensor, activation: Tensor, like: Capsules) -> Capsules:
    """Poses ``[P, J, 16]`` and activations ``[P, J]`` back in the volume that ``like`` fills."""
    places = like.pose.shape[0], *like.pose.shape[3:]
    return Capsules(
        divided(pose, 0, *places).permute(0, 4, 5, 1, 2, 3),
        divided(activation, 0, *places).permute(0, 4, 1, 2, 3),
    )


def _weight(below: int, above: int) -> nn.Parameter:
    return nn.Parameter(VOTE_SPREAD * torch.randn(below, above, SIDE, SIDE))


class CapsuleLayer(nn.Module):
    """A convolutional capsule layer, routed by EM: windows of 3x3x3, stride 2.

    Memory: votes of ``P * I * J * 16`` numbers, and about three temporaries of that size, for each object of a clip,
    where P is an eighth of the places below (published third layer: 56 places, 0.9 MiB).
    """

    def __init__(self, below: int, above: int) -> None:
        super().__init__()
        self.weight = _weight(below, above)
        self.beta_v = nn.Parameter(torch.zeros(above, POSE))
        self.beta_a = nn.Parameter(torch.zeros(above))

    def forward(self, capsules: Capsules) -> Capsules:
        """``[T, H, W]`` to ``[T / 2, H / 2, W / 2]``."""
        with torch.autocast(capsules.pose.device.type, enabled=False):
            small = pooled(capsules)
            pose, activation = by_place(small)
            routed = self.route(votes(_full(self.weight), pose), activation)
            return in_volume(routed.pose, routed.activation, small)

    def route(self, cast: Tensor, activation: Tensor) -> Fitted:
        """EM routing of votes with this layer's costs."""
        return em_routing(cast, activation, _full(self.beta_v), _full(self.beta_a))


class ConditionedLayer(nn.Module):
    """The layer in which the frame's capsules choose among the clip's: attention routing over windows of 3x3x3.

    Memory: votes of all three kinds, ``P * (2 I + I') * J * 16`` numbers (published: 448 places, 14 MiB for each object
    of a clip, where votes of all 27 places of each window would be 378 MiB), and about three temporaries of the largest
    kind.
    """

    def __init__(self, video_types: int, frame_types: int, above: int) -> None:
        super().__init__()
        self.key = _weight(video_types, above)
        self.query = _weight(frame_types, above)
        self.value = _weight(video_types, above)
        self.beta_v = nn.Parameter(torch.zeros(above, POSE))
        self.beta_a = nn.Parameter(torch.zeros(above))
        self.frame_beta_v = nn.Parameter(torch.zeros(above, POSE))
        self.frame_beta_a = nn.Parameter(torch.zeros(above))

    def forward(self, video: Capsules, frame: Capsules) -> Capsules:
        """Both ``[T, H, W]``, to ``[T / 2, H / 2, W / 2]``."""
        with torch.autocast(video.pose.device.type, enabled=False):
            small = pooled(video)
            routed = self.route(*by_place(small), *by_place(pooled(frame)))
            return in_volume(routed.pose, routed.activation, small)

    def route(self, pose: Tensor, activation: Tensor, frame_pose: Tensor, frame_activation: Tensor) -> Attended:
        """Attention routing of the clip's ``[P, I, 4, 4]`` and ``[P, I]`` by the frame's, with this layer's costs."""
        return attention_routing(
            votes(_full(self.key), pose),
            votes(_full(self.value), pose),
            activation,
            votes(_full(self.query), frame_pose),
            frame_activation,
            (_full(self.beta_v), _full(self.beta_a)),
            (_full(self.frame_beta_v), _full(self.frame_beta_a)),
        )


class ConcatenatedLayer(nn.Module):
    """Ablation "concatenation routing": the clip's and the frame's capsules are routed together by EM."""

    def __init__(self, video_types: int, frame_types: int, above: int) -> None:
        super().__init__()
        self.layer = CapsuleLayer(video_types + frame_types, above)

    def forward(self, video: Capsules, frame: Capsules) -> Capsules:
        """Both ``[T, H, W]``, to ``[T / 2, H / 2, W / 2]``."""
        both = Capsules(*(torch.cat(pair, dim=1) for pair in zip(video, frame, strict=True)))
        out: Capsules = self.layer(both)
        return out


class ConvolutionalLayer(nn.Module):
    """Ablation "fully convolutional": 3x3x3 convolutions with stride 2 in place of a capsule layer.

    A dense one would have over a hundred times a capsule layer's parameters; this one mixes the channels by a 1x1x1
    convolution and then has a group for each capsule type, so that the whole network stays within a few percent.
    """

    def __init__(self, channels_in: int, types: int) -> None:
        super().__init__()
        channels = types * POSE
        self.mix = SameConv3d(channels_in, channels, (1, 1, 1))
        self.conv = nn.Conv3d(channels, channels, 3, 2, 1, groups=types)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, T, H, W]`` to ``[B, types * 16, T / 2, H / 2, W / 2]``."""
        out: Tensor = F.relu(self.conv(F.relu(self.mix(x))))
        return out


def _full(tensor: Tensor) -> Tensor:
    """In float32, unless it is more precise already."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
