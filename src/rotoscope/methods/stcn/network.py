"""The layers of STCN: tensors in, tensors out (Cheng et al., NeurIPS 2021; released code: facts, sections 2 and 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.blocks import CBAM, ResBlock, UpsampleBlock
from rotoscope.layers.resnet import ResNet
from rotoscope.methods.stcn.config import STCNConfig


class FrameFeatures(NamedTuple):
    """What is computed once per frame, whatever the number of objects.

    Attributes:
        key: ``[B, Ck, h, w]`` at stride 16.
        f16: ``[B, C16, h, w]``, the last features of the key encoder.
        thin: ``[B, Ct, h, w]``, compressed f16, the query's own value in the decoder.
        skip8: ``[B, D16, 2h, 2w]``, projected skip of the decoder at stride 8.
        skip4: ``[B, D8, 4h, 4w]``, projected skip at stride 4.
    """

    key: Tensor
    f16: Tensor
    thin: Tensor
    skip8: Tensor
    skip4: Tensor

    def select(self, index: slice | Tensor) -> FrameFeatures:
        """The same for a part of the batch."""
        return FrameFeatures(*(tensor[index] for tensor in self))


class FeatureFusion(nn.Module):
    """Fuse an object's features with the frame's, with attention between two residual blocks."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.block1 = ResBlock(channels_in, channels_out)
        self.attention = CBAM(channels_out)
        self.block2 = ResBlock(channels_out, channels_out)

    def forward(self, x: Tensor, f16: Tensor) -> Tensor:
        """``[N, Cx, h, w]`` and ``[N, C16, h, w]`` -> ``[N, Cv, h, w]``."""
        y = self.block1(torch.cat([x, f16], dim=1))
        out: Tensor = self.block2(y + self.attention(y))
        return out


class STCNNetwork(nn.Module):
    """Key encoder, value encoder, decoder. The memory between them is the session's."""

    def __init__(self, config: STCNConfig) -> None:
        super().__init__()
        d16, d8, d4 = config.decoder_dims
        self.key_encoder = ResNet(config.key_depth, stages=3)
        c4, c8, c16 = self.key_encoder.channels
        self.key_proj = nn.Conv2d(c16, config.key_dim, 3, 1, 1)
        self.key_comp = nn.Conv2d(c16, config.thin_dim, 3, 1, 1)
        self.value_encoder = ResNet(18, stages=3, channels_in=5, width=config.value_width, bias=True)
        self.fuser = FeatureFusion(self.value_encoder.channels[-1] + c16, config.value_dim)
        self.compress = ResBlock(config.value_dim + config.thin_dim, d16)
        self.up_16_8 = UpsampleBlock(c8, d16, d8)
        self.up_8_4 = UpsampleBlock(c4, d8, d4)
        self.pred = nn.Conv2d(d4, 1, 3, 1, 1)
        nn.init.orthogonal_(self.key_proj.weight)
        nn.init.zeros_(self.key_proj.bias)  # type: ignore[arg-type]

    def encode_key(self, image: Tensor) -> FrameFeatures:
        """Encode frames.

        Args:
            image: normalised RGB, ``[B, 3, H, W]``; H and W multiples of 16.
        """
        f4, f8, f16 = self.key_encoder(image)
        return FrameFeatures(
            self.key_proj(f16), f16, self.key_comp(f16), self.up_16_8.project(f8), self.up_8_4.project(f4)
        )

    def encode_value(self, image: Tensor, f16: Tensor, masks: Tensor, others: Tensor) -> Tensor:
        """Encode frames once per object.

        Args:
            image: normalised RGB of each object's frame, ``[N, 3, H, W]`` (may be expanded).
            f16: key encoder features of the same frames, ``[N, C16, h, w]``.
            masks: soft masks in [0, 1], ``[N, 1, H, W]``.
            others: sum of all other objects' masks, ``[N, 1, H, W]``.
        Returns: values ``[N, Cv, h, w]``.
        """
        x = self.value_encoder(torch.cat([image, masks, others], dim=1))[-1]
        out: Tensor = self.fuser(x, f16)
        return out

    def decode(self, readout: Tensor, features: FrameFeatures) -> Tensor:
        """Decode what was read from memory.

        Args:
            readout: ``[N, Cv, h, w]``, one per object.
            features: of the query frame, batch 1 or N.
        Returns: logits ``[N, 1, H, W]``.
        """
        thin = features.thin.expand(readout.shape[0], -1, -1, -1)
        x = self.compress(torch.cat([readout, thin], dim=1))
        x = self.up_16_8(x, features.skip8)
        x = self.up_8_4(x, features.skip4)
        x = self.pred(F.relu(x, inplace=True))
        return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)


def affinity(memory_key: Tensor, query_key: Tensor) -> Tensor:
    """Negative squared distance over sqrt(Ck), less the term that is constant along the memory.

    Args:
        memory_key: ``[..., Ck, N]``.
        query_key: ``[..., Ck, Q]``.
    Returns: ``[..., N, Q]``, ``(2 k . q - |k|^2) / sqrt(Ck)``.
    """
    product = memory_key.transpose(-1, -2) @ query_key
    norm = memory_key.square().sum(dim=-2)[..., None]
    result: Tensor = (2 * product - norm) / memory_key.shape[-2] ** 0.5
    return result
