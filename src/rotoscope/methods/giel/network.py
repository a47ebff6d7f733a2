"""The network of GIEL: tensors in, tensors out (Ge et al., CVPR 2021). With other settings it is STM's."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.resnet import ResNet
from rotoscope.layers.trunks import begin_small, build_trunk, is_lite
from rotoscope.methods.giel.config import GIELConfig
from rotoscope.methods.giel.parts import CoarseHead, Decoder, LabelEncoder, TemporalAttention

STRIDE = 16


class FrameFeatures(NamedTuple):
    """What is computed once per frame, whatever the number of objects. What a network lacks has no channels.

    Attributes:
        key: the key of each cell, ``[B, Ck, h, w]`` at stride 16.
        global16, global8, global4: the frame's part of the global decoder's first layer, and its skips.
        fine16, fine8, fine4: the same for the instances' decoder.
        coarse16: the frame's part of the coarse head's first layer.
    """

    key: Tensor
    global16: Tensor
    global8: Tensor
    global4: Tensor
    fine16: Tensor
    fine8: Tensor
    fine4: Tensor
    coarse16: Tensor

    def select(self, index: Tensor) -> FrameFeatures:
        """The same for entries of the batch; one may be taken several times."""
        return FrameFeatures(*(tensor[index] for tensor in self))


class GIELNetwork(nn.Module):
    """Encoders, keys and values, heads. The memory between them is the session's."""

    pure: ClassVar[tuple[str, ...]] = (
        "encode_query",
        "encode_support",
        "encode_labels",
        "find_all",
        "find_fast",
        "find_fine",
    )
    """Functions that may be replayed (:class:`~rotoscope.runtimes.replayed.Replayed`)."""

    def __init__(self, config: GIELConfig) -> None:
        super().__init__()
        self.config = config
        self.query_encoder = build_trunk(config.trunk, stages=3)
        channels = 4 + config.others  # RGB, the mask, the other objects' masks
        depth = 18 if is_lite(config.trunk) else int(config.trunk.removeprefix("resnet"))
        self.support_encoder = ResNet(depth, stages=3, channels_in=channels, width=config.support_width)  # type: ignore[arg-type]
        c4, c8, c16 = self.query_encoder.channels
        m16 = self.support_encoder.channels[-1]
        side = config.kernel
        self.query_key = nn.Conv2d(c16, config.key_dim, side, 1, side // 2)
        self.query_value = nn.Conv2d(c16, config.value_dim, side, 1, side // 2)
        own_key = config.keys == "support" and not config.shared
        self.support_key = nn.Conv2d(m16, config.key_dim, side, 1, side // 2) if own_key else None
        self.support_value = None if config.shared else nn.Conv2d(m16, config.value_dim, side, 1, side // 2)
        attention = config.temporal_attention != "none"
        seen = config.value_dim if config.judged == "values" else None
        self.temporal = TemporalAttention(config.key_dim, seen) if attention else None
        instances = config.instance_embedding
        self.labels = LabelEncoder(config) if instances else None
        self.coarse = CoarseHead(config) if instances else None
        self.decoder = Decoder(config, c8, c4) if config.global_embedding or not instances else None
        self.refine = Decoder(config, c8, c4) if instances and config.refine else None
        begin_small(config.trunk, self.query_key.weight, self.query_value.weight)
        for decoder in (self.decoder, self.refine):
            if decoder is not None:
                begin_small(config.trunk, decoder.up_16_8.skip_conv.weight, decoder.up_8_4.skip_conv.weight)

    def encode_query(self, image: Tensor, *, common: bool = True, fine: bool = True) -> FrameFeatures:
        """Encode frames.

        Args:
            image: normalised RGB, ``[B, 3, H, W]``; H and W multiples of 16.
            common, fine: whether the global decoder will run, and that of instances.
        """
        f4, f8, f16 = self.query_encoder(image)
        key, value = self.query_key(f16), self.query_value(f16)
        of_all = of_each = (key[:, :0], key[:, :0], key[:, :0])
        if self.decoder is not None and common:
            of_all = self.decoder.of_frame(value, f8, f4)
        if self.refine is not None and fine:
            of_each = self.refine.of_frame(value, f8, f4)
        coarse = key[:, :0] if self.coarse is None else self.coarse.of_frame(value)
        return FrameFeatures(key, *of_all, *of_each, coarse)

    def encode_support(self, image: Tensor, masks: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Encode frames whose masks are known, or were predicted.

        Args:
            image: normalised RGB, ``[B, 3, H, W]``.
            masks: soft masks in [0, 1], ``[B, 1, H, W]``: the union of all objects; without instance embedding one
                object's mask, and with ``others`` the sum of the other objects' behind it, ``[B, 2, H, W]``.
            key: what the frames had as queries, ``[B, Ck, h, w]``.
        Returns: keys ``[B, Ck, h, w]`` and values ``[B, Cv, h, w]``.
        """
        m16 = self.support_encoder(torch.cat([image, masks], dim=1))[-1]
        if self.config.keys == "support":
            key = (self.query_key if self.support_key is None else self.support_key)(m16)
        value = (self.query_value if self.support_value is None else self.support_value)(m16)
        return key, value

    def encode_labels(self, labels: Tensor) -> Tensor:
        """Instance, all other instances, background ``[N, 3, H, W]`` in [0, 1] to codes ``[N, Cv, h, w]``."""
        assert self.labels is not None
        codes: Tensor = self.labels(labels)
        return codes

    def find_all(self, readout: Tensor, features: FrameFeatures) -> Tensor:
        """Logits of the global map, ``[B, 1, H, W]``, from what was read of plain values, ``[B, Cv, h, w]``.

        Without instance embedding it is each object's own mask: ``readout`` of batch N, ``features`` of batch 1 or N.
        """
        assert self.decoder is not None
        logits: Tensor = self.decoder(readout, features.global16, features.global8, features.global4)
        return logits

    def find_fast(self, readout: Tensor, features: FrameFeatures, common: Tensor | None) -> Tensor:
        """Probabilities of instances by the coarse head.

        Args:
            readout: what was read of the instances' values, ``[N, Cv, h, w]``.
            features: the features of the query frame, batch 1 or N.
            common: the global map's probabilities, ``[1 or N, 1, H, W]``; None without global embedding.
        Returns: ``[N, 1, H, W]`` in [0, 1], float32.
        """
        assert self.coarse is not None
        logits = F.interpolate(
            self.coarse(readout, features.coarse16).float(), scale_factor=STRIDE, mode="bilinear", align_corners=False
        )
        probabilities = torch.sigmoid(logits)
        return probabilities if common is None else probabilities * common

    def find_fine(self, readout: Tensor, features: FrameFeatures, common: Tensor | None) -> Tensor:
        """The same by the learnt decoder (equation 12); ``common`` multiplies only if it is given."""
        assert self.refine is not None
        logits = self.refine(readout, features.fine16, features.fine8, features.fine4)
        probabilities = torch.sigmoid(logits.float())
        return probabilities if common is None else probabilities * common


def label_tensors(probabilities: Tensor) -> Tensor:
    """Label tensors of instances (section 3.3).

    Args:
        probabilities: background and instances, ``[..., 1 + N, H, W]``, summing to 1.
    Returns: instance, all other instances, background: ``[..., N, 3, H, W]``.
    """
    background, instances = probabilities[..., :1, :, :], probabilities[..., 1:, :, :]
    rest = instances.sum(dim=-3, keepdim=True) - instances
    return torch.stack([instances, rest, background.expand_as(instances)], dim=-3)


def affinity_logits(config: GIELConfig, support: Tensor, query: Tensor) -> Tensor:
    """What the affinity (equation 4) is the softmax of, without temporal attention.

    Args:
        config: says the similarity and its scale.
        support: keys ``[..., Ck, M]``.
        query: keys ``[..., Ck, Q]``.
    Returns: ``[..., M, Q]``; of squared distances less the term that is constant along the support.
    """
    product = support.transpose(-1, -2) @ query
    root = float(support.shape[-2]) ** 0.5
    if config.similarity == "l2":
        return (2 * product - support.square().sum(dim=-2)[..., None]) / root
    return product / root if config.scaled else product


def weigh(config: GIELConfig, scores: Tensor, weights: Tensor) -> Tensor:
    """Temporal attention in the affinity's logits ``[B, M, Q]``; weights of the M support positions, ``[B, M]``."""
    if config.temporal_attention == "similarity":
        return scores * weights[..., None]
    return scores + torch.log(weights)[..., None]
