"""Tiny networks of COSNet, and what they find."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from conftest import TINY
from rotoscope.methods.cosnet import COSNet, COSNetConfig
from rotoscope.runs.segment import segment


def make(**config: object) -> COSNet:
    torch.manual_seed(7)
    model = COSNet(COSNetConfig(**{**TINY["cosnet"], **config})).eval()  # type: ignore[arg-type]
    model.requires_grad_(False)
    for head in (model.network.query_head, model.network.reference_head):
        head.predict.weight.mul_(20)
    return model


def masks(model: COSNet, clip: Any, **options: object) -> list[Tensor]:
    return [prediction.probabilities[1] for prediction in segment(clip, None, model, **options)]
