"""GIEL's recipes through the training loop."""

from __future__ import annotations

import csv
import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest

import rotoscope
from rotoscope.cli import main
from rotoscope.methods import recipes, training_of
from rotoscope.methods.giel import GIEL
from rotoscope.methods.schedule import Schedule
from rotoscope.training.run import find_recipe, prepare, save_weights
from rotoscope.weights.catalogue import Entry


def test_the_small_recipe_trains_and_its_weights_load(
    tmp_path: Path, photographs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = "stages=2x48x3x2:alike,1x64x3x2:hiding"
    recipe = find_recipe("giel-small").changed([stages, "validation_clips=2", "warm_up=1"])
    trainer = prepare(recipe, photographs_folder, tmp_path, device="cpu", workers=0)
    lines = list(trainer.run(log_every=1))
    assert [line.step for line in lines] == [1, 2, 3]
    assert lines[-1].validation_j is not None
    with (tmp_path / "log.csv").open() as file:
        row = next(csv.DictReader(file))
    assert all(float(row[name]) > 0 for name in ("cross_entropy", "auxiliary", "global", "dice", "correspondence"))
    path = save_weights(trainer)
    assert path.stat().st_size < 13_000_000
    model = rotoscope.load(path, device="cpu")
    assert isinstance(model, GIEL)
    assert (model.config.max_short_side, model.config.top_k, model.config.output) == (320, 20, "full")
    mask = np.zeros((48, 64), bool)
    mask[8:40, 8:40] = True
    found = list(rotoscope.segment(np.zeros((3, 48, 64, 3), np.uint8), {0: {3: mask}}, model))
    assert [prediction.object_ids for prediction in found] == [(3,)] * 3
    # A second name for the same file says how it is used.
    entry = Entry("twin", "giel", "", path.name, None, 0.0, "", "", 0.0, {"output": "fast"})
    load_room = importlib.import_module("rotoscope.weights.load")
    monkeypatch.setattr(load_room, "find", lambda name: entry)
    monkeypatch.setattr(load_room, "verified", lambda entry: path)
    twin = rotoscope.load("twin", device="cpu")
    assert twin.config == dataclasses.replace(model.config, output="fast")
    assert rotoscope.load("twin", device="cpu", output="full").config == model.config


def test_the_published_recipe_falls_to_nothing_and_counts_every_pixel() -> None:
    recipe = find_recipe("giel")
    schedule, steps = Schedule(recipe), recipe.steps
    assert schedule.rate(steps // 2) == pytest.approx(schedule.rate(0) / 2)
    assert 0 < schedule.rate(steps - 1) < schedule.rate(0) / 10_000
    assert {schedule.hardest(step) for step in range(0, steps, steps // 7)} == {1.0}


@pytest.mark.parametrize("name", ["giel-small", "giel"])
def test_the_plan_of_a_recipe(
    name: str, every_data: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--plan`` runs each stage's clips, which shows that they go through; here small ones, and two of each."""
    monkeypatch.setattr("rotoscope.training.plan.STEPS", 2)
    small = ["--set", "config.trunk=resnet18", "--set", "config.value_dim=64", "--set", "config.key_dim=16"]
    small += ["--set", "any_set=true"]
    stages = "stages=4x32x3x1" if name == "giel" else "stages=4x32x3x1,4x32x3x1"
    given = ["--device", "cpu", "--set", stages, *every_data, *(small if name == "giel" else [])]
    assert main(["train", name, "--plan", *given]) == 0
    shown = capsys.readouterr().out
    assert "steps" in shown
    if name == "giel":
        assert "rate falls with power 1 of the steps left" in shown
        assert "cosine" not in shown
    else:
        assert "trunk begins as stcn-small" in shown


def test_what_begins_with_a_trunk_of_held_norms_holds_them_too() -> None:
    """Under the statistics of a batch the keys of ``stcn-small``, whose training held them, look anywhere."""
    small = [recipe for name, recipe in recipes().items() if name.endswith("-small")]
    followers = [r for r in small if r.trunk == "stcn-small" and "query key" in training_of(r.method).takes]
    assert [recipe.name for recipe in followers] == ["giel-small"]
    assert all(recipe.frozen_norms == recipes()["stcn-small"].frozen_norms for recipe in followers)
