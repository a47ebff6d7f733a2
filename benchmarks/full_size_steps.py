"""Ten real steps of every stage of every published recipe, at the paper's size, on its sets in miniature.

Each set is drawn anew in its published layout and at its published size (miniature_sets.py); nothing is fetched. A
line says what a stage is made of, its first and last loss, what a step took and the most memory held meanwhile, on a
GPU that of the GPU. Steps are made of the paper's number of clips, one clip at a time unless --together says more, so
that memory is that of so many clips. Weights that a recipe begins with and that are not here are told; the stage then
begins at random. A stage that fails is told, and the next one is begun; the program then ends with 1.

    python benchmarks/full_size_steps.py --recipe rvos --recipe agame
    python benchmarks/full_size_steps.py --plan                     # what `rotoscope train --plan` says of each
    python benchmarks/full_size_steps.py --device cuda --together 4 --workers 12 --stage-seconds 25 --seconds 300

--stage-seconds ends a stage after the step in which so much time has gone by, --seconds begins no further stage.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from common import options, report
from miniature_sets import data_for, make, needed
from rotoscope.cli import main as command
from rotoscope.methods import recipes, training_of
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.runs.measure import peak_memory
from rotoscope.training.clips import StepBatches, step_loader
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
    on_gpu = chosen.device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    data = TrainingData.open(specs)
    with tempfile.TemporaryDirectory(prefix="rotoscope-") as folder:
        fabric = launch(chosen.device, precision="auto" if on_gpu else "32-true")
        loss = training_of(recipe.method).clip_loss
        trainer = Trainer(recipe, method.network, loss, data, Path(folder), fabric=fabric, workers=chosen.workers)
        losses: list[float] = []
        begun = last = time.perf_counter()
        for batch in step_loader(StepBatches(recipe, data), 0, chosen.workers):
            losses.append(trainer.learn(batch)["loss"])
            trainer.step += 1
            last = time.perf_counter()
            if chosen.stage_seconds and last - begun > chosen.stage_seconds:
                break
    return {
        "recipe": recipe.name,
        "stage": number,
        "made of": "+".join(dict.fromkeys(origin.source for origin in recipe.origins())),
        "clips": f"{clips}x{stage.frames}x{stage.shape}",
        "steps": len(losses),
        "first loss": losses[0],
        "last loss": losses[-1],
        "s a step": (last - begun) / len(losses),
        "peak GiB": peak_memory() / 2**30,
        "begins as": "; ".join(line.strip() for line in begins),
    }


def tried(recipe: Recipe, number: int, stage: Stage, specs: list[str], chosen: Any) -> dict[str, Any]:
    """The same; of a stage that fails, why."""
    try:
        return run(recipe, number, stage, specs, chosen)
    except Exception as error:  # whatever it is, it is a finding, and the other stages are still to be seen
        traceback.print_exc()
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return {"recipe": recipe.name, "stage": number, "failed": why}


def main() -> int:
    """Run; return the exit status."""
    chosen = options(
        __doc__,
        recipe=PUBLISHED,
        stage=0,
        steps=10,
        clips=0,
        together=1,
        workers=0,
        device="cpu",
        seconds=0.0,
        stage_seconds=0.0,
        plan=False,
    )
    begun, rows, left = time.perf_counter(), [], []
    with tempfile.TemporaryDirectory(prefix="rotoscope-") as scratch:
        made = make(Path(scratch), only=needed([recipes()[name] for name in chosen.recipe]))
        for name in chosen.recipe:
            recipe = recipes()[name]
            given = data_for(recipe, made)
            if chosen.plan:
                words = [word for spec in given for word in ("--data", spec)]
                command(["train", name, "--plan", "--device", chosen.device, *words])
                continue
            for number, stage in different(recipe):
                if chosen.stage not in (0, number):
                    continue
                if chosen.seconds and time.perf_counter() - begun > chosen.seconds:
                    left.append(f"{name} {number}")
                    continue
                rows.append(tried(recipe, number, stage, given, chosen))
                print("; ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    done = [row for row in rows if "failed" not in row]
    failed = [row for row in rows if "failed" in row]
    if done:
        report("full_size_steps", "Steps of the published recipes at their size", done, chosen, failed=failed)
    for row in failed:
        print(f"failed: {row['recipe']}, stage {row['stage']}: {row['failed']}", file=sys.stderr)
    if left:
        print(f"not begun, as the time was up: {', '.join(left)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
