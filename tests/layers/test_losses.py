"""Losses against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from rotoscope.layers.losses import (
    bootstrapped_cross_entropy,
    class_balanced_bce,
    dice_loss,
    soft_iou_loss,
    two_sided_dice_loss,
)
from rotoscope.methods.schedule import hardest_share


def test_bootstrapped_cross_entropy_takes_the_hardest_pixels() -> None:
    logits = torch.tensor([[[[0.0, 2.0], [4.0, -4.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    each = [math.log(1 + math.exp(-x)) for x in (0.0, 2.0, 4.0, -4.0)]
    assert bootstrapped_cross_entropy(logits, labels).item() == pytest.approx(sum(each) / 4)
    assert bootstrapped_cross_entropy(logits, labels, 0.5).item() == pytest.approx((each[3] + each[0]) / 2)


def test_schedule_of_the_hardest_share() -> None:
    assert [hardest_share(s, 20, 70) for s in (0, 20, 45, 70, 900)] == pytest.approx([1, 1, 0.575, 0.15, 0.15])


def test_dice_averages_clips_by_their_own_objects() -> None:
    p = torch.zeros(2, 2, 1, 4)
    p[0, 0, 0, :2] = 1
    p[1, 0, 0, :1] = 1
    p[1, 1, 0, 2:] = 1
    t = torch.zeros_like(p)
    t[0, 0, 0, :2] = 1
    t[1, 0, 0, :2] = 1
    t[1, 1, 0, :2] = 1
    valid = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    second = ((1 - 3 / 4) + (1 - 1 / 5)) / 2
    assert dice_loss(p, t, valid).item() == pytest.approx((0 + second) / 2)


def test_two_sided_dice() -> None:
    p, r = torch.tensor([[[0.5, 1.0]]]), torch.tensor([[[1.0, 1.0]]])
    eps = 1e-8
    assert two_sided_dice_loss(p, r).item() == pytest.approx(1 - 1.5 / 3.5 - eps / (0.5 + eps), abs=1e-6)
    half = torch.tensor([[[1.0, 0.0]]])
    assert two_sided_dice_loss(half, half).item() == pytest.approx(0, abs=1e-6)


def test_soft_iou_and_its_weights() -> None:
    logits = torch.tensor([[0.0, 0.0], [20.0, -20.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    first = 1 - 0.5 / (0.5 + 1.0 + 1e-6)
    first = 1 - 0.5 / (0.5 + 0.5 + 1.0 - 0.5 + 1e-6)
    assert soft_iou_loss(logits, targets).item() == pytest.approx(first / 2, abs=1e-5)
    assert soft_iou_loss(logits, targets, torch.tensor([1.0, 0.0])).item() == pytest.approx(first, abs=1e-5)
    assert soft_iou_loss(logits, targets, torch.zeros(2)).item() == pytest.approx(first / 2, abs=1e-5)
    empty = torch.zeros(1, 3, requires_grad=True)
    loss = soft_iou_loss(empty, torch.zeros(1, 3))
    loss.backward()
    assert loss.item() == 1
    assert not empty.grad.any()  # type: ignore[union-attr]


def test_class_balanced_bce() -> None:
    logits, targets = torch.zeros(4), torch.tensor([1.0, 0.0, 0.0, 0.0])
    each = math.log(2)
    assert class_balanced_bce(logits, targets).item() == pytest.approx(each * (0.75 + 3 * 0.25) / 4)
    assert class_balanced_bce(logits, targets, balanced=False).item() == pytest.approx(each * 4)
