"""Unwanted clicks on pieces of a mask that stand apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rotoscope.masks.points import Placed
from rotoscope.methods import build_model
from rotoscope.prompts import Prompts
from rotoscope.prompts.answering import NetworkPrompter, without_part
from rotoscope.prompts.network import Answered, Asked
from rotoscope.prompts.parts import detached_part

TINY = {"dims": (8, 8, 16, 16), "key_dim": 8, "short_side": 64}


@pytest.fixture(scope="module")
def model() -> Prompts:
    torch.manual_seed(3)
    built = build_model("prompts", TINY)
    assert isinstance(built, Prompts)
    return built.requires_grad_(False).eval()


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (75, 100, 3), dtype=np.uint8)


def pieces() -> np.ndarray:
    """A large piece, and two small ones that stand apart from it and from each other."""
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:40] = True
    mask[20:28, 60:68] = mask[40:44, 55:75] = True
    return mask


def test_an_unwanted_click_on_a_piece_that_stands_apart_means_the_piece() -> None:
    mask = pieces()
    part = detached_part(mask, (62, 24))
    assert part is not None
    assert part.sum() == 64
    assert part[20:28, 60:68].all()
    assert detached_part(mask, (20, 20)) is None, "the largest piece is the object"
    assert detached_part(mask, (0, 0)) is None, "nothing is there"
    assert detached_part(mask, (62, 24), [(66, 26)]) is None, "it holds what is wanted"
    mask[10:40, 45:75] = True
    assert detached_part(mask, (62, 24)) is None, "it is nearly as large as the largest"


def test_taking_pieces_away_leaves_every_other_pixel_of_the_mask_as_it_was(model: Prompts, picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    before = np.zeros((height, width), np.float32)
    before[5:45, 5:45] = np.linspace(0.55, 1, 40)
    before[60:66, 80:90] = 0.9
    before[59:67, 79:91] = np.maximum(before[59:67, 79:91], 0.2)
    before[60:66, 60:66] = 0.8
    opened = NetworkPrompter(model).open(picture)
    answer = opened.answer(Placed(np.array([[84, 62], [62, 62]]), np.zeros(2, bool)), before)
    expected = before.copy()
    expected[50:] = 0
    np.testing.assert_array_equal(answer.mask, expected)
    assert answer.confidence is None
    more = Placed(np.array([[84, 62], [62, 62], [20, 20]]), np.zeros(3, bool))
    again = NetworkPrompter(model).open(picture).answer(more, expected)
    one = Placed(np.array([[84, 62], [20, 20]]), np.zeros(2, bool))
    assert opened.answer(more, before).confidence is not None, "a click on the object is the network's"
    assert again.mask.shape == opened.answer(one, before).mask.shape


def test_of_an_answer_of_the_network_too_only_the_piece_goes() -> None:
    earlier = torch.full((1, 1, 30, 40), -3.0)
    earlier[..., 5:20, 5:20] = 4.0
    earlier[..., 8:12, 30:34] = 2.0
    points = torch.tensor([[[20.5, 20.5], [64.5, 20.5]]])
    asked = Asked(points, torch.tensor([[1.0, -1.0]]), torch.zeros(1, 4), torch.sigmoid(earlier))
    new = Answered(torch.full_like(earlier, 9.0), torch.tensor([0.5]))
    left = without_part(new, Answered(earlier, torch.tensor([0.1])), asked)
    assert (left.logits[..., 8:12, 30:34] < -5).all()
    assert torch.equal(left.logits[..., :20, :26], earlier[..., :20, :26])
    on_it = asked._replace(points=torch.tensor([[[64.5, 20.5], [20.5, 20.5]]]))
    assert without_part(new, Answered(earlier, torch.tensor([0.1])), on_it) is new
