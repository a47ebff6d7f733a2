"""The network of COSNet: tensors in, tensors out (Lu et al., CVPR 2019; released code: facts)."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.normalise import normalise
from rotoscope.layers.trunks import build_trunk
from rotoscope.methods.cosnet.attention import CoAttention, Found
from rotoscope.methods.cosnet.config import COSNetConfig, Joined

CAFFE_MEAN = (104.00699, 116.66877, 122.67892)
"""Of blue, green and red, in [0, 255]."""
MOST_GAINED = 3.0
"""Logits that a cell gains at most for being found again, or loses for not being so."""


def as_input(image: Tensor, caffe: bool) -> Tensor:
    """RGB ``[..., 3, H, W]``, uint8 in [0, 255] or float in [0, 1], to what the trunk sees, in float32."""
    if not caffe:
        return normalise(image)
    scaled = image.to(torch.float32) if image.dtype == torch.uint8 else image.to(torch.float32) * 255
    return scaled.flip(-3) - torch.tensor(CAFFE_MEAN, device=image.device)[:, None, None]


class PyramidPooling(nn.Module):
    """The whole picture's mean, the cell itself, and its surroundings at three ranges (ASPP of DeepLabv3)."""

    def __init__(self, channels_in: int, channels: int, channels_out: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.pool = _with_norm(nn.Conv2d(channels_in, channels, 1))
        self.branches = nn.ModuleList(
            [_with_norm(nn.Conv2d(channels_in, channels, 1))]
            + [_with_norm(nn.Conv2d(channels_in, channels, 3, 1, d, d)) for d in dilations]
        )
        self.merge = _with_norm(nn.Conv2d((2 + len(dilations)) * channels, channels_out, 3, 1, 1))
        self.prelu = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, h, w]`` -> ``[B, channels_out, h, w]``."""
        whole = F.relu(self._whole(x.mean(dim=(2, 3), keepdim=True)))
        parts = [whole.expand(-1, -1, *x.shape[-2:]), *(F.relu(branch(x)) for branch in self.branches)]
        out: Tensor = self.prelu(self.merge(torch.cat(parts, dim=1)))
        return out

    def _whole(self, mean: Tensor) -> Tensor:
        """``[B, channels_in, 1, 1]`` -> ``[B, channels, 1, 1]``."""
        layer, norm = self.pool
        if self.training and len(mean) == 1 and isinstance(norm, nn.BatchNorm2d):
            # A single picture's mean has no spread: in a batch of one the statistics so far stand in.
            x: Tensor = layer(mean)
            return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        out: Tensor = norm(layer(mean))
        return out


class Head(nn.Module):
    """From a summary and the frame's own features to a mask.

    The first layer is linear until its norm, so it is computed in two parts: the frame's own once, the summaries' for
    all references in one batch.
    """

    def __init__(self, channels: int, more: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels + more, channels, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.predict = nn.Conv2d(channels, 1, 1)

    def forward(self, summary: Tensor, features: Tensor) -> Tensor:
        """Summaries ``[B, C + more, h, w]`` and features ``[B or 1, C, h, w]`` to logits ``[B, 1, h, w]``."""
        channels = summary.shape[1]
        own = F.conv2d(features, self.conv.weight[:, channels:], self.conv.bias, padding=1)
        x = own + F.conv2d(summary, self.conv.weight[:, :channels], padding=1)
        logits: Tensor = self.predict(F.relu(self.bn(x)))
        return logits


class COSNetNetwork(nn.Module):
    """A siamese encoder, co-attention between its frames, and a head for each side."""

    pure: ClassVar[tuple[str, ...]] = ("encode", "segment")
    """Functions that may be replayed (:class:`~rotoscope.runtimes.replayed.Replayed`)."""

    def __init__(self, config: COSNetConfig) -> None:
        super().__init__()
        self.caffe = config.caffe
        self.trunk = build_trunk(
            config.trunk, stages=config.stages, output_stride=config.output_stride, caffe=config.caffe
        )
        self.aspp = PyramidPooling(self.trunk.channels[-1], config.aspp_dim, config.dim, config.dilations)
        self.saliency = nn.Conv2d(config.dim, 1, 1)
        self.attention = CoAttention(config)
        self.gate = nn.Conv2d(config.dim, 1, 1, bias=False)
        self.dim = config.dim
        self.look: nn.Sequential | None = None
        if config.look_dim:
            channels = self.trunk.channels[-1]
            narrow = nn.Conv2d(channels, config.look_dim, 1, bias=False)
            nn.init.orthogonal_(narrow.weight)
            self.look = nn.Sequential(nn.BatchNorm2d(channels), narrow)
        more = 1 if config.look_dim else 0
        self.reference_head = Head(config.dim, more)
        self.query_head = Head(config.dim, more)

    def encode(self, image: Tensor) -> Tensor:
        """What is computed once per frame.

        Args:
            image: from :func:`as_input`, ``[B, 3, H, W]``, any size.
        Returns: features ``[B, C, h, w]`` at the output stride; behind them what cells are compared by, if they have
            channels of their own for it.
        """
        deep = self.trunk(image)[-1]
        features: Tensor = self.aspp(deep)
        return features if self.look is None else torch.cat([features, self.look(deep)], dim=1)

    def single(self, features: Tensor) -> Tensor:
        """Logits ``[B, 1, h, w]`` of what a frame shows by itself, without looking at another."""
        logits: Tensor = self.saliency(features[:, : self.dim])
        return logits

    def summary(self, features: Tensor, reference: Tensor, back: bool = False) -> Tensor:
        """The gated summary of references for frames, each of batch B or 1: ``[B, C, h, w]``.

        Behind it stands how alike a cell is to what it found, in [-1, 1], if cells are compared by channels of their
        own. ``back`` as in :class:`~rotoscope.methods.cosnet.attention.CoAttention`.
        """
        if self.attention.kind == "none":
            return self._gated(features, features.expand(max(len(features), len(reference)), -1, -1, -1))
        return self._gated(features, self.attention(features, reference, back))

    def _gated(self, features: Tensor, attended: Tensor) -> Tensor:
        plain = attended[:, : self.dim]
        gated: Tensor = plain * torch.sigmoid(self.gate(plain))
        if self.look is None:
            return gated
        alike = F.cosine_similarity(attended[:, self.dim :].float(), features[:, self.dim :].float(), dim=1)
        return torch.cat([gated, alike[:, None].to(gated.dtype)], dim=1)

    def pair(self, query: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[B, 1, h, w]`` of both frames of pairs, each with the other as its reference, as in training."""
        ahead = self.query_head(self.summary(query, reference), query[:, : self.dim])
        return ahead, self.reference_head(self.summary(reference, query, back=True), reference[:, : self.dim])

    def recurring(self, query: Tensor, found: Found, joined: Joined) -> Tensor:
        """What a frame's cells gain or lose because they are found again elsewhere, or are not.

        A cell is judged by two things, both means over the references: its greatest cosine there, and how much what it
        looks at there stands out by itself. What it gains is ``recurrence`` and ``carried`` times what it has more of
        them than the frame's cells have on average, each counting as much as it stands out by itself; a hyperbolic
        tangent keeps the sum within :data:`MOST_GAINED`. Not in the paper.

        Args:
            query: features of the frame, ``[1, C, h, w]``.
            found: what its cells find in the references, told how much each of their cells stands out.
            joined: logits for each unit of both.
        Returns: logits ``[1, 1, h, w]``, float32.
        """
        judged = joined.recurrence * found.likeness.mean(dim=0) + joined.carried * found.told.mean(dim=0)
        stands_out = torch.sigmoid(self.single(query)[0, 0].float())
        usual = (stands_out * judged).sum() / stands_out.sum().clamp_min(1e-3)
        return (MOST_GAINED * torch.tanh((judged - usual) / MOST_GAINED))[None, None]

    def segment(self, query: Tensor, references: Tensor, size: tuple[int, int], joined: Joined) -> Tensor:
        """Find the primary object on a frame.

        Args:
            query: features of the frame, ``[1, C, h, w]``.
            references: features of N other frames, ``[N, C, h, w]``; with none the mask comes from the frame alone.
            size: height and width of the answer.
            joined: how references and the frame's own saliency make one answer.
        Returns: probabilities ``[H, W]``, float32.
        """
        if not len(references):
            return torch.sigmoid(enlarge(self.single(query), size))[0, 0]
        return torch.sigmoid(enlarge(self.logits(query, references, joined), size)).mean(dim=0)[0]

    def logits(self, query: Tensor, references: Tensor, joined: Joined) -> Tensor:
        """Logits of a frame by at least one reference and, by ``own_share``, by itself: ``[N or 1, 1, h, w]``.

        Arguments are those of :meth:`segment`.
        """
        gained: Tensor | None = None
        found: Found | None = None
        if joined.recurrence or joined.carried:
            found = self.attention.found(query, references, torch.sigmoid(self.single(references).float()))
            gained = self.recurring(query, found, joined)
        if joined.fusion == "group":  # one reference, as wide as all of them
            summary = self.summary(query, references.permute(1, 2, 0, 3).flatten(2)[None])
        else:
            summary = self.summary(query, references) if found is None else self._gated(query, found.summary)
        if joined.fusion == "summary":
            summary = summary.mean(dim=0, keepdim=True)
        logits: Tensor = self.query_head(summary, query[:, : self.dim])
        if joined.own_share:
            logits = torch.lerp(logits, self.single(query), joined.own_share)
        return logits if gained is None else logits + gained


def enlarge(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, corners not aligned, in float32."""
    return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


def _with_norm(layer: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels))
