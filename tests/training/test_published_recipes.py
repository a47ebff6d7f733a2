"""Every published recipe, on sets in their published layouts, from the weights that it names: a step of each stage.

Networks are narrow and frames small; stages, sources, augmentation, optimiser and losses are the recipe's own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import TINY
from rotoscope.cli import main
from rotoscope.layers.resnet import ResNet
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.training.data import needed
from rotoscope.training.run import find_recipe, prepare
from rotoscope.weights.store import VARIABLE

NAMES = ("stcn", "rvos", "rvos-zeroshot", "agame", "capsulevos", "cosnet", "giel")
STEPS = 1


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """DAVIS 2017, and a set of photographs with masks, in miniature."""
    root = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    (root / "DAVIS" / "ImageSets" / "2017").mkdir(parents=True)
    (root / "DAVIS" / "ImageSets" / "2017" / "train.txt").write_text("bear\n")
    for folder in (
        "DAVIS/JPEGImages/480p/bear",
        "DAVIS/Annotations/480p/bear",
        "DUTS/DUTS-TR-Image",
        "DUTS/DUTS-TR-Mask",
    ):
        (root / folder).mkdir(parents=True)
    for t in range(18):
        labels = np.zeros((60, 106), np.uint8)
        labels[10:40, 5 + 2 * t : 40 + 2 * t], labels[42:58, 70 - 2 * t : 95 - 2 * t] = 1, 2
        image = rng.integers(0, 90, (60, 106, 3), dtype=np.uint8) + labels[..., None] * 60
        Image.fromarray(image).save(root / "DAVIS/JPEGImages/480p/bear" / f"{t:05d}.jpg")
        Image.fromarray(labels).save(root / "DAVIS/Annotations/480p/bear" / f"{t:05d}.png")
        if t < 2:
            Image.fromarray(image).save(root / "DUTS/DUTS-TR-Image" / f"{t}.jpg")
            Image.fromarray((labels == 1).astype(np.uint8) * 255).save(root / "DUTS/DUTS-TR-Mask" / f"{t}.png")
    return [f"davis17:{root / 'DAVIS'}?split=train", f"duts:{root / 'DUTS'}"]


def miniature(name: str) -> Recipe:
    """A published recipe with a narrow network and small frames."""
    recipe = find_recipe(name)
    sizes = {key: value for key, value in TINY[recipe.method].items() if key not in ("value_width", "support_width")}
    steps = 2 if recipe.method == "cosnet" else STEPS  # of photographs, then of pairs
    if recipe.method == "cosnet":
        sizes["stages"] = 4
    stages = tuple(replace(stage, steps=steps, **smaller(stage), batch=2, decay_at=()) for stage in recipe.stages)
    frozen = tuple(part for part in recipe.frozen if part != "trunk.layer1.0.downsample.1.")  # a ResNet-18 has none
    return replace(recipe, config={**recipe.config, **sizes}, stages=stages, frozen=frozen, validate_every=1000)


def smaller(stage: Stage) -> dict[str, int]:
    return {"size": 64, "width": 112 if stage.width else 0}


@pytest.mark.parametrize("name", NAMES)
def test_a_published_recipe_begins_and_takes_steps(
    name: str, sets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    torch.save(ResNet(18).state_dict(), tmp_path / "given.pth")
    for trunk in ("imagenet-resnet18", "maskrcnn-resnet50", "cosnet-deeplabv3"):
        assert main(["fetch", trunk, "--from", str(tmp_path / "given.pth")]) == 0
    recipe = miniature(name)
    data = sets if "stills" in needed(recipe) else sets[:1]
    trainer = prepare(recipe, data, tmp_path / "run", device="cpu", workers=0)
    before = {entry: tensor.clone() for entry, tensor in trainer.network.named_parameters()}
    lines = list(trainer.run(log_every=1))
    assert len(lines) == recipe.steps
    assert all(np.isfinite(line.loss) for line in lines)
    for entry, tensor in trainer.network.named_parameters():
        if entry.startswith(recipe.frozen or ("nothing",)):
            assert torch.equal(tensor, before[entry]), entry
    moved = sum(not torch.equal(tensor, before[entry]) for entry, tensor in trainer.network.named_parameters())
    assert moved > 8
