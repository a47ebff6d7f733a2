"""The published size, and what the small one learns."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch

from rotoscope.datasets.demo import demo_clip
from rotoscope.evaluation import region_similarity
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.rvos import RVOS, RVOSConfig, RVOSNetwork
from rotoscope.methods.rvos.training import clip_loss
from rotoscope.runs.segment import segment
from rotoscope.weights import load


def moving_square(frames: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright square that moves over noise: images ``[1, T, 3, H, W]`` and labels ``[1, T, H, W]``."""
    torch.manual_seed(0)
    labels = torch.zeros(1, frames, *size, dtype=torch.long)
    images = torch.randn(1, frames, 3, *size) * 0.3
    for t in range(frames):
        labels[0, t, 16:40, 8 + 6 * t : 32 + 6 * t] = 1
        images[0, t, :, 16:40, 8 + 6 * t : 32 + 6 * t] += 2.0
    return images, labels


@pytest.mark.parametrize("one_shot", [True, False])
def test_the_published_size_runs_on_a_480p_frame(one_shot: bool) -> None:
    torch.manual_seed(0)
    model = RVOS(RVOSConfig(one_shot=one_shot)).requires_grad_(False).eval()
    session = model.session()
    if one_shot:
        mask = np.zeros((480, 854), bool)
        mask[100:300, 200:400] = True
        session.add({1: mask, 2: np.roll(mask, 250, axis=1)})
    frame = np.random.default_rng(0).integers(0, 256, (480, 854, 3), dtype=np.uint8)
    session.push(frame)
    found = session.push(frame)[0]
    assert found.probabilities.shape[1:] == (480, 854)
    assert len(found.object_ids) == 2 or not one_shot
    assert torch.isfinite(found.probabilities).all()


@pytest.mark.parametrize("one_shot", [True, False])
def test_the_published_size_trains(one_shot: bool) -> None:
    images, labels = moving_square(3, (64, 64))
    network = RVOSNetwork(RVOSConfig(one_shot=one_shot)).eval()
    rest = [p for name, p in network.named_parameters() if not name.startswith("encoder.")]
    groups = [{"params": network.encoder.parameters(), "lr": 1e-6}, {"params": rest, "lr": 1e-3}]
    optimiser = torch.optim.Adam(groups, weight_decay=1e-6)
    losses = []
    for _ in range(3):
        lesson = clip_loss(network, ClipBatch(images, labels, 1), inferred=0.0)
        optimiser.zero_grad()
        lesson.loss.backward()
        optimiser.step()
        losses.append(lesson.loss.item())
    assert np.isfinite(losses).all()
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("one_shot", [True, False])
def test_a_small_network_learns_a_clip_by_heart(one_shot: bool) -> None:
    """J above 0.9 on the clip it was shown, within a minute."""
    images, labels = moving_square(4, (64, 64))
    network = RVOSNetwork(RVOSConfig(trunk="resnet18", hidden=32, one_shot=one_shot))
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    best = 0.0
    for _ in range(150):
        lesson = clip_loss(network, ClipBatch(images, labels, 1), slots=3.0, entropy=0.5)
        optimiser.zero_grad()
        lesson.loss.backward()
        optimiser.step()
        ours, truth = lesson.probabilities.argmax(2) == 1, labels[:, 1:] == 1
        best = max(best, ((ours & truth).sum() / (ours | truth).sum()).item())
        if best > 0.9:
            break
    assert best > 0.9


@functools.cache
def eight_frames(name: str, precision: str) -> list[Prediction]:
    """What built-in weights answer on the built-in clip, given masks or none."""
    clip = demo_clip(8)
    given = {0: {i: clip.labels[0] == i for i in (1, 2)}} if name == "rvos-small" else None
    return list(segment(clip.frames, given, load(name, device="cpu", precision=precision)))


@pytest.mark.parametrize("name", ["rvos-small", "rvos-small-zeroshot"])
def test_fast_masks_agree_with_exact_ones(name: str) -> None:
    exact, fast = (eight_frames(name, precision) for precision in ("exact", "fast"))
    ids = sorted({i for p in exact for i in p.object_ids})
    assert ids
    scores = [region_similarity(a.labels == i, b.labels == i) for a, b in zip(exact, fast, strict=True) for i in ids]
    assert np.mean(scores) >= 0.95


def test_the_built_in_weights_follow_the_built_in_clip() -> None:
    clip = demo_clip()
    frames, truth = clip.frames[:12], clip.labels[:12]
    found = list(segment(frames, {0: {i: truth[0] == i for i in (1, 2)}}, "rvos-small", device="cpu"))
    scores = [region_similarity(p.labels == 1, t == 1) for p, t in zip(found, truth, strict=True)]
    assert np.mean(scores[1:]) > 0.7


def test_the_built_in_weights_find_objects() -> None:
    """Without a mask, what is found covers the clip's objects better than the whole picture would."""
    clip, found = demo_clip(8), eight_frames("rvos-small-zeroshot", "fast")
    union = [region_similarity(p.labels > 0, t > 0) for p, t in zip(found, clip.labels, strict=True)]
    whole = [region_similarity(np.ones_like(t, bool), t > 0) for t in clip.labels]
    assert np.mean(union) > np.mean(whole)
    for before, after in itertools.pairwise(found):
        assert set(before.object_ids) <= set(after.object_ids)  # ids stay
