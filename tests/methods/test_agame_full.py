"""The published size of A-GAME."""

from __future__ import annotations

import numpy as np
import torch

from rotoscope.methods.agame import AGAME, AGAMENetwork
from rotoscope.methods.agame.training import RECIPES, clip_loss
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.schedule import Schedule
from rotoscope.training.optimiser import freeze, hold_norms


def test_the_published_size_runs_on_a_480p_frame() -> None:
    torch.manual_seed(0)
    model = AGAME().eval()
    model.requires_grad_(False)
    session = model.session()
    mask = np.zeros((480, 854), bool)
    mask[100:300, 200:400] = True
    session.add({1: mask, 2: np.roll(mask, 250, axis=1)})
    frame = np.random.default_rng(0).integers(0, 256, (480, 854, 3), dtype=np.uint8)
    session.push(frame)
    found = session.push(frame)[0]
    assert found.probabilities.shape == (3, 480, 854)
    assert torch.isfinite(found.probabilities).all()
    kept = sum(value.numel() for name, value in session.state().items() if name.startswith("memory."))
    assert kept == 2 * (2 * 4 * 512 + (512 + 2) * 30 * 54)


def test_the_published_size_trains() -> None:
    torch.manual_seed(0)
    network = AGAMENetwork(AGAME.config_class())
    recipe = RECIPES["agame"]
    freeze(network, recipe.frozen)
    network.train()
    hold_norms(network, recipe)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 35_932_804
    labels = torch.zeros(2, 3, 64, 96, dtype=torch.long)
    images = torch.randn(2, 3, 3, 64, 96) * 0.3
    for t in range(3):
        labels[:, t, 16:40, 8 + 6 * t : 40 + 6 * t] = 1
        images[:, t, :, 16:40, 8 + 6 * t : 40 + 6 * t] += 2.0
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, Schedule(recipe).rate(0), weight_decay=Schedule(recipe).weight_decay(0))
    losses = []
    for _ in range(4):
        lesson = clip_loss(network, ClipBatch(images, labels, 1))
        optimiser.zero_grad()
        lesson.loss.backward()
        optimiser.step()
        losses.append(lesson.loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
