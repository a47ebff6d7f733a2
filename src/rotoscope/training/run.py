"""From a recipe's name to a trainer, and from a trainer to weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.errors import InputError, suggestion
from rotoscope.layers.precision import has_native_bfloat16
from rotoscope.methods import METHODS, method_class, method_module
from rotoscope.methods.base import Method
from rotoscope.methods.recipe import Recipe
from rotoscope.training.loop import CHECKPOINT, Trainer
from rotoscope.weights.files import fill, save_method
from rotoscope.weights.load import find_device, open_file


def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    found: dict[str, Recipe] = {}
    for name in METHODS:
        found |= method_module(name, "training").RECIPES
    return found


def find_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        InputError: no such recipe.
    """
    known = recipes()
    if name not in known:
        raise InputError(f"recipe {name!r} is not known{suggestion(name, known)}; the recipes are {', '.join(known)}.")
    return known[name]


def new_method(recipe: Recipe) -> Method:
    """The recipe's method with weights drawn from its seed."""
    torch.manual_seed(recipe.seed)
    cls = method_class(recipe.method)
    return cls(cls.config_class(**recipe.config))


def prepare(
    recipe: Recipe,
    data: str | Path | None,
    folder: Path,
    *,
    device: str = "auto",
    workers: int = 1,
    threads: int | None = None,
    resume: bool = False,
    initial: Path | None = None,
) -> Trainer:
    """Make a trainer, at its beginning or where its folder's checkpoint stands.

    Args:
        recipe: what to do.
        data: folder of photographs; ``$ROTOSCOPE_DATA`` if None.
        folder: of the run.
        device: see :func:`rotoscope.load`.
        workers: processes that make clips.
        threads: of the processor; None leaves PyTorch's choice.
        resume: go on from the folder's checkpoint.
        initial: weights to begin with, instead of random ones; of the same network.

    Raises:
        InputError: no data, or a folder that holds a run and ``resume`` was not asked for (or the other way round).
    """
    target = find_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    photographs = Photographs.open(data_root(data))
    there = (folder / CHECKPOINT).exists()
    if there and not resume:
        raise InputError(f"{folder}: holds a training run. Pass --resume to go on, or another --output.")
    training: Any = method_module(recipe.method, "training")
    method = new_method(recipe)
    if initial is not None:
        fill(method, open_file(initial, recipe.method).state_dict(), initial)
    network: Any = method.network
    mixed = has_native_bfloat16(target)
    trainer = Trainer(
        recipe, network, training.clip_loss, photographs, folder, device=target, workers=workers, mixed=mixed
    )
    if resume:
        trainer.resume()
    return trainer


def save_weights(trainer: Trainer) -> Path:
    """Write the averaged weights as a file that ``rotoscope.load`` opens, in half precision."""
    recipe = trainer.recipe
    cls = method_class(recipe.method)
    config = dataclasses.replace(cls.config_class(**recipe.config), **recipe.inference)
    path = trainer.folder / f"{recipe.name}.safetensors"
    state = {f"network.{name}": tensor for name, tensor in trainer.average.items()}
    save_method(path, recipe.method, config, state, half=True)
    return path
