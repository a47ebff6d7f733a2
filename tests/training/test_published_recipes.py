"""Every published recipe, on sets in their published layouts, from the weights that it names: a step of each stage.

Networks are narrow and frames small; stages, sources, augmentation, optimiser and losses are the recipe's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import TINY
from miniature_sets import data_for, make
from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.layers.resnet import ResNet
from rotoscope.methods import recipes
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.training.clips import StepBatches
from rotoscope.training.data import TrainingData
from rotoscope.training.run import find_recipe, launch, new_method, prepare
from rotoscope.weights.files import save_method
from rotoscope.weights.store import VARIABLE

TWINS = ("agame-released", "rvos-zeroshot-davis")
"""Of what others here are made of, for other numbers of steps."""
NAMES = [name for name in recipes() if "small" not in name and name not in TWINS]
LONGEST = {"capsulevos": 15}
"""Frames of a miniature clip, which two passes of CapsuleVOS share; of others five."""
KEPT = ("value_width", "support_width", "slots", "stop_at", "classes")
"""What a miniature keeps of the published network beside its layout."""


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All sets of the papers in miniature."""
    return make(tmp_path_factory.mktemp("sets"), 0.15)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A ResNet-18 under each name that recipes begin with."""
    root = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(root / "cache"))
        patch.setattr(torch.hub, "get_dir", lambda: str(root / "hub"))
        torch.save(ResNet(18).state_dict(), root / "given.pth")
        for trunk in ("imagenet-resnet18", "maskrcnn-resnet50", "cosnet-deeplabv3"):
            assert main(["fetch", trunk, "--from", str(root / "given.pth")]) == 0
        yield


def miniature(name: str) -> Recipe:
    """A published recipe with a narrow network and small frames."""
    recipe = find_recipe(name)
    sizes = {key: value for key, value in TINY[recipe.method].items() if key not in KEPT}
    if recipe.method == "cosnet":
        sizes["stages"] = 4
    if recipe.config.get("trunk", "") is None:  # RIS for leaves, whose score is of the whole map
        sizes = {"size": (64, 64)}
    steps = 2 if recipe.method == "cosnet" else 1  # of photographs, then of pairs
    most = LONGEST.get(recipe.method, 5)
    stages = tuple(
        replace(stage, steps=steps, **smaller(stage), frames=min(stage.frames, most), batch=2, decay_at=())
        for stage in recipe.stages
    )
    stages = stages if len(stages) < 4 else (*stages[:2], stages[-1])
    frozen = tuple(part for part in recipe.frozen if part != "trunk.layer1.0.downsample.1.")  # a ResNet-18 has none
    return replace(recipe, config={**recipe.config, **sizes}, stages=stages, frozen=frozen, validate_every=1000)


def smaller(stage: Stage) -> dict[str, int]:
    return {"size": 64, "width": 112 if stage.width else 0}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("cache")
def test_a_published_recipe_begins_and_takes_steps(name: str, specs: dict[str, str], tmp_path: Path) -> None:
    recipe = miniature(name)
    if recipe.initial:
        before = new_method(replace(recipe, seed=3))
        save_method(tmp_path / "before.safetensors", recipe.method, before.config, before.state_dict())
        recipe = replace(recipe, initial=str(tmp_path / "before.safetensors"))
    trainer = prepare(
        recipe, data_for(recipe, specs), tmp_path / "run", fabric=launch("cpu", precision="32-true"), workers=0
    )
    before_steps = {entry: tensor.clone() for entry, tensor in trainer.network.state_dict().items()}
    if recipe.initial:
        for entry, tensor in before_steps.items():
            assert torch.equal(tensor, before.state_dict()[f"network.{entry}"]), entry
    lines = list(trainer.run(log_every=1))
    assert len(lines) == recipe.steps
    assert all(np.isfinite(line.loss) for line in lines)
    after = trainer.network.state_dict()
    changed = {entry for entry, tensor in after.items() if not torch.equal(tensor, before_steps[entry])}
    assert not [entry for entry in changed if entry.startswith(recipe.frozen or ("nothing",))]
    assert len([entry for entry, _ in trainer.network.named_parameters() if entry in changed]) > 8


def test_agames_first_stage_has_clips_of_three_sets_and_its_second_of_two(specs: dict[str, str]) -> None:
    """Whose clip it is, its first frame says: photographs stand still behind what moves, and are of another size."""
    recipe = replace(find_recipe("agame"), trunk="")
    short = tuple(replace(stage, steps=30, **smaller(stage), frames=2, batch=4) for stage in recipe.stages)
    data = TrainingData.open(data_for(recipe, specs))
    drawn = {"videos": 0, "synthvos": 0}
    made = StepBatches(replace(recipe, stages=short), data)
    for origin, source in made.sources.items():
        make_clip = source.clip

        def counted(*arguments: object, kind: str = origin.source, make: object = make_clip) -> object:
            drawn[kind] += 1
            return make(*arguments)  # type: ignore[operator]

        source.clip = counted  # type: ignore[method-assign,assignment]
    for step in range(30):
        made[step]
    assert 25 <= drawn["synthvos"] <= 56  # a third of 120 is 40
    assert sum(drawn.values()) == 120
    for step in range(30, 60):
        made[step]
    assert sum(drawn.values()) == 240
    assert drawn["synthvos"] <= 56


def test_sets_that_a_recipe_names_must_be_given_and_all_that_lack_are_said(
    specs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [specs["davis17"], specs["msra10k"]]
    assert main(["train", "agame", "--plan", "--set", "trunk=", "--set", "frozen=", *data(given)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "not given: youtubevos, voc2012." in said
    assert "--data youtubevos:PATH --data voc2012:PATH" in said
    assert "--set any_set=true" in said
    with pytest.raises(InputError, match="not given: youtubevos"):
        TrainingData.open([specs["davis17"]]).sources(find_recipe("capsulevos"))
    any_set = find_recipe("agame").changed(["any_set=true"])
    assert len(TrainingData.open(given).sources(any_set)) == len(any_set.origins())


@pytest.mark.parametrize("name", ["rvos", "rvos-zeroshot"])
def test_every_annotated_object_is_taken(name: str, specs: dict[str, str]) -> None:
    """All objects of the drawn videos are bright and annotated, one to three of them; none may be left unlabelled."""
    recipe = find_recipe(name)
    short = replace(recipe.stages[0], steps=6, **smaller(recipe.stages[0]), frames=2, batch=2)
    batches = StepBatches(replace(recipe, stages=(short,)), TrainingData.open([specs["youtubevos"]]))
    counts = set()
    for step in range(6):
        batch = batches[step]
        bright = batch.frames.amin(dim=2) > 140
        assert ((bright & (batch.labels == 0)).sum() / bright.sum()) < 0.1  # outlines
        counts |= {int(labels.max()) for labels in batch.labels}
    assert counts == {1, 2, 3}


def test_all_frames_are_asked_for_where_a_recipe_needs_them(specs: dict[str, str]) -> None:
    recipe = find_recipe("capsulevos")
    with pytest.raises(InputError, match=r"annotated frames only.*split=train_all_frames"):
        TrainingData.open([specs["youtubevos"]]).sources(recipe)
    assert TrainingData.open([specs["youtubevos all"]]).sources(recipe)


def test_the_plan_says_which_sets_are_drawn_how_often(
    specs: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotoscope.training.plan.STEPS", 1)
    recipe = find_recipe("agame")
    small = ["config.trunk=resnet18", "trunk=", "frozen=", "stages=96000x32x2x1,5900x32x2x1"]
    settings = [word for setting in small for word in ("--set", setting)]
    assert main(["train", "agame", "--plan", "--device", "cpu", *settings, *data(data_for(recipe, specs))]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "videos of davis17, youtubevos, 33 % of clips synthvos of msra10k on photographs of voc2012" in said
    assert "videos of davis17, youtubevos, drawn alike: 50 % davis17:" in said
    assert "videos of davis17, youtubevos: 40 % davis17:" in said  # two of five videos


def data(specs: list[str]) -> list[str]:
    return [word for spec in specs for word in ("--data", spec)]
