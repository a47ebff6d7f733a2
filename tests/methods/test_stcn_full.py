"""The published size, and the built-in weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rotoscope.datasets.demo import demo_clip
from rotoscope.evaluation import region_similarity
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.stcn import STCN, STCNConfig, STCNNetwork
from rotoscope.methods.stcn.training import clip_loss
from rotoscope.runs.segment import segment
from rotoscope.weights import load


def test_the_published_size_runs_on_a_480p_frame(stcn: STCN) -> None:
    session = stcn.session()
    mask = np.zeros((480, 854), bool)
    mask[100:300, 200:400] = True
    session.add({1: mask, 2: np.roll(mask, 250, axis=1)})
    frame = np.random.default_rng(0).integers(0, 256, (480, 854, 3), dtype=np.uint8)
    session.push(frame)
    found = session.push(frame)[0]
    assert found.probabilities.shape == (3, 480, 854)
    assert torch.isfinite(found.probabilities).all()
    assert sum(p.numel() for p in stcn.parameters()) == 54_434_180


def test_the_published_size_trains() -> None:
    torch.manual_seed(0)
    network = STCNNetwork(STCNConfig()).eval()  # batch norms stay as they are, as in the released recipe
    labels = torch.zeros(1, 3, 64, 64, dtype=torch.long)
    images = torch.randn(1, 3, 3, 64, 64) * 0.3
    for t in range(3):
        labels[0, t, 16:40, 8 + 6 * t : 32 + 6 * t] = 1
        images[0, t, :, 16:40, 8 + 6 * t : 32 + 6 * t] += 2.0
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-5)
    losses = []
    for _ in range(5):
        lesson = clip_loss(network, ClipBatch(images, labels, 1), dice=0.0)
        optimizer.zero_grad()
        lesson.loss.backward()
        optimizer.step()
        losses.append(lesson.loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.fixture(scope="module")
def followed() -> list[Prediction]:
    """The two objects of the built-in clip, by the default weights in their fast form; later ones change none."""
    clip = demo_clip()
    given = {0: {i: clip.labels[0] == i for i in (1, 2)}}
    return list(segment(clip.frames[:16], given, "stcn-small", device="cpu"))


def test_fast_masks_agree_with_exact_ones(followed: list[Prediction]) -> None:
    clip = demo_clip()
    given = {0: {i: clip.labels[0] == i for i in (1, 2)}}
    exact = list(segment(clip.frames[:8], given, load("stcn-small", device="cpu", precision="exact")))
    pairs = list(zip(exact, followed, strict=False))
    assert len(pairs) == 8
    scores = [region_similarity(a.labels == i, b.labels == i) for a, b in pairs for i in (1, 2)]
    assert np.mean(scores) >= 0.98


def test_the_default_weights_follow_the_built_in_clip(followed: list[Prediction]) -> None:
    truth = demo_clip().labels[:16]
    for i, least in ((1, 0.7), (2, 0.5)):
        scores = [region_similarity(p.labels == i, t == i) for p, t in zip(followed, truth, strict=True)]
        assert np.mean(scores[1:-1]) > least
