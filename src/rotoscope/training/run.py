"""From a recipe's name to a trainer, and from a trainer to weights."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError
from rotoscope.evaluation.evaluate import evaluate
from rotoscope.evaluation.protocol import default_task, protocol
from rotoscope.files import inside
from rotoscope.layers.precision import has_native_bfloat16
from rotoscope.methods import build_method, build_model, look_up, make_config, recipes, training_of
from rotoscope.methods.model import Model
from rotoscope.methods.recipe import Recipe
from rotoscope.runs.dataset import segment_dataset
from rotoscope.training.data import TrainingData
from rotoscope.training.loop import CHECKPOINT, Trainer
from rotoscope.training.trunk import begin
from rotoscope.weights.files import save_method
from rotoscope.weights.load import find_device

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def find_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        InputError: no such recipe.
    """
    recipe: Recipe = look_up("recipe", name, recipes())
    return recipe


def new_method(recipe: Recipe) -> Model:
    """The recipe's model with weights drawn from its seed.

    Raises:
        InputError: a field of its config, or an option of its clip loss, that there is not.
    """
    known = training_of(recipe.method).loss_options
    for option in [*recipe.loss, *(option for stage in recipe.kinds() for option in stage.loss)]:
        if option not in known:
            raise InputError(f"loss.{option}: the clip loss of {recipe.method} has {', '.join(known) or 'no options'}.")
    torch.manual_seed(recipe.seed)
    return build_model(recipe.method, recipe.config)


def launch(device: str = "auto", devices: int | None = None, nodes: int = 1, precision: str = "auto") -> Fabric:
    """Devices and processes of a run; under ``torchrun`` those that it started.

    Args:
        device: see :func:`rotoscope.load`.
        devices: processes on this machine, each with a device (or, on a CPU, threads) of its own.
        nodes: machines.
        precision: ``auto`` takes bfloat16 where the device has it natively; else one of :data:`PRECISIONS`.

    Raises:
        InputError: an unknown precision or device.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known; use {', '.join(PRECISIONS)}.")
    target = find_device(device)
    if target.type == "cuda":
        torch.backends.cudnn.benchmark = True  # the clips of a stage have one shape
    if precision == "auto":
        precision = "bf16-mixed" if has_native_bfloat16(target) else "32-true"
    started = os.environ.get("LOCAL_WORLD_SIZE")
    count = int(started) if started else devices or 1
    several = count * nodes > 1
    fabric = Fabric(
        accelerator=target.type,
        devices=count if several or target.index is None else [target.index],
        num_nodes=nodes,
        strategy="ddp" if several else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def prepare(
    recipe: Recipe,
    data: str | Path | Sequence[str | Path] | None,
    folder: Path,
    *,
    device: str = "auto",
    fabric: Fabric | None = None,
    workers: int = 1,
    threads: int | None = None,
    resume: bool = False,
    initial: Path | None = None,
    validate: str | None = None,
) -> Trainer:
    """Make a trainer, at its beginning or where its folder's checkpoint stands.

    Args:
        recipe: what to do.
        data: see :meth:`TrainingData.open`; ``$ROTOSCOPE_DATA`` if None.
        folder: the folder of the run.
        device: see :func:`rotoscope.load`; not used with ``fabric``.
        fabric: from :func:`launch`; one process on ``device`` without it.
        workers: processes that make clips.
        threads: how many threads of the processor are used; None leaves PyTorch's choice.
        resume: go on from the folder's checkpoint, if there is one.
        initial: weights to begin with, of the same network, in place of what the recipe says.
        validate: spec of a data set to segment and score at every validation.

    Raises:
        InputError: no data, or not those that the recipe names; a folder that holds a run and ``resume`` was not asked
            for; or weights to begin with that do not fit.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    there = inside(folder, CHECKPOINT).exists()
    if there and not resume:
        raise InputError(f"{folder}: holds a training run. Pass --resume to go on, or another --output.")
    specs = [data] if isinstance(data, (str, Path)) else list(data or ())
    opened = TrainingData.open(specs)
    opened.sources(recipe)
    method = new_method(recipe)
    if not there:
        begin(method, recipe, initial or "")
    network: Any = method.network
    trainer = Trainer(
        recipe,
        network,
        training_of(recipe.method).clip_loss,
        opened,
        folder,
        fabric=fabric or launch(device),
        workers=workers,
        validator=DatasetValidator(recipe, validate) if validate else None,
        measure=training_of(recipe.method).validation,
    )
    if resume:
        trainer.resume()
    return trainer


class DatasetValidator:
    """Scores averaged weights on a data set: segments it and gives the mean J."""

    def __init__(self, recipe: Recipe, spec: str) -> None:
        self.recipe = recipe
        self.spec = spec
        self.dataset = open_dataset(spec)

    def __call__(self, average: Mapping[str, Tensor]) -> float:
        """Mean J of the weights."""
        method = build_method(self.recipe.method, {**self.recipe.config, **self.recipe.inference})
        method.load_state_dict({f"network.{name}": tensor for name, tensor in average.items()})
        device = next(iter(average.values())).device
        method.to(device).requires_grad_(False).eval()
        with tempfile.TemporaryDirectory(prefix="rotoscope-") as scratch:
            folder = Path(scratch) / "masks"
            task = default_task(self.dataset.kind, method.task)
            segment_dataset(self.dataset, protocol(self.dataset.kind, task), method, folder)
            return evaluate(folder, self.dataset, task, stability=False, jobs=1).overall()["J mean"]


def save_weights(trainer: Trainer, name: str | None = None) -> Path:
    """Write the averaged weights as a file that ``rotoscope.load`` opens, in half precision."""
    recipe = trainer.recipe
    config = make_config(recipe.method, {**recipe.config, **recipe.inference})
    path = inside(trainer.folder, f"{name or recipe.name}.safetensors")
    state = {f"network.{name}": tensor for name, tensor in trainer.average.items()}
    if trainer.first:
        save_method(path, recipe.method, config, state, store="float16")
    return path
