"""The network of A-GAME: tensors in, tensors out (Johnander et al., CVPR 2019; released code: ``agame_model.py``)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.trunks import begin_small, build_trunk
from rotoscope.methods.agame.appearance import Appearance, Model, blend
from rotoscope.methods.agame.config import AGAMEConfig
from rotoscope.methods.agame.heads import Fusion, Propagation, Upsampling

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
        coarse: the logits of background and target of the coarse predictor, float32 ``[N, 2, h, w]`` at stride 16.
        final: the logits of background and target at full size, float32 ``[N, 2, H, W]``.
    """

    coarse: Tensor
    final: Tensor


class AGAMENetwork(nn.Module):
    """Backbone of a frame, and heads that run as one batch over objects."""

    pure: ClassVar[tuple[str, ...]] = ("encode", "begin", "segment", "update")
    """Functions that may be replayed (:class:`~rotoscope.runtimes.replayed.Replayed`)."""

    def __init__(self, config: AGAMEConfig) -> None:
        super().__init__()
        self.update_rate = config.update_rate  # that it is trained with
        self.backbone = build_trunk(config.trunk, stages=config.stages, output_stride=16)
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
        begin_small(config.trunk, self.upsampling.project8.weight, self.upsampling.project4.weight)
        if self.appearance is not None:
            begin_small(config.trunk, self.appearance.project.weight)
        if self.propagation is not None:
            begin_small(config.trunk, self.propagation.enter.weight[:, : 2 * c16])

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
            features: the features of that frame, batch N or 1.
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
            features: the features of the frame, batch N or 1.
            memory: before it.
            masks: what was found, at stride 16, ``[N, 2, h, w]``, summing to 1.
            rate: the update rate of each object, ``[N]`` in [0, 1]; 0 leaves its appearance as it is.
        """
        if self.appearance is None:
            return memory._replace(previous=masks)
        fresh = self.appearance.fit(features.described, masks)
        model = blend(Model(memory.mean, memory.variance), fresh, rate[:, None, None])
        return Memory(model.mean, model.variance, memory.first, masks)


def shrink(masks: Tensor) -> Tensor:
    """Masks ``[N, 2, H, W]`` to stride 16 by averaging; fractional on boundaries."""
    return F.avg_pool2d(masks, STRIDE)


def with_background(masks: Tensor) -> Tensor:
    """Targets ``[..., H, W]`` to background and target, ``[..., 2, H, W]``."""
    return torch.stack([1 - masks, masks], dim=-3)


def aggregate_pairs(pairs: Tensor) -> Tensor:
    """One distribution over background and objects from each object's own pair (released code).

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
