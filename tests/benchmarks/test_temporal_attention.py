"""The attention's figures are of sessions that follow objects: every way asks it, and its weights are changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import temporal_attention
from rotoscope.methods.giel import GIEL, GIELConfig


def test_every_way_follows_the_objects_and_asks_the_attention() -> None:
    torch.manual_seed(0)
    config = GIELConfig(
        trunk="resnet18",
        support_width=8,
        shared=False,
        key_dim=16,
        value_dim=16,
        decoder_dims=(16, 16, 8),
        label_dim=8,
        coarse_dim=8,
    )
    model: Any = GIEL(config).eval()
    inner = model.network.temporal
    frames = np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), np.uint8)
    labels = np.zeros((5, 48, 64), np.uint8)
    labels[:, 8:24, 8:24], labels[:, 20:40, 32:56] = 1, 2
    chosen = SimpleNamespace(product=False, memory="", spoilt=0.3)
    channels = inner.layer2.in_features
    asked = torch.randn(1, channels), torch.randn(1, 3, channels), torch.randn(1, channels, 3, 4)
    weights = {}
    for way in temporal_attention.WAYS:
        weighed = model.network.temporal = temporal_attention.Weighed(inner, way)
        score = temporal_attention.followed(model, (frames, labels), chosen, 0)
        assert 0 <= score <= 1
        assert len(weighed.seen) == 2 * 4  # the least and the largest, on every frame after the first
        weights[way] = weighed(*asked)
    assert torch.equal(weights["alike"], torch.ones(1, 3))
    assert torch.equal(weights["shuffled"].sort().values, weights["trained"].sort().values)
    assert not torch.equal(weights["trained"], weights["alike"])
