"""The published size of GIEL."""

from __future__ import annotations

import numpy as np
import torch

from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.giel import GIEL, GIELNetwork
from rotoscope.methods.giel.training import RECIPES, clip_loss
from rotoscope.methods.schedule import Schedule
from rotoscope.weights import find


def test_the_published_size_runs_on_a_480p_frame() -> None:
    torch.manual_seed(0)
    model = GIEL().eval()
    model.requires_grad_(False)
    session = model.session()
    mask = np.zeros((480, 854), bool)
    mask[100:300, 200:400] = True
    session.add({1: mask})
    frame = np.random.default_rng(0).integers(0, 256, (480, 854, 3), dtype=np.uint8)
    session.push(frame)
    found = session.push(frame)[0]
    assert found.probabilities.shape == (2, 480, 854)
    assert torch.isfinite(found.probabilities).all()
    for name in ("giel", "giel-fast", "stm"):
        entry = find(name)
        with torch.device("meta"):  # its shapes without its weights
            sized = GIEL(GIEL.config_class(**entry.config))
        assert round(sum(p.numel() for p in sized.parameters()) / 1e6, 1) == entry.parameters


def test_the_published_size_trains() -> None:
    torch.manual_seed(0)
    network = GIELNetwork(GIEL.config_class())
    recipe = RECIPES["giel"]
    labels = torch.zeros(1, 3, 32, 48, dtype=torch.long)
    images = torch.randn(1, 3, 3, 32, 48) * 0.3
    for t in range(3):
        labels[:, t, 4:26, 4 + 6 * t : 24 + 6 * t] = 1
        images[:, t, :, 4:26, 4 + 6 * t : 24 + 6 * t] += 2.0
    optimiser = torch.optim.Adam(network.parameters(), Schedule(recipe).rate(0))
    losses = []
    for _ in range(4):
        lesson = clip_loss(network, ClipBatch(images, labels, 1))
        optimiser.zero_grad()
        lesson.loss.backward()
        optimiser.step()
        losses.append(lesson.loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
