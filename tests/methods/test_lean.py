"""Answers that lean towards objects, or away from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rotoscope import load, segment
from rotoscope.datasets.demo import demo_clip
from rotoscope.errors import InputError
from rotoscope.layers.aggregation import leaned

METHODS = ["stcn-small", "agame-small", "capsulevos-small"]


@pytest.mark.parametrize("name", METHODS)
def test_the_more_it_leans_the_more_is_marked(name: str) -> None:
    clip = demo_clip(8)
    model = load(name)
    areas = []
    for lean in (-1.0, 0.0, 1.0):
        answers = list(segment(clip.frames, {0: clip.labels[0]}, model, lean=lean))
        areas.append(sum(np.count_nonzero(answer.labels) for answer in answers[1:]))
        assert np.array_equal(answers[0].labels, clip.labels[0])
    assert areas[0] < areas[1] < areas[2]


@pytest.mark.parametrize("name", METHODS)
def test_so_much_and_no_more(name: str) -> None:
    with pytest.raises(InputError, match="lean"):
        load(name).session(lean=2.5)


def test_none_is_the_very_same() -> None:
    logits = torch.randn(2, 3, 4)
    assert leaned(logits, 0.0) is logits
    assert torch.equal(leaned(logits, 0.5), logits + 0.5)
