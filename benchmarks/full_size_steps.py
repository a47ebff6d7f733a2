"""Ten real steps of every stage of every published recipe, at the paper's size, on its sets in miniature.

Each set is drawn anew in its published layout and at its published size (miniature_sets.py). A line says what a stage
began with, its first and last loss, and what a step took. Steps are made of the paper's number of clips, one clip at a
time unless --together says more, so that memory is that of so many clips. Weights that a recipe begins with and that
are not here are told; the stage then begins at random.

    python benchmarks/full_size_steps.py --recipe rvos --recipe agame
    python benchmarks/full_size_steps.py --plan                     # what `rotoscope train --plan` says of each
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch  # noqa: F401  # common.options sets its threads

from common import options, report
from miniature_sets import data_for, make
from rotoscope.cli import main
from rotoscope.methods import recipes, training_of
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.runs.measure import peak_memory
from rotoscope.training.clips import StepBatches
from rotoscope.training.data import TrainingData
from rotoscope.training.loop import Trainer
from rotoscope.training.run import launch, new_method
from rotoscope.training.trunk import begin
from rotoscope.weights.pretrained import AbsentWeightsError

PUBLISHED = [name for name in recipes() if "small" not in name]


def different(recipe: Recipe) -> list[tuple[int, Stage]]:
    """Stages by number; of those that differ in rates, steps and limits of a curriculum only, the last."""
    kept: dict[str, tuple[int, Stage]] = {}
    for number, stage in enumerate(recipe.stages, 1):
        loss = {name: value for name, value in stage.loss.items() if name != "limit"}
        kept[json.dumps([stage.shape, stage.frames, stage.batch, repr(stage.origins), loss])] = (number, stage)
    return list(kept.values())


def run(recipe: Recipe, number: int, stage: Stage, specs: list[str], chosen: Any) -> dict[str, Any]:
    """Steps of one stage."""
    clips = chosen.clips or stage.batch
    stage = dataclasses.replace(stage, steps=chosen.steps, batch=clips)
    recipe = dataclasses.replace(recipe, stages=(stage,), accumulate=-(-clips // chosen.together))
    method: Any = new_method(recipe)
    try:
        begins = begin(method, recipe).describe(method)[1:]
    except AbsentWeightsError as missing:
        begins = [f"random, as {str(missing).partition(':')[0]} is not here"]
    data = TrainingData.open(specs)
    with tempfile.TemporaryDirectory(prefix="rotoscope-") as folder:
        fabric = launch(chosen.device, precision="auto" if chosen.device == "cuda" else "32-true")
        loss = training_of(recipe.method).clip_loss
        trainer = Trainer(recipe, method.network, loss, data, Path(folder), fabric=fabric, workers=0)
        batches, losses, begun = StepBatches(recipe, data), [], time.perf_counter()
        for trainer.step in range(chosen.steps):
            losses.append(trainer.learn(batches[trainer.step])["loss"])
    return {
        "recipe": recipe.name,
        "stage": number,
        "made of": "+".join(dict.fromkeys(origin.source for origin in recipe.origins())),
        "clips": f"{clips}x{stage.frames}x{stage.shape}",
        "steps": chosen.steps,
        "first loss": losses[0],
        "last loss": losses[-1],
        "s a step": (time.perf_counter() - begun) / chosen.steps,
        "peak GiB": peak_memory() / 2**30,
        "begins as": "; ".join(line.strip() for line in begins),
    }


if __name__ == "__main__":
    chosen = options(__doc__, recipe=PUBLISHED, stage=0, steps=10, clips=0, together=1, device="cpu", plan=False)
    with tempfile.TemporaryDirectory(prefix="rotoscope-") as scratch:
        made = make(Path(scratch))
        rows = []
        for name in chosen.recipe:
            recipe = recipes()[name]
            given = data_for(recipe, made)
            if chosen.plan:
                words = [word for spec in given for word in ("--data", spec)]
                main(["train", name, "--plan", "--device", chosen.device, *words])
                continue
            for number, stage in different(recipe):
                if chosen.stage in (0, number):
                    rows.append(run(recipe, number, stage, given, chosen))
                    print("; ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    if rows:
        report("full_size_steps", "Steps of the published recipes at their size", rows, chosen)
