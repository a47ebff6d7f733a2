"""What an object and its background look like: Gaussians fitted in closed form (A-GAME, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.methods.agame.config import AGAMEConfig

COMPONENTS = {"mixture": 4, "unimodal": 2, "softmax": 2, "none": 0}
"""Gaussians of each kind of model: background, target, and for the mixture the residuals of both."""


class Model(NamedTuple):
    """What objects look like.

    Attributes:
        mean: the means of the K Gaussians of each of N objects, float32 ``[N, K, C]``.
        variance: the variances of each channel, float32 ``[N, K, C]``.
    """

    mean: Tensor
    variance: Tensor


class Appearance(nn.Module):
    """Fits and scores diagonal Gaussians, one set per object.

    The softmax classifier of the ablation is the same with one learnt variance for all channels and both classes: what
    is quadratic in a feature is then common to both scores, so the posterior is that of a linear classifier whose
    weights are the two means, conditioned on the given mask, and whose temperature is learnt. Its posterior is what is
    fused, not the scores.

    Everything here is float32, whatever the rest computes in: variances are differences of large numbers, and scores
    are hundreds of which single units count.
    """

    def __init__(self, config: AGAMEConfig, channels_in: int) -> None:
        super().__init__()
        self.kind = config.appearance
        self.end_to_end = config.end_to_end
        self.components = COMPONENTS[config.appearance]
        channels = config.appearance_dim
        self.scale = 1 / channels if config.mean_scores else 1.0
        self.project = nn.Conv2d(channels_in, channels, 1)
        nn.init.kaiming_uniform_(self.project.weight, nonlinearity="relu")
        sizes = (1, 1) if self.kind == "softmax" else (self.components, channels)
        self.regulariser = nn.Parameter(torch.full(sizes, -2.0))

    def describe(self, features: Tensor) -> Tensor:
        """Features ``[B, Cin, h, w]`` to what is modelled: ``[B, C, h * w]``, float32; no norm, no ReLU."""
        with torch.autocast(features.device.type, enabled=False):
            weight, bias = self.project.weight.float(), self.project.bias
            assert bias is not None
            return F.conv2d(features.float(), weight, bias.float()).flatten(2)

    def fit(self, x: Tensor, masks: Tensor) -> Model:
        """Fit to one frame.

        Args:
            x: what :meth:`describe` gives, ``[N or 1, C, P]``.
            masks: background and target at stride 16, ``[N, 2, h, w]``, summing to 1.
        """
        weights = masks.float().flatten(2)
        if not self.end_to_end:
            x, weights = x.detach(), weights.detach()
        with torch.autocast(x.device.type, enabled=False):
            floor = F.softplus(self.regulariser.float()).expand(self.components, x.shape[1])
            base = moments(x, weights, floor[:2])
            if self.kind == "softmax":
                return Model(base.mean, floor.expand_as(base.mean))
            if self.kind == "unimodal":
                return base
            rest = moments(x, residuals(torch.softmax(log_likelihood(x, base), dim=1), weights), floor[2:])
            return Model(torch.cat([base.mean, rest.mean], dim=1), torch.cat([base.variance, rest.variance], dim=1))

    def score(self, x: Tensor, model: Model) -> Tensor:
        """How well each component explains each cell, ``[N, K, P]``: log-likelihoods, or the softmax's posterior."""
        with torch.autocast(x.device.type, enabled=False):
            scores = log_likelihood(x, model)
            return torch.softmax(scores, dim=1) if self.kind == "softmax" else scores * self.scale


def moments(x: Tensor, weights: Tensor, floor: Tensor) -> Model:
    """Weighted mean and variance with 1 added to the sum of the weights, and a floor added to the variance.

    Args:
        x: ``[N or 1, C, P]``.
        weights: ``[N, K, P]``, at least 0. With none at all the mean is 0 and the variance the floor.
        floor: ``[K, C]``.
    """
    centre = x.mean(dim=2, keepdim=True)  # moments about it lose no digits where features lie far from 0
    apart = (x - centre).transpose(1, 2)
    mass = weights.sum(dim=2, keepdim=True)
    first, second = weights @ apart, weights @ apart.square()
    mean = (first + mass * centre.transpose(1, 2)) / (1 + mass)
    shift = mean - centre.transpose(1, 2)
    spread = second - 2 * shift * first + shift.square() * mass
    return Model(mean, floor + spread.clamp(min=0) / (1 + mass))


def residuals(posterior: Tensor, weights: Tensor) -> Tensor:
    """Where the base pair claims more than the mask says, ``[N, 2, P]``.

    The slides have the opposite sign, which would swap the two residual components; this is the released code's.
    """
    return (posterior - weights).clamp(min=0)


def log_likelihood(x: Tensor, model: Model) -> Tensor:
    """``-1/2 sum_c [ln var + (x - mean)^2 / var]``, ``[N, K, P]``; no 2 pi, no prior.

    As two matrix products; the difference itself would take ``K * C * P`` numbers for each object.

    Args:
        x: ``[N or 1, C, P]``.
        model: the appearance models of N objects.
    """
    centre = x.mean(dim=2, keepdim=True)
    apart, mean = x - centre, model.mean - centre.transpose(1, 2)
    precision = 1 / model.variance
    distance = precision @ apart.square() - 2 * (mean * precision) @ apart
    constant = (model.variance.log() + mean.square() * precision).sum(dim=2, keepdim=True)
    result: Tensor = -0.5 * (constant + distance)
    return result


def blend(old: Model, new: Model, rate: Tensor) -> Model:
    """Move models towards those of a newer frame; ``rate`` ``[N, 1, 1]`` in [0, 1]."""
    return Model(
        old.mean + rate * (new.mean - old.mean),
        old.variance + rate * (new.variance - old.variance),
    )
