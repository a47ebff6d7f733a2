"""The layers of STCN: tensors in, tensors out (Cheng et al., NeurIPS 2021, section 3; ``model/network.py``)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.blocks import CBAM, ResBlock, UpsampleBlock
from rotoscope.layers.resnet import ResNet
from rotoscope.layers.trunks import begin_small, build_trunk, is_lite
from rotoscope.methods.stcn.config import STCNConfig
from rotoscope.methods.stcn.light import Decoded, LightDecoder, LightValueEncoder, previous_places


class FrameFeatures(NamedTuple):
    """What is computed once per frame, whatever the number of objects.

    Attributes:
        key: the key of each cell, ``[B, Ck, h, w]`` at stride 16.
        f4, f8, f16: features of the key encoder at stride 4, 8 and 16, ``[B, C, H/s, W/s]``.
        thin: the compressed features at stride 16, ``[B, Ct, h, w]``: the query's own value in the decoder.
        skip8: ``[B, D16, 2h, 2w]``, projected skip of the decoder at stride 8.
        skip4: ``[B, D8, 4h, 4w]``, projected skip at stride 4.
    """

    key: Tensor
    f4: Tensor
    f8: Tensor
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

    pure: ClassVar[tuple[str, ...]] = ("encode_key", "encode_value", "places", "decode")
    """Functions that may be replayed (:class:`~rotoscope.runtimes.replayed.Replayed`)."""

    def __init__(self, config: STCNConfig) -> None:
        super().__init__()
        self.config = config
        d16, d8, d4 = config.decoder_dims
        self.key_encoder = build_trunk(config.trunk, stages=3)
        c4, c8, c16 = self.key_encoder.channels
        self.key_proj = nn.Conv2d(c16, config.key_dim, 3, 1, 1)
        self.key_comp = nn.Conv2d(c16, config.thin_dim, 3, 1, 1)
        if config.value_encoder == "light":
            self.light_values = LightValueEncoder(self.key_encoder.channels, config.value_width, config.value_dim)
        else:
            self.value_encoder = ResNet(18, stages=3, channels_in=5, width=config.value_width, bias=True)
            self.fuser = FeatureFusion(self.value_encoder.channels[-1] + c16, config.value_dim)
        if config.decoder == "light":
            self.decoder = LightDecoder(config, self.key_encoder.channels)
        else:
            self.compress = ResBlock(config.value_dim + config.thin_dim, d16)
            self.up_16_8 = UpsampleBlock(c8, d16, d8)
            self.up_8_4 = UpsampleBlock(c4, d8, d4)
            self.pred = nn.Conv2d(d4, 1, 3, 1, 1)
        nn.init.orthogonal_(self.key_proj.weight, gain=LITE_KEYS if is_lite(config.trunk) else 1.0)
        nn.init.zeros_(self.key_proj.bias)  # type: ignore[arg-type]
        begin_small(config.trunk, self.key_comp.weight, *self._readers(c16))

    def _readers(self, c16: int) -> list[Tensor]:
        """Weights of the values and the decoder that read the trunk's features; its last have ``c16`` channels."""
        if self.config.value_encoder == "light":
            values = self.light_values
            weights = [values.image4.weight, values.image8.weight, values.image16.weight]
        else:
            first, shortcut = self.fuser.block1.conv1, self.fuser.block1.downsample
            weights = [layer.weight[:, -c16:] for layer in (first, shortcut) if layer is not None]
        if self.config.decoder == "light":
            return [*weights, self.decoder.skip8.weight, self.decoder.skip4.weight]
        return [*weights, self.up_16_8.skip_conv.weight, self.up_8_4.skip_conv.weight]

    def encode_key(self, image: Tensor) -> FrameFeatures:
        """Encode frames.

        Args:
            image: normalised RGB, ``[B, 3, H, W]``; H and W multiples of 16.
        """
        f4, f8, f16 = self.key_encoder(image)
        if self.config.decoder == "light":
            skip8, skip4 = self.decoder.skips(image, f4, f8)
        else:
            skip8, skip4 = self.up_16_8.project(f8), self.up_8_4.project(f4)
        return FrameFeatures(self.key_proj(f16), f4, f8, f16, self.key_comp(f16), skip8, skip4)

    def encode_value(self, image: Tensor, features: FrameFeatures, masks: Tensor, others: Tensor) -> Tensor:
        """Encode frames once per object.

        Args:
            image: normalised RGB of the frames, ``[B, 3, H, W]``.
            features: the features of the same frames.
            masks: soft masks in [0, 1], ``[N, 1, H, W]``; N is a multiple of B, the objects of each frame together.
            others: sum of all other objects' masks, ``[N, 1, H, W]``.
        Returns: values ``[N, Cv, h, w]``.
        """
        if self.config.value_encoder == "light":
            value: Tensor = self.light_values((features.f4, features.f8, features.f16), masks, others)
            return value
        each = masks.shape[0] // image.shape[0]
        seen = torch.cat([_for_each(image, each), masks, others], dim=1)
        out: Tensor = self.fuser(self.value_encoder(seen)[-1], _for_each(features.f16, each))
        return out

    def places(self, masks: Tensor, before: Tensor, now: FrameFeatures) -> Tensor | None:
        """What the decoder is told of the frame before.

        Args:
            masks: soft masks of that frame, ``[B, N, H, W]``.
            before: keys of the frame before, ``[B, Ck, h*w]``.
            now: features of the frame to decode, of B clips.
        Returns: ``[B * N, P, H/4, W/4]``, or None where the config has ``previous="none"``.
        """
        if self.config.previous == "none":
            return None
        grid = (now.key.shape[-2], now.key.shape[-1])
        matched = before if self.config.previous == "matched" else None
        return previous_places(masks, matched, now.key.flatten(2), self.config.reach, grid, self.config.nearness)

    def decode(self, readout: Tensor, features: FrameFeatures, places: Tensor | None = None) -> Decoded:
        """Decode what was read from memory.

        Args:
            readout: ``[N, Cv, h, w]``, one per object.
            features: the features of the query frames, B of them; N is a multiple of B, the objects of each frame
                together.
            places: see :meth:`places`.
        """
        if self.config.decoder == "light":
            decoded: Decoded = self.decoder(readout, features.thin, features.skip8, features.skip4, places)
            return decoded
        each = readout.shape[0] // features.thin.shape[0]
        thin, skip8, skip4 = (_for_each(t, each) for t in (features.thin, features.skip8, features.skip4))
        x = self.compress(torch.cat([readout, thin], dim=1))
        x = self.up_16_8(x, skip8)
        x = self.up_8_4(x, skip4)
        x = self.pred(F.relu(x, inplace=True))
        return Decoded(F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False))


LITE_KEYS = 0.14
"""Keys made of an EfficientNet-Lite's features, which deviate by about 6, begin so much smaller, or similarities begin
in the hundreds and the softmax looks at one cell only."""


def _for_each(tensor: Tensor, objects: int) -> Tensor:
    """Features ``[B, ...]`` of B frames for each of their objects, ``[B * objects, ...]``."""
    if tensor.shape[0] == 1:
        return tensor.expand(objects, *tensor.shape[1:])
    return tensor.repeat_interleave(objects, dim=0)


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
