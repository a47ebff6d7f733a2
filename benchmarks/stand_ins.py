"""Files in the layouts of what the published recipes begin with, for where the files themselves are not.

Every tensor is the function of its name that the golden networks were filled by (tests/golden), under the names and in
the shapes of the release. So reading, renaming and fitting are those of the real file; what it has learnt is not there.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from rotoscope.layers.resnet import Depth, ResNet
from rotoscope.methods.recipe import Recipe
from rotoscope.training.run import new_method
from rotoscope.training.trunk import SETTINGS, begin, begin_trunk
from rotoscope.weights.pretrained import AbsentWeightsError
from rotoscope.weights.released import IMAGENET

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
CALLED = "stand-in-for-"
"""What names of the files begin with."""


def with_beginnings(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with a file in place of each name whose weights are not here; unchanged if all are."""
    if recipe.initial:
        try:
            begin(new_method(recipe), recipe)
        except AbsentWeightsError:
            return dataclasses.replace(recipe, initial=str(stand_in(recipe.initial, folder)))
        return recipe
    for part, setting in SETTINGS.items():
        weights = getattr(recipe, setting)
        if not weights:
            continue
        try:
            begin_trunk(new_method(recipe), recipe.method, weights, part)
        except AbsentWeightsError as missing:
            file = stand_in(str(missing).partition(":")[0], folder)
            recipe = recipe.changed([f"{setting}={file}"])
    return recipe


def stand_in(name: str, folder: Path) -> Path:
    """Write the file of a name in the layout that it is released in.

    Args:
        name: in ``BEGINNINGS`` or ``RELEASED`` of :mod:`rotoscope.weights.released`, as far as a recipe begins with it.
        folder: where to.
    Returns: the file, or the folder of RVOS's two.
    """
    place = folder / f"{CALLED}{name}"
    if name.startswith(f"{IMAGENET}-resnet"):
        torch.save(_residual(int(name.removeprefix(f"{IMAGENET}-resnet")), ""), file := place.with_suffix(".pth"))
        return file
    if name == "maskrcnn-resnet50":
        torch.save(_residual(50, "backbone.body."), file := place.with_suffix(".pth"))
        return file
    if name == "cosnet-deeplabv3":
        own = {k.removeprefix("encoder."): v for k, v in _golden("cosnet").items() if k.startswith("encoder.")}
        torch.save(
            {"epoch": 12, "model": {f"module.{k}": v for k, v in own.items()}}, file := place.with_suffix(".pth")
        )
        return file
    if name in ("rvos", "rvos-zeroshot"):
        place.mkdir(exist_ok=True)
        torch.save(_golden("rvos_encoder"), place / "encoder.pt")
        torch.save(_golden(f"rvos_decoder{name.removeprefix('rvos').replace('-', '_')}"), place / "decoder.pt")
        return place
    if name == "capsulevos":
        arrays: Any = {k: v.numpy() for k, v in _golden("capsulevos").items()}
        np.savez(file := place.with_suffix(".npz"), **arrays)
        return file
    raise KeyError(name)


def _seeded() -> Any:
    spec = importlib.util.spec_from_file_location("seeded_weights", GOLDEN / "seeded_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _golden(network: str) -> dict[str, Tensor]:
    """A released network, by the names and shapes kept with the golden numbers, with their changes of scale."""
    table = json.loads((GOLDEN / f"{network}.keys.json").read_text())
    state = {name: torch.from_numpy(array) for name, array in _seeded().seeded_state_dict(table).items()}
    changes = GOLDEN / f"{network}.overrides.json"
    for name, change in (json.loads(changes.read_text()) if changes.exists() else {}).items():
        state[name] = state[name] * change["scale"] + change["add"]
    return state


def _residual(depth: int, prefix: str) -> dict[str, Tensor]:
    """A ResNet as torchvision names it."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in ResNet(cast(Depth, depth)).state_dict().items()}
    tensor_of = _seeded().seeded_tensor
    kinds = {name: "int64" if name.endswith("num_batches_tracked") else "float32" for name in shapes}
    return {prefix + name: torch.from_numpy(tensor_of(name, shape, kinds[name])) for name, shape in shapes.items()}
