"""The thesis's two regularisers of the affinity."""

from __future__ import annotations

import pytest
import torch

from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.schedule import Schedule
from rotoscope.methods.stcn import STCNConfig, STCNNetwork
from rotoscope.methods.stcn.regularisers import drop_affinity, inside_objects, reallocate
from rotoscope.methods.stcn.training import RECIPES, clip_loss

SMALL = {
    "trunk": "resnet18", "value_width": 8, "key_dim": 16, "value_dim": 16, "thin_dim": 16, "decoder_dims": (16, 16, 8)
}  # fmt: skip


def test_dropout_never_leaves_a_query_empty() -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 400)
    dropped = drop_affinity(scores, 0.5)
    gone = torch.isinf(dropped)
    assert not gone.all(dim=1).any()
    assert gone.float().mean() == pytest.approx(0.5 - 0.5**3, abs=0.05)
    assert torch.equal(dropped[~gone], scores[~gone])
    assert torch.isfinite(torch.softmax(dropped, dim=1)).all()


def test_reallocation_favours_what_is_attended_to_least() -> None:
    weights = torch.tensor([[[0.6, 0.5], [0.1, 0.2], [0.3, 0.3]]])  # three support features, two queries
    inside = torch.tensor([[[True, True, False]]])
    moved = reallocate(weights, inside)[0, 0]
    # attention 1.1 and 0.3: ranks 1 and 2, so the second feature's weight doubles relative to the first's
    expected = torch.tensor([[0.6, 0.5], [0.2, 0.4]])
    expected = expected * weights[0, :2].sum(dim=0) / expected.sum(dim=0)
    torch.testing.assert_close(moved[:2], expected)
    torch.testing.assert_close(moved[2], weights[0, 2])
    torch.testing.assert_close(moved.sum(dim=0), weights[0].sum(dim=0))


def test_reallocation_without_an_object_changes_nothing() -> None:
    weights = torch.softmax(torch.randn(1, 5, 4), dim=1)
    torch.testing.assert_close(reallocate(weights, torch.zeros(1, 2, 5, dtype=torch.bool))[0, 1], weights[0])


def test_inside_is_the_mask_on_the_grid() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32, :32] = 1
    assert inside_objects(mask, 4, 4).view(4, 4).tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"reallocation": 1.0}, {"dropout": 0.5, "reallocation": 1.0}])
def test_variants_train_five_steps(options: dict[str, float]) -> None:
    torch.manual_seed(0)
    network = STCNNetwork(STCNConfig(**SMALL))  # type: ignore[arg-type]
    labels = torch.zeros(1, 3, 48, 48, dtype=torch.long)
    labels[:, :, 8:30, 8:30] = 1
    images = torch.randn(1, 3, 3, 48, 48) + 2 * (labels == 1)[:, :, None]
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(5):
        lesson = clip_loss(network, ClipBatch(images, labels, 2), **options)
        optimiser.zero_grad()
        lesson.loss.backward()
        optimiser.step()
        losses.append(lesson.loss.item())
    assert losses[-1] < losses[0]


def test_the_published_recipe_is_the_published_one() -> None:
    recipe = RECIPES["stcn"]
    assert recipe.steps == 450_000
    assert [Schedule(recipe).rate(s) for s in (0, 149_999, 150_000, 300_000, 425_000)] == pytest.approx(
        [1e-5, 1e-5, 1e-6, 1e-5, 1e-6]
    )
    assert [Schedule(recipe).hardest(s) for s in (20_000, 70_000, 300_000, 370_000)] == pytest.approx(
        [1, 0.15, 1, 0.15]
    )
    video = recipe.stages[1]
    assert [video.skip(int(s * video.steps)) for s in (0, 0.1, 0.25, 0.35, 0.5, 0.95)] == [5, 10, 15, 20, 25, 5]
    assert recipe.frozen_norms
    assert recipe.optimiser == "adam"
