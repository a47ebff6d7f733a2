"""A tiny run as a process of its own: ``python runs.py DATA FOLDER CHANGE…``.

``python runs.py`` alone makes such processes for whoever asks, by forking: what is imported by then need not be so
again. It reads lines of JSON, of ``[step_by_step, DATA, FOLDER, CHANGE…]``. The process that it makes writes its
number, and the numbers of its steps until it ends or is killed; then the exit status is written. A run that goes step
by step waits for a line on standard input after each of them.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import torch

from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.training.run import launch, new_method, prepare, save_weights
from rotoscope.weights.files import save_method

RECIPE = Recipe(
    name="tiny",
    method="stcn",
    config={
        "trunk": "resnet18",
        "value_width": 8,
        "key_dim": 16,
        "value_dim": 16,
        "thin_dim": 16,
        "decoder_dims": (16, 16, 8),
    },
    stages=(Stage(6, 48, 3, 2), Stage(6, 48, 3, 2, "stills")),
    objects=(0.5, 0.5),
    warm_up=2,
    validate_every=100,
    validation_clips=2,
    loss={"correspondence": 0.3, "dropout": 0.2},
)


def beginning(recipe: Recipe, folder: Path) -> Path:
    """Weights that are drawn: norms that keep their statistics must begin with something."""
    torch.manual_seed(3)
    method = new_method(recipe)
    path = folder.with_name(f"beginning-{os.environ.get('RANK', 0)}.safetensors")
    save_method(path, recipe.method, method.config, method.state_dict())
    return path


def main(data: str, folder: str, *changes: str, step_by_step: bool = False) -> None:
    recipe = RECIPE.changed(changes)
    fabric = launch("cpu", precision="32-true")
    initial = beginning(recipe, Path(folder)) if recipe.frozen_norms else None
    trainer = prepare(recipe, data, Path(folder), fabric=fabric, workers=0, threads=1, resume=True, initial=initial)
    for line in trainer.run(save_every=1, log_every=1):
        if trainer.first:
            print(line.step, flush=True)
        if step_by_step:
            sys.stdin.readline()
    save_weights(trainer)


def serve() -> None:
    """Fork for each line; nothing is computed here, so no thread is lost by it."""
    importlib.import_module("torch.utils.tensorboard")  # which a run imports when it comes to it
    while line := sys.stdin.readline():
        if not line.strip():  # meant for a run that was killed before it had read it
            continue
        step_by_step, *arguments = json.loads(line)
        child = os.fork()
        if not child:
            print(os.getpid(), flush=True)
            main(*arguments, step_by_step=step_by_step)
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("status", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(*sys.argv[1:])
    else:
        serve()
