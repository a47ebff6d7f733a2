"""COSNet's recipes through the training loop: steps of two kinds, with rates of their own."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import rotoscope
from rotoscope.cli import main
from rotoscope.datasets.long_clips import write_long_clips
from rotoscope.datasets.photographs import Photographs
from rotoscope.layers.resnet import ResNet
from rotoscope.methods.cosnet import COSNet
from rotoscope.methods.recipe import AlternateSteps, Recipe, Stage
from rotoscope.methods.schedule import Schedule
from rotoscope.training.clips import StepBatches
from rotoscope.training.data import SyntheticSource, TrainingData
from rotoscope.training.run import find_recipe, prepare, save_weights
from rotoscope.weights.pretrained import imagenet_trunk

NARROW = ["config.dim=16", "config.aspp_dim=8"]


def test_the_small_recipe_trains_both_kinds_of_steps_and_its_weights_load(
    tmp_path: Path, photographs_folder: Path
) -> None:
    changes = ["stages=2x64x2x2,2x64x2x2", "validation_clips=4", "warm_up=1"]
    recipe = find_recipe("cosnet-small").changed(changes)
    clips = write_long_clips(Photographs.open(photographs_folder).split()[1], tmp_path / "clips", 1, 3, 64, 1)
    trainer = prepare(recipe, photographs_folder, tmp_path / "run", device="cpu", workers=0, validate=f"pairs:{clips}")
    trunk = imagenet_trunk("efficientnet-lite0")
    for name, tensor in trainer.network.trunk.state_dict().items():  # type: ignore[union-attr,operator]
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, trunk[name]), name
    lines = list(trainer.run(log_every=1))
    assert [line.step for line in lines] == [1, 2, 3, 4]
    assert lines[-1].validation_j is not None
    assert lines[-1].dataset_j is not None  # scored without any mask given
    path = save_weights(trainer)
    assert path.stat().st_size < 25_000_000
    model = rotoscope.load(path, device="cpu")
    assert isinstance(model, COSNet)
    assert (model.config.keep_aspect, model.config.sampling, model.config.fusion) == (True, "uniform", "summary")
    found = list(rotoscope.segment(np.zeros((3, 48, 64, 3), np.uint8), None, model))
    assert [prediction.object_ids for prediction in found] == [(1,)] * 3


def test_clips_alternate(photographs_folder: Path) -> None:
    recipe = find_recipe("cosnet-small").changed(["stages=4x64x2x2,3x48x2x1"])
    batches = StepBatches(recipe, TrainingData.open([photographs_folder]))
    shapes = [tuple(batches[step].frames.shape[:2]) for step in range(7)]
    assert shapes == [(2, 1), (2, 2), (2, 2), (2, 1), (1, 1), (1, 2), (1, 2)]
    for step in range(7):
        labels = batches[step].labels
        assert labels.max() == 1  # all that is labelled is one object
        assert labels[:, 0].flatten(1).any(dim=1).all()
    assert [stage.steps for stage in recipe.kinds()] == [2, 2, 2, 1]


def test_primary_clips_hold_at_most_one_pasted_object(photographs_folder: Path) -> None:
    source = SyntheticSource(Photographs.open(photographs_folder), "primary")
    assert source.options["pasted"] == 1
    assert source.options["extra"] == 0


def test_alternate_steps_of_a_stage() -> None:
    stage = Stage(7, 64, 2, 2, loss={"l1": 0.5}, alternate=AlternateSteps("stills", every=3, rates={"": 0.0}))
    assert [stage.at(step).source for step in range(7)] == ["stills", *["synthetic"] * 2] * 2 + ["stills"]
    assert [kind.steps for kind in stage.kinds()] == [4, 3]
    assert stage.at(0).loss == {}
    assert stage.at(0).size == 64
    assert stage.at(1) is stage
    rates = Stage(1, 64, rates={"": 10.0, "trunk.": 0.01, "trunk.layer4.": 2.0})
    assert [rates.factor(name) for name in ("gate.weight", "trunk.bn1.bias", "trunk.layer4.0.")] == [10.0, 0.01, 2.0]
    assert Stage(1, 64, rates={"trunk.": 0.5}).factor("gate.weight") == 1.0
    assert [kind.steps for kind in Stage(1, 64, alternate=AlternateSteps("stills")).kinds()] == [1]


def test_the_published_schedule() -> None:
    """The rate falls to nothing, and once to half; each third step is of photographs."""
    recipe = find_recipe("cosnet")
    schedule = Schedule(recipe)
    rates = [schedule.rate(step) for step in range(recipe.steps)]
    falls = [later / rate for rate, later in itertools.pairwise(rates)]
    jumps = [step for step, fall in enumerate(falls[:-100]) if fall < 0.9]
    assert len(jumps) == 1
    assert falls[jumps[0]] == pytest.approx(0.5, rel=1e-3)
    assert all(fall < 1 for fall in falls)
    assert 0 < rates[-1] < rates[0] / 1000
    kinds = [(recipe.stage(step).source, recipe.stage(step).sets.names) for step in range(6)]
    assert kinds == 2 * [("stills", ("msra10k", "dut-omron")), *2 * [("videos", ("davis16",))]]


def test_the_published_recipe_trains_by_kind(tmp_path: Path, every_data: list[str]) -> None:
    """A step of photographs leaves the heads alone; a step of pairs hardly moves the encoder."""
    recipe = find_recipe("cosnet").changed(["config.trunk=resnet50", *NARROW])
    stages = tuple(dataclasses.replace(stage, steps=3, size=32, batch=2) for stage in recipe.stages[:1])
    torch.save(ResNet(50).state_dict(), tmp_path / "resnet50.pth")  # frozen random shortcuts would be refused
    recipe = dataclasses.replace(recipe, stages=stages, trunk=str(tmp_path / "resnet50.pth"), any_set=True)
    trainer = prepare(recipe, every_data[1::2], tmp_path / "run", device="cpu", workers=0)
    assert isinstance(trainer.optimizer.optimizer, torch.optim.SGD)

    def moved() -> dict[str, float]:
        before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
        trainer.learn(StepBatches(trainer.recipe, trainer.data)[trainer.step])
        trainer.step += 1
        far: dict[str, float] = {}
        for name, p in trainer.network.named_parameters():
            part = "frozen" if ".downsample.1." in name else name.split(".")[0]
            far[part] = max(far.get(part, 0.0), float((p.detach() - before[name]).abs().max()))
        return far

    first, second = moved(), moved()
    assert first["trunk"] > 0
    assert first["saliency"] > 0
    assert first["query_head"] == first["gate"] == first["attention"] == first["frozen"] == 0
    assert second["query_head"] > 0
    assert second["attention"] > 0
    assert second["frozen"] == 0


def test_a_run_with_alternate_steps_resumes(tmp_path: Path, photographs_folder: Path) -> None:
    recipe = find_recipe("cosnet-small").changed(["stages=4x48x2x1", "validation_clips=2", *NARROW])
    recipe = dataclasses.replace(recipe, optimiser="sgd", poly=0.9, trunk="")

    def weights(folder: Path, stop: int | None) -> dict[str, torch.Tensor]:
        trainer = prepare(recipe, photographs_folder, folder, device="cpu", workers=0)
        for line in trainer.run(save_every=1, log_every=1):
            if line.step == stop:
                break
        if stop is not None:
            trainer = prepare(recipe, photographs_folder, folder, device="cpu", workers=0, resume=True)
            assert trainer.step == stop
            list(trainer.run(save_every=1, log_every=1))
        return trainer.average

    whole, broken = weights(tmp_path / "a", None), weights(tmp_path / "b", 2)
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_the_plan_of_the_small_recipe(
    every_data: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotoscope.training.plan.STEPS", 2)
    settings = ["--set", "stages=4x32x2x1"]
    for setting in NARROW:
        settings += ["--set", setting]
    assert main(["train", "cosnet-small", "--plan", "--device", "cpu", *settings, *every_data]) == 0
    shown = capsys.readouterr().out
    assert "2 steps on recurring: 1 clips of 2 frames at 32x32" in shown
    assert "2 steps on primary: 1 clips of 1 frames at 32x32" in shown
    assert shown.count(" s a step") == 2


def test_the_published_recipe_describes_itself() -> None:
    shown = "\n".join(Schedule(find_recipe("cosnet")).describe())
    assert "260 steps on stills of msra10k, dut-omron: 16 clips of 1 frames at 473x473" in shown
    assert "rate of trunk., aspp., saliency. x 0.01; rate of the rest x 10" in shown
    assert "sgd, rate falls with power 0.9 of the steps left" in shown


def test_recipes_are_plain_data() -> None:
    """As a checkpoint stores and compares them."""
    recipe: Recipe = find_recipe("cosnet")
    assert json.loads(json.dumps(dataclasses.asdict(recipe)))["stages"][0]["alternate"]["every"] == 3
