"""A tiny run as a process of its own: ``python runs.py DATA FOLDER CHANGE…``.

With ``STEP_BY_STEP`` in the environment it waits for a line on standard input after every step.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.training.run import launch, prepare, save_weights

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


def main(data: str, folder: str, *changes: str) -> None:
    recipe = RECIPE.changed(changes)
    fabric = launch("cpu", precision="32-true")
    trainer = prepare(recipe, data, Path(folder), fabric=fabric, workers=0, threads=1, resume=True)
    for line in trainer.run(save_every=1, log_every=1):
        if trainer.first:
            print(line.step, flush=True)
        if "STEP_BY_STEP" in os.environ:
            sys.stdin.readline()
    save_weights(trainer)


if __name__ == "__main__":
    main(*sys.argv[1:])
