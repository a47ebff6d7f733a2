"""A-GAME's recipes through the training loop."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import rotoscope
from rotoscope.cli import main
from rotoscope.methods.agame import AGAME
from rotoscope.methods.schedule import Schedule
from rotoscope.training.run import find_recipe, prepare, save_weights


def test_the_small_recipe_begins_with_the_default_trunk_and_its_weights_load(
    tmp_path: Path, photographs_folder: Path
) -> None:
    recipe = find_recipe("agame-small").changed(["stages=1x64x3x2,1x64x3x2", "validation_clips=4", "warm_up=1"])
    trainer = prepare(recipe, photographs_folder, tmp_path, device="cpu", workers=0)
    trunk = rotoscope.load("stcn-small", device="cpu", precision="exact").state_dict()
    for name, tensor in trainer.network.backbone.state_dict().items():  # type: ignore[union-attr,operator]
        assert torch.equal(tensor, trunk[f"network.key_encoder.{name}"]) or name.endswith("num_batches_tracked"), name
    lines = list(trainer.run(log_every=1))
    assert [line.step for line in lines] == [1, 2]
    assert lines[-1].validation_j is not None
    with (tmp_path / "log.csv").open() as file:
        row = next(csv.DictReader(file))
    assert float(row["loss"]) == pytest.approx(float(row["main"]) + float(row["auxiliary"]), abs=1e-3)
    path = save_weights(trainer)
    assert path.stat().st_size < 25_000_000
    model = rotoscope.load(path, device="cpu")
    assert isinstance(model, AGAME)
    assert model.config.max_short_side == 240
    assert model.config.stages == 3
    mask = np.zeros((48, 64), bool)
    mask[8:40, 8:40] = True
    found = list(rotoscope.segment(np.zeros((3, 48, 64, 3), np.uint8), {0: {3: mask}}, model))
    assert [prediction.object_ids for prediction in found] == [(3,)] * 3


def test_the_published_rate_falls_by_the_epoch_and_by_the_stage() -> None:
    recipe = find_recipe("agame")
    alpha, schedule = recipe.stages[0], Schedule(recipe)
    epochs = [schedule.rate(step) for step in range(0, alpha.steps, recipe.validate_every)]
    assert len(epochs) == 80
    assert all(later == pytest.approx(0.95 * rate) for rate, later in itertools.pairwise(epochs))
    assert schedule.rate(recipe.validate_every - 1) == epochs[0]
    assert schedule.rate(alpha.steps) == pytest.approx(epochs[0] / 10)
    assert schedule.weight_decay(alpha.steps) == pytest.approx(schedule.weight_decay(0) / 10)


@pytest.mark.parametrize("name", ["agame-small", "agame"])
def test_the_plan_of_a_recipe(
    name: str, every_data: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--plan`` runs each stage's clips, which shows that they go through; here small ones, and two of each."""
    monkeypatch.setattr("rotoscope.training.plan.STEPS", 2)
    settings = ["--set", "stages=4x64x3x1,4x64x3x1", "--set", "any_set=true"]
    assert main(["train", name, "--plan", "--device", "cpu", *settings, *every_data]) == 0
    shown = capsys.readouterr().out
    assert "8 steps" in shown
    if name == "agame":
        assert "not trained: backbone.conv1." in shown
        assert "times 0.95 every 1200 steps" in shown
