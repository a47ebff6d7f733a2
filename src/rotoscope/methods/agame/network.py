"""The layers of A-GAME: tensors in, tensors out (Johnander et al., CVPR 2019; released code: facts, sections 4 to 11).

Layers that take the frame's features beside an object's are linear before their ReLU, so each is computed in two parts:
the frame's once for all objects, the object's in one batch over objects.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.layers.resnet import ResNet
from rotoscope.methods.agame.appearance import Appearance, Model, blend
from rotoscope.methods.agame.config import AGAMEConfig

STRIDE = 16
EPSILON = 1e-7


class FrameFeatures(NamedTuple):
    """What is computed once per frame, whatever the number of objects.

    Attributes:
        s16: ``[B, C16, h, w]``, the last features of the backbone.
        described: what the appearance is modelled on, ``[B, Ca, h * w]``, float32; empty without appearance.
        current: the frame's part of the propagation's first layer, ``[B, P, h, w]``; empty without propagation.
        skip8: the frame's part of the blend at stride 8, ``[B, D, 2h, 2w]``.
        skip4: the same at stride 4, ``[B, D, 4h, 4w]``.
    """

    s16: Tensor
    described: Tensor
    current: Tensor
    skip8: Tensor
    skip4: Tensor

    def select(self, index: Tensor) -> FrameFeatures:
        """The same for entries of the batch; one may be taken several times."""
        return FrameFeatures(*(tensor[index] for tensor in self))


class Memory(NamedTuple):
    """What is remembered of N objects.

    Attributes:
        mean, variance: the appearance model, ``[N, K, Ca]``, float32.
        first: the given frame's and mask's part of the propagation's first layer, ``[N, P, h, w]``.
        previous: mask of the frame before, background and target, ``[N, 2, h, w]``, float32.
    """

    mean: Tensor
    variance: Tensor
    first: Tensor
    previous: Tensor

    def select(self, index: slice | Tensor) -> Memory:
        """The same for some of the objects."""
        return Memory(*(tensor[index] for tensor in self))


class Answer(NamedTuple):
    """Logits of background and target.

    Attributes:
        coarse: ``[N, 2, h, w]`` at stride 16, float32.
        final: ``[N, 2, H, W]``, float32.
    """

    coarse: Tensor
    final: Tensor


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
        return seen + F.conv2d(masks.to(s16.dtype), weight[:, -2:])

    def forward(self, current: Tensor, first: Tensor, previous: Tensor) -> Tensor:
        """The three parts, the last of them a mask ``[N, 2, h, w]``, to ``[N, P, h, w]``."""
        last = F.conv2d(previous.to(first.dtype), self.enter.weight[:, 2 * self.features : -2])
        x = F.relu(current + first + last)
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
        found = []
        for feature, project, mix in ((s8, self.project8, self.blend8), (s4, self.project4, self.blend4)):
            weight = mix.weight[:, : self.channels]
            found.append(F.conv2d(F.relu(project(feature)), weight, mix.bias, padding=1))
        return found[0], found[1]

    def forward(self, fused: Tensor, skip8: Tensor, skip4: Tensor) -> Tensor:
        """Features ``[N, D, h, w]`` and the frame's parts to logits ``[N, 2, 16h, 16w]``."""
        x = fused
        for skip, mix in ((skip8, self.blend8), (skip4, self.blend4)):
            x = F.relu(skip + F.conv2d(enlarge(x, 2), mix.weight[:, self.channels :], padding=1))
        return enlarge(self.predict(x).float(), 4)


class AGAMENetwork(nn.Module):
    """Backbone of a frame, and heads that run as one batch over objects."""

    def __init__(self, config: AGAMEConfig) -> None:
        super().__init__()
        if config.appearance == "none" and not config.propagation:
            raise InputError("a network with neither appearance nor propagation cannot follow anything. Keep one.")
        self.update_rate = config.update_rate  # that it is trained with
        self.backbone = ResNet(config.depth, stages=config.stages, output_stride=16)
        c4, c8, *_, c16 = self.backbone.channels
        self.appearance = None if config.appearance == "none" else Appearance(config, c16)
        self.propagation = Propagation(c16, config.propagation_dim) if config.propagation else None
        self.fusion = Fusion(
            self.appearance.components if self.appearance is not None else 0,
            config.propagation_dim if config.propagation else 0,
            config.propagation_dim,
            config.decoder_dim,
            config.coarse_kernel,
        )
        self.upsampling = Upsampling(c8, c4, config.decoder_dim)
        heads = (self.propagation, self.fusion, self.upsampling)
        for layer in [layer for head in heads if head is not None for layer in head.modules()]:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def encode(self, image: Tensor) -> FrameFeatures:
        """Everything about frames that no object is needed for.

        Args:
            image: normalised RGB, ``[B, 3, H, W]``; H and W multiples of 16.
        """
        s4, s8, *_, s16 = self.backbone(image)
        described = s16[:, :0].flatten(2).float() if self.appearance is None else self.appearance.describe(s16)
        current = s16[:, :0] if self.propagation is None else self.propagation.of_frame(s16)
        return FrameFeatures(s16, described, current, *self.upsampling.of_frame(s8, s4))

    def begin(self, features: FrameFeatures, masks: Tensor) -> Memory:
        """Remember objects by the frame that they are given on.

        Args:
            features: of that frame, batch N or 1.
            masks: background and target at stride 16, ``[N, 2, h, w]``, summing to 1.
        """
        empty = masks.new_zeros(len(masks), 0, 0)
        model = Model(empty, empty)
        if self.appearance is not None:
            model = self.appearance.fit(features.described, masks)
        first = features.s16[:, :0].expand(len(masks), -1, -1, -1)
        if self.propagation is not None:
            first = self.propagation.of_first(features.s16, masks)
        return Memory(model.mean, model.variance, first, masks)

    def segment(self, features: FrameFeatures, memory: Memory) -> Answer:
        """Find the objects on a frame; ``features`` of batch N or 1."""
        scores = propagated = None
        if self.appearance is not None:
            flat = self.appearance.score(features.described, Model(memory.mean, memory.variance))
            scores = flat.unflatten(2, tuple(features.s16.shape[-2:]))
        if self.propagation is not None:
            propagated = self.propagation(features.current, memory.first, memory.previous)
        fused, coarse = self.fusion(scores, propagated)
        return Answer(coarse.float(), self.upsampling(fused, features.skip8, features.skip4))

    def update(self, features: FrameFeatures, memory: Memory, masks: Tensor, rate: Tensor) -> Memory:
        """Remember how objects look on a frame that was segmented.

        Args:
            features: of the frame, batch N or 1.
            memory: before it.
            masks: what was found, at stride 16, ``[N, 2, h, w]``, summing to 1.
            rate: of each object, ``[N]`` in [0, 1]; 0 leaves its appearance as it is.
        """
        if self.appearance is None:
            return memory._replace(previous=masks)
        fresh = self.appearance.fit(features.described, masks)
        model = blend(Model(memory.mean, memory.variance), fresh, rate[:, None, None])
        return Memory(model.mean, model.variance, memory.first, masks)


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Bilinear, corners not aligned, as everywhere in A-GAME."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def shrink(masks: Tensor) -> Tensor:
    """Masks ``[N, 2, H, W]`` to stride 16 by averaging; fractional on boundaries."""
    return F.avg_pool2d(masks, STRIDE)


def with_background(masks: Tensor) -> Tensor:
    """Targets ``[..., H, W]`` to background and target, ``[..., 2, H, W]``."""
    return torch.stack([1 - masks, masks], dim=-3)


def aggregate_pairs(pairs: Tensor) -> Tensor:
    """One distribution over background and objects from each object's own pair (facts, section 11).

    The background of the scene is the least of the objects' (not, as in STM and STCN, their product).

    Args:
        pairs: background and target of each object, ``[..., N, 2, H, W]``, each summing to 1.
    Returns: ``[..., 1 + N, H, W]``, the background first, summing to 1.
    """
    clamped = pairs.clamp(EPSILON, 1 - EPSILON)
    back = pairs.select(-3, 0).amin(dim=-3, keepdim=True)
    odds = [
        back.clamp(EPSILON, 1 - EPSILON) / (1 - back).clamp(EPSILON, 1 - EPSILON),
        clamped.select(-3, 1) / clamped.select(-3, 0),
    ]
    joined = torch.cat(odds, dim=-3)
    return joined / joined.sum(dim=-3, keepdim=True)
