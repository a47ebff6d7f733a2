"""A-GAME's recipes through the training loop."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import rotoscope
from rotoscope.cli import main
from rotoscope.layers.resnet import ResNet
from rotoscope.methods.agame import AGAME
from rotoscope.methods.schedule import Schedule
from rotoscope.training.run import find_recipe, prepare, save_weights


def test_the_small_recipe_begins_with_the_default_trunk_and_its_weights_load(
    tmp_path: Path, photographs_folder: Path
) -> None:
    recipe = find_recipe("agame-small").changed(["stages=1x64x3x2,1x64x3x2", "validation_clips=4", "warm_up=1"])
    trainer = prepare(recipe, photographs_folder, tmp_path, device="cpu", workers=0)
    trunk = rotoscope.load("stcn-small-resnet18", device="cpu", precision="exact").state_dict()
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


def test_the_published_recipe_trains_the_last_stage_and_the_heads(tmp_path: Path, photographs_folder: Path) -> None:
    recipe = find_recipe("agame")
    alpha, beta = recipe.stages
    assert (alpha.frames, alpha.batch, beta.frames, beta.batch) == (8, 4, 14, 2)
    assert Schedule(recipe).rate(0) == 1e-4
    assert Schedule(recipe).rate(800) == pytest.approx(1e-4 * 0.975)
    assert Schedule(recipe).rate(alpha.steps) == 1e-5
    assert Schedule(recipe).rate(alpha.steps + 59) == pytest.approx(1e-5 * 0.985)
    assert (Schedule(recipe).weight_decay(0), Schedule(recipe).weight_decay(alpha.steps)) == (1e-5, 1e-6)
    assert Schedule(recipe).loss_options(0) == {}
    assert Schedule(recipe).loss_options(alpha.steps) == {"auxiliary": 0.0}
    tiny = {"trunk": "resnet18", "appearance_dim": 16, "propagation_dim": 16, "decoder_dim": 16}
    stages = tuple(
        dataclasses.replace(stage, steps=1, size=64, width=0, frames=3, batch=1, source="synthetic")
        for stage in recipe.stages
    )
    torch.save(ResNet(18).state_dict(), tmp_path / "resnet18.pth")
    trunk = str(tmp_path / "resnet18.pth")
    recipe = dataclasses.replace(recipe, config=tiny, stages=stages, validation_clips=2, trunk=trunk)
    trainer = prepare(recipe, photographs_folder, tmp_path / "run", device="cpu", workers=0)
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    list(trainer.run(log_every=1))
    after = trainer.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in changed if name.startswith(recipe.frozen)]
    assert {"backbone.layer4.0.conv1.weight", "backbone.layer4.1.bn2.running_mean", "fusion.conv1.weight"} <= changed


@pytest.mark.parametrize("name", ["agame-small", "agame"])
def test_the_plan_of_a_recipe(name: str, every_data: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """``--plan`` runs each stage's clips, which shows that they go through; here small ones."""
    stages = "stages=4x64x3x1,4x64x3x1"
    assert main(["train", name, "--plan", "--device", "cpu", "--set", stages, *every_data]) == 0
    shown = capsys.readouterr().out
    assert "8 steps" in shown
    if name == "agame":
        assert "not trained: backbone.conv1." in shown
        assert "times 0.975 every 800 steps" in shown
