"""Frames on which masks were given are trusted more than what was answered."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conftest import TINY, first_mask, moving, tiny
from rotoscope import segment
from rotoscope.errors import InputError
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.stcn import STCNConfig, STCNNetwork
from rotoscope.methods.stcn.session import STCNSession
from rotoscope.methods.stcn.training import clip_loss

CELLS = 12
"""Of a frame of 64x48."""


def similarities(trust: float) -> list[float]:
    """What is added to the similarity to each frame in memory, where masks were given on frames 0 and 4."""
    mask = first_mask((64, 48))
    model = tiny("stcn:light")
    model.reconfigure(max_short_side=48, memory="lfu:6", mem_every=2, least_quality=0.0, include_last=True)
    session = model.session(trust=trust)
    assert isinstance(session, STCNSession)
    for number, image in enumerate(moving(8, (64, 48))):
        if number in (0, 4):
            session.add({1: mask})
        session.push(image)
    _, keys, norms = session.bank.compared(torch.zeros(8, 1), None, None, None)
    more = (keys.square().sum(dim=0) - norms) / keys.shape[0] ** 0.5
    return [round(float(part.mean()), 4) for part in more.split(CELLS)]


def test_given_frames_are_trusted_and_no_others() -> None:
    assert similarities(1.5) == [1.5, 0.0, 1.5, 0.0, 0.0]  # frames 0, 2, 4, 6, and 7 for the time being
    assert similarities(0.0) == [0.0] * 5


def test_a_run_that_is_resumed_goes_on_as_if_it_had_not_stopped() -> None:
    clip, mask = moving(12, (70, 44)), first_mask((70, 44))
    model = tiny("stcn:light")
    model.reconfigure(max_short_side=32, trust=1.5)
    whole = list(segment(clip, {0: {1: mask}}, model))
    session = model.session()
    session.add({1: mask})
    for image in clip[:7]:
        session.push(image)
    again = model.session()
    again.restore(session.state())
    for image, wanted in zip(clip[7:], whole[7:], strict=True):
        assert np.array_equal(again.push(image)[0].labels, wanted.labels)


@pytest.mark.parametrize("trust", [-1.0, 101.0, float("inf")])
def test_less_than_nothing_and_what_no_similarity_reaches_are_refused(trust: float) -> None:
    with pytest.raises(InputError, match="trust"):
        tiny("stcn:light").session(trust=trust)


def test_who_trusts_the_first_frame_alone_learns_as_if_it_were_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = STCNNetwork(STCNConfig(**TINY["stcn"])).eval()
    labels = torch.zeros(1, 4, 48, 48, dtype=torch.long)
    labels[:, :, 8:30, 8:30] = 1
    clip = ClipBatch(torch.randn(1, 4, 3, 48, 48), labels, 1)
    with torch.no_grad():
        plain, trusting = (clip_loss(network, clip, trust=trust).loss for trust in (0.0, 1e5))
        monkeypatch.setattr(torch, "randint", lambda low, high, size: torch.tensor(99))  # nothing else is remembered
        alone = clip_loss(network, clip).loss
    torch.testing.assert_close(trusting, alone)
    assert not torch.isclose(plain, alone, rtol=1e-4)
