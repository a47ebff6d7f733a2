"""Networks that begin with the image encoder of others, and learn it at a rate of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from conftest import tiny
from rotoscope.errors import InputError
from rotoscope.methods.base import Method
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.schedule import Schedule
from rotoscope.training.run import new_method, prepare
from rotoscope.training.trunk import begin_trunk
from rotoscope.weights.files import save_method

RECIPE = Recipe(
    name="tiny",
    method="rvos",
    config={"trunk": "resnet18", "hidden": 16, "size": (32, 48)},
    stages=(Stage(2, 48, 2, 1, loss={"inferred": 0.0}), Stage(1, 48, 2, 1)),
    loss={"inferred": 1.0},
    warm_up=1,
    validation_clips=2,
)


def test_the_shared_layers_are_taken(tiny_weights: Path, tiny_stcn: Method) -> None:
    rvos = tiny("rvos")
    before = {name: tensor.clone() for name, tensor in rvos.state_dict().items()}
    taken = begin_trunk(rvos, "rvos", str(tiny_weights))
    theirs, ours = tiny_stcn.state_dict(), rvos.state_dict()
    changed = {name for name, tensor in ours.items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[2] for name in changed} == {"conv1", "layer1", "layer2", "layer3"}
    assert taken == sum(name.startswith("network.key_encoder.") and "num_batches" not in name for name in theirs)
    name = "layer3.1.conv2.weight"
    assert torch.equal(ours[f"network.encoder.{name}"], theirs[f"network.key_encoder.{name}"])


def test_imagenet_weights_in_the_names_of_torchvision(tmp_path: Path) -> None:
    rvos = tiny("rvos")
    prefix = "network.encoder."
    bare = {
        name.removeprefix(prefix): tensor + 1.0
        for name, tensor in rvos.state_dict().items()
        if name.startswith(prefix) and tensor.is_floating_point()
    }
    torch.save(bare | {"fc.weight": torch.zeros(1000, 512)}, tmp_path / "resnet18.pth")
    assert begin_trunk(rvos, "rvos", str(tmp_path / "resnet18.pth")) == len(bare)
    assert all(torch.equal(rvos.state_dict()[prefix + name], tensor) for name, tensor in bare.items())


@pytest.mark.parametrize(
    ("name", "changes", "own"),
    [
        ("cosnet", {"attention": "symmetric"}, {"attention", "gate", "query_head", "reference_head"}),
        ("capsulevos", {"zoom": "none"}, set()),
    ],
)
def test_what_else_a_method_takes_of_its_own_kind(
    name: str, changes: dict[str, str], own: set[str], tmp_path: Path
) -> None:
    theirs = tiny(name)
    save_method(tmp_path / "theirs.safetensors", name, theirs.config, theirs.state_dict())
    torch.manual_seed(8)
    ours = type(theirs)(dataclasses.replace(theirs.config, **changes))  # type: ignore[type-var]
    begin_trunk(ours, name, str(tmp_path / "theirs.safetensors"))
    equal: dict[str, list[bool]] = {}
    for entry, tensor in ours.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim > 1:
            found = theirs.state_dict().get(entry)
            same = found is not None and found.shape == tensor.shape and torch.equal(found, tensor)
            equal.setdefault(entry.split(".")[1], []).append(same)
    assert {part for part, same in equal.items() if not all(same)} == own


def test_a_trunk_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a file nor known weights"):
        begin_trunk(tiny("rvos"), "rvos", "resnet999")
    torch.save({"conv1.weight": torch.zeros(1), "layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="nothing of its image encoder fits rvos"):
        begin_trunk(tiny("rvos"), "rvos", str(tmp_path / "other.pth"))


def test_the_trunk_learns_at_its_own_rate(tmp_path: Path, photographs_folder: Path, tiny_weights: Path) -> None:
    recipe = dataclasses.replace(RECIPE, trunk=str(tiny_weights), trunk_rate=0.0, average=0.0)
    trainer = prepare(recipe, photographs_folder, tmp_path, device="cpu", workers=0)
    before = {name: tensor.clone() for name, tensor in trainer.network.named_parameters()}
    assert list(trainer.run())
    for name, tensor in trainer.network.named_parameters():
        moved = not torch.equal(tensor, before[name])
        assert moved != name.startswith("encoder."), name


def test_options_of_a_stage_and_of_the_command() -> None:
    assert Schedule(RECIPE).loss_options(0) == {"inferred": 0.0}
    assert Schedule(RECIPE).loss_options(2) == {"inferred": 1.0}
    changed = RECIPE.changed(["loss.inferred=0.5", "config.recurrence=spatial", "trunk=stcn-small", "trunk_rate=0.5"])
    assert [Schedule(changed).loss_options(step) for step in (0, 2)] == [{"inferred": 0.5}] * 2
    assert changed.config["recurrence"] == "spatial"
    assert (changed.trunk, changed.trunk_rate) == ("stcn-small", 0.5)
    with pytest.raises(InputError, match=r"config\.trunck: rvos has trunk"):
        new_method(RECIPE.changed(["config.trunck=50"]))
