"""What the published recipes begin with: files in their authors' layouts, and what is refused."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import TINY
from rotoscope.cli import main
from rotoscope.errors import CheckpointError, InputError
from rotoscope.layers.normalise import STD
from rotoscope.layers.resnet import ResNet
from rotoscope.methods.cosnet.official import OFFICIAL
from rotoscope.methods.recipe import Recipe
from rotoscope.training.plan import beginning_lines
from rotoscope.training.run import find_recipe, new_method
from rotoscope.training.trunk import begin, begin_trunk
from rotoscope.weights.detectron import read_detectron
from rotoscope.weights.files import save_method
from rotoscope.weights.released import BEGINNINGS
from rotoscope.weights.store import VARIABLE
from stand_ins import stand_in


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing that PyTorch has kept."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


@pytest.fixture
def reference() -> ResNet:
    """A network that has learnt something: norms with statistics of their own."""
    torch.manual_seed(5)
    network = ResNet(18).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return network.requires_grad_(False)


def on_resnet18(name: str) -> Recipe:
    """A published recipe on the smallest trunk."""
    recipe = find_recipe(name)
    sizes = {key: value for key, value in TINY[recipe.method].items() if key not in ("value_width", "support_width")}
    settings = [f"config.{key}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for key, v in sizes.items()]
    return recipe.changed([*settings, *([] if recipe.method != "cosnet" else ["config.stages=4"])])


def fetched(name: str, tensors: Mapping[str, object], folder: Path) -> None:
    torch.save(dict(tensors), folder / "given.pth")
    assert main(["fetch", name, "--from", str(folder / "given.pth")]) == 0


def images() -> Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["stcn", "rvos", "rvos-zeroshot", "agame", "cosnet", "giel"])
def test_a_published_recipe_whose_weights_are_not_here_says_how_to_get_them(name: str, cache: Path) -> None:
    lines = beginning_lines(on_resnet18(name))
    assert re.search(r"missing: [a-z0-9-]+: these weights .* rotoscope fetch [a-z]+-[a-z0-9]+;", "\n".join(lines))
    with pytest.raises(CheckpointError, match="are not here"):
        begin(new_method(on_resnet18(name)), on_resnet18(name))


@pytest.mark.parametrize(("name", "part"), [("rvos", "encoder"), ("rvos-zeroshot", "encoder"), ("agame", "backbone")])
def test_one_encoder_begins_with_imagenet(name: str, part: str, cache: Path, reference: ResNet) -> None:
    fetched("imagenet-resnet18", reference.state_dict() | {"fc.weight": torch.zeros(1000, 512)}, cache)
    method = new_method(on_resnet18(name))
    lines = begin(method, on_resnet18(name)).describe(method)
    assert f"  {part}: imagenet-resnet18, 100 of 100 tensors" in lines
    own = method.eval().get_submodule(f"network.{part}")
    for ours, theirs in zip(own(images())[:3], reference(images())[:3], strict=True):  # A-GAME dilates its fourth stage
        torch.testing.assert_close(ours, theirs)


def test_both_encoders_of_stcn_begin_with_imagenet_and_masks_are_not_seen_yet(cache: Path, reference: ResNet) -> None:
    fetched("imagenet-resnet18", reference.state_dict(), cache)
    recipe = on_resnet18("stcn")
    method = new_method(recipe)
    lines = begin(method, recipe).describe(method)
    said = next(line for line in lines if line.startswith("  value_encoder: imagenet-resnet18, "))
    assert said.endswith("in value_encoder new channels of the first layer, and biases, are zero")
    assert any(line.startswith("  key_encoder: imagenet-resnet18, 75 of 75 tensors") for line in lines)
    values = method.eval().get_submodule("network.value_encoder")
    expected = reference(images())[:3]
    for seen in (torch.zeros(1, 2, 64, 64), torch.ones(1, 2, 64, 64)):
        for ours, theirs in zip(values(torch.cat([images(), seen], dim=1)), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_the_encoders_of_the_published_stcn_begin_with_two_networks_of_imagenet(cache: Path) -> None:
    recipe = find_recipe("stcn")
    assert (recipe.trunk, recipe.mask_trunk) == ("imagenet", "imagenet")
    for name in ("imagenet-resnet50", "imagenet-resnet18"):
        assert main(["fetch", name, "--from", str(stand_in(name, cache))]) == 0
    method = new_method(recipe)
    lines = begin(method, recipe).describe(method)  # which refuses norms that are held and begin at random
    assert any(line.startswith("  key_encoder: imagenet-resnet50, 215 of 215 tensors") for line in lines)
    assert any(line.startswith("  value_encoder: imagenet-resnet18, ") for line in lines)


@pytest.mark.parametrize("name", ["rvos-davis", "rvos-zeroshot-davis", "capsulevos-davis"])
def test_a_further_stage_begins_with_all_of_the_network(name: str, cache: Path) -> None:
    recipe = on_resnet18(name)
    said = "\n".join(beginning_lines(recipe))
    assert f"missing: {name.removesuffix('-davis')}: these weights are not here." in said
    assert "--initial FILE" in said
    before = new_method(recipe.changed(["seed=5"]))
    path = cache / "before.safetensors"
    save_method(path, recipe.method, before.config, before.state_dict())
    method = new_method(recipe)
    lines = begin(method, recipe, path).describe(method)
    assert not any("random" in line for line in lines)
    assert all(torch.equal(tensor, before.state_dict()[entry]) for entry, tensor in method.state_dict().items())


def deeplab(recipe: Recipe) -> dict[str, Tensor]:
    """What COSNet's authors begin with, in the names of their code: its encoder, with other numbers."""
    state = new_method(recipe).state_dict()
    named = {}
    for pattern, ours in OFFICIAL.items():
        theirs = pattern.replace("\\", "")
        for name, tensor in state.items():
            if theirs.startswith("encoder.") and name.startswith(ours):
                named[(theirs + name.removeprefix(ours)).removeprefix("encoder.")] = tensor + 1
    return named


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapper", ["model", None])
def test_cosnet_begins_with_all_of_a_deeplab(wrapper: str | None, prefix: str, cache: Path) -> None:
    recipe = on_resnet18("cosnet")
    tensors = {prefix + name: tensor for name, tensor in deeplab(recipe).items()}
    fetched("cosnet-deeplabv3", tensors if wrapper is None else {wrapper: tensors, "epoch": 12}, cache)
    method = new_method(recipe)
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    lines = begin(method, recipe).describe(method)
    changed = {name for name, tensor in method.state_dict().items() if not torch.equal(tensor, before[name])}
    encoder = ("network.trunk.", "network.aspp.", "network.saliency.")
    assert changed == {name for name in before if name.startswith(encoder) and "num_batches" not in name}
    assert any(line.startswith("  aspp: cosnet-deeplabv3, ") for line in lines)
    assert lines[-1] == "  random: attention, gate, reference_head, query_head"


def as_detectron(network: ResNet, prefix: str) -> dict[str, np.ndarray]:
    """A ResNet in the names of detectron2, for blue, green and red in [0, 255]."""
    named = {}
    for name, tensor in network.state_dict().items():
        if "num_batches" in name:
            continue
        new = re.sub(r"^layer(\d)", lambda m: f"res{int(m[1]) + 1}", name)
        new = re.sub(r"downsample\.0", "shortcut", re.sub(r"downsample\.1", "shortcut.norm", new))
        new = re.sub(r"bn(\d)", r"conv\1.norm", new)
        named[prefix + (f"stem.{new}" if not new.startswith("res") else new)] = tensor
    first = f"{prefix}stem.conv1.weight"
    named[first] = (named[first] / (255 * torch.tensor(STD))[:, None, None]).flip(1)
    return {name: tensor.numpy() for name, tensor in named.items()}


@pytest.mark.parametrize("layout", ["torchvision", "pyramid", "plain"])
def test_both_encoders_of_giel_begin_with_that_of_mask_rcnn(layout: str, cache: Path, reference: ResNet) -> None:
    recipe = on_resnet18("giel")
    if layout == "torchvision":
        body = {f"backbone.body.{name}": tensor for name, tensor in reference.state_dict().items()}
        fetched("maskrcnn-resnet50", body | {"rpn.head.conv.weight": torch.zeros(1)}, cache)
    else:
        named = as_detectron(reference, "backbone.bottom_up." if layout == "pyramid" else "backbone.")
        (cache / "model_final.pkl").write_bytes(pickle.dumps({"model": named, "__author__": "x"}, protocol=2))
        recipe = recipe.changed([f"trunk={cache / 'model_final.pkl'}"])
    method = new_method(recipe)
    lines = begin(method, recipe).describe(method)
    assert any(line.startswith("  support_encoder: ") and line.endswith("first layer are random") for line in lines)
    expected = reference(images())[:3]
    method.eval()
    unseen = torch.cat([images(), torch.zeros(1, 1, 64, 64)], dim=1)
    for part, seen in (("query_encoder", images()), ("support_encoder", unseen)):
        for ours, theirs in zip(method.get_submodule(f"network.{part}")(seen), expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("stcn", ("trunk=",), "key_encoder.bn1 keeps the statistics .* begins at random"),
        ("stcn", ("mask_trunk=",), "value_encoder.bn1 keeps the statistics .* --set mask_trunk=…"),
        ("agame", ("trunk=",), "backbone.conv1 is not trained, but begins at random"),
        ("cosnet", ("trunk=",), r"trunk.layer\d.0.downsample.1 is not trained"),
        ("rvos", ("mask_trunk=imagenet",), "rvos has no mask encoder as it is; leave it out"),
    ],
)
def test_what_would_stay_as_it_was_drawn_is_refused(
    name: str, settings: tuple[str, ...], said: str, cache: Path, reference: ResNet
) -> None:
    fetched("imagenet-resnet18", reference.state_dict(), cache)
    recipe = on_resnet18(name).changed(settings)
    with pytest.raises(InputError, match=said):
        begin(new_method(recipe), recipe)


def test_the_plan_refuses_a_frozen_random_trunk(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "agame", "--plan", "--set", "config.trunk=resnet18", "--set", "trunk="]) == 2
    assert "is not trained, but begins at random" in " ".join(capsys.readouterr().err.split())


def test_weights_that_pytorch_keeps_are_found_and_their_hash_is_checked(cache: Path, reference: ResNet) -> None:
    home = cache / "hub" / "checkpoints"
    home.mkdir(parents=True)
    torch.save(reference.state_dict(), home / BEGINNINGS["imagenet-resnet18"].file)
    with pytest.raises(CheckpointError, match="is not the file that its name says"):
        begin(new_method(on_resnet18("rvos")), on_resnet18("rvos"))


class _Call:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/rotoscope-was-here",)


class _Lies:
    """An array of a thousand numbers that brings one."""

    def __reduce__(self) -> tuple[object, ...]:
        make, arguments, state = np.zeros(1, np.float32).__reduce__()
        return make, arguments, (state[0], (1000,), *state[2:])


def test_files_of_detectron2_run_nothing_and_say_no_more_than_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps({"model": {"a": array, "b": array, "c": array.T}}, protocol=protocol))
        found = read_detectron(path)["model"]
        assert torch.equal(found["a"], torch.from_numpy(array))
        assert torch.equal(found["a"], found["b"])
        assert torch.equal(found["c"], torch.from_numpy(array).T)
    whole = path.read_bytes()
    loop: dict[str, object] = {}
    loop["model"] = loop
    for bad in (
        whole[:-40],
        pickle.dumps({"model": _Call()}),
        pickle.dumps({"model": np.array([_Call()])}),
        pickle.dumps({"model": {"a": _Lies()}}),
        pickle.dumps(loop),
        pickle.dumps([1]),
    ):
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"opened safely|not a table"):
            read_detectron(path)
    assert not Path("/tmp/rotoscope-was-here").exists()


def test_a_file_of_nothing_that_is_known(cache: Path) -> None:
    torch.save({"model": {"a": torch.zeros(1)}}, cache / "other.pth")
    with pytest.raises(CheckpointError, match="of no network known here"):
        begin_trunk(new_method(on_resnet18("rvos")), "rvos", str(cache / "other.pth"))
