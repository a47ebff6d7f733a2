"""Ten real steps of every stage of every published recipe, at the paper's size, on its sets in miniature.

Each set is drawn anew in its published layout and at its published size (miniature_sets.py); nothing is fetched. A
line says what a stage is made of, its first and last loss, what a step took and the most memory held meanwhile, on a
GPU that of the GPU. Stages that differ in rates, steps and limits of a curriculum only are taken once. Steps are made
of the paper's number of clips, or of --clips; one clip at a time is computed unless --together says more. Weights that
a recipe begins with and that are not here are replaced by a file in their released layout (stand_ins.py), or with
--random by none. Every stage has a process of its own, which may hold no more than --memory GiB of data. A stage that
fails is told, and the next one is begun; the program then ends with 1. What is done is kept in the JSON file: the same
call goes on with the stages that are not in it, and prints all.

    python benchmarks/full_size_steps.py --recipe rvos --recipe agame
    python benchmarks/full_size_steps.py --clips 1 --threads 1      # on a small machine
    python benchmarks/full_size_steps.py --plan                     # what `rotoscope train --plan` says of each
    python benchmarks/full_size_steps.py --device cuda --together 4 --workers 3 --beside 4 --seconds 300

--stage-seconds ends a stage after the step in which so much time has gone by, --seconds begins no further stage,
--beside takes so many stages at once.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
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
from rotoscope.training.trunk import SETTINGS, begin
from stand_ins import CALLED, with_beginnings

PUBLISHED = [name for name in recipes() if "small" not in name]


def different(recipe: Recipe) -> list[tuple[int, Stage]]:
    """Stages by number; of those that differ in rates, steps and limits of a curriculum only, the last."""
    kept: dict[str, tuple[int, Stage]] = {}
    for number, stage in enumerate(recipe.stages, 1):
        loss = {name: value for name, value in stage.loss.items() if name != "limit"}
        kept[json.dumps([stage.shape, stage.frames, stage.batch, repr(stage.origins), loss])] = (number, stage)
    return list(kept.values())


def begun_as(method: Any, recipe: Recipe, random: bool) -> str:
    """Begin a network; say in short what each of its parts begins as."""
    if random:
        return "all random"
    with tempfile.TemporaryDirectory(prefix="rotoscope-") as folder:
        recipe = with_beginnings(recipe, Path(folder))
        taken = begin(method, recipe).taken
    parts = dict.fromkeys(name.split(".")[1] for name, _ in method.named_parameters())
    whence: dict[str, list[str]] = {}
    for part in parts:
        sources = dict.fromkeys(Path(source).stem for name, source in taken.items() if name.split(".")[1] == part)
        whence.setdefault("+".join(sources) or "random", []).append(part)
    named = {source.replace(CALLED, "in place of "): ", ".join(own) for source, own in whence.items()}
    if len(named) == 1:
        return f"all {next(iter(named))}"
    return "; ".join(f"{own}: {source}" for source, own in named.items())


def run(recipe: Recipe, number: int, stage: Stage, specs: list[str], chosen: Any) -> dict[str, Any]:
    """Steps of one stage."""
    torch.set_num_threads(chosen.threads)
    if chosen.memory:
        resource.setrlimit(resource.RLIMIT_DATA, (int(chosen.memory * 2**30), resource.RLIM_INFINITY))
    clips = chosen.clips or stage.batch
    papers = stage.batch
    stage = dataclasses.replace(stage, steps=chosen.steps, batch=clips)
    recipe = dataclasses.replace(recipe, stages=(stage,), accumulate=-(-clips // chosen.together))
    method: Any = new_method(recipe)
    begins = begun_as(method, recipe, chosen.random)
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
            print(f"{recipe.name} {number}: step {len(losses)}, loss {losses[-1]:.4g}", file=sys.stderr, flush=True)
            if chosen.stage_seconds and last - begun > chosen.stage_seconds:
                break
    return {
        "recipe": recipe.name,
        "stage": number,
        "made of": "+".join(dict.fromkeys(origin.source for origin in recipe.origins())),
        "size": stage.shape,
        "frames": stage.frames,
        "clips, paper's": papers,
        "clips": clips,
        "steps": len(losses),
        "first loss": losses[0],
        "last loss": losses[-1],
        "s a step": (last - begun) / len(losses),
        "peak GiB": peak_memory() / 2**30,
        "begins as": begins,
    }


def tried(recipe: Recipe, number: int, stage: Stage, specs: list[str], chosen: Any) -> dict[str, Any]:
    """The same; of a stage that fails, why."""
    try:
        return run(recipe, number, stage, specs, chosen)
    except Exception as error:  # whatever it is, it is a finding, and the other stages are still to be seen
        traceback.print_exc()
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return {"recipe": recipe.name, "stage": number, "failed": why}


def alone(recipe: Recipe, number: int, stage: Stage, specs: list[str], chosen: Any) -> dict[str, Any]:
    """The same in a process of its own; of one that was killed, that it was."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as own:
        try:
            return own.submit(tried, recipe, number, stage, specs, chosen).result()
        except BrokenProcessPool as error:
            return {"recipe": recipe.name, "stage": number, "failed": f"its process was killed: {error}"}


def settings(recipe: Recipe, given: Recipe) -> list[str]:
    """Words of the command that put stand-ins in the place of what a recipe begins with."""
    words = ["--initial", given.initial] if given.initial != recipe.initial else []
    for setting in SETTINGS.values():
        if getattr(given, setting) != getattr(recipe, setting):
            words += ["--set", f"{setting}={getattr(given, setting)}"]
    return words


def kept(path: Path) -> list[dict[str, Any]]:
    """Rows of an earlier call."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    return rows


def wanted(chosen: Any, done: set[tuple[str, int]]) -> list[tuple[Recipe, int, Stage]]:
    """Stages that are to be taken."""
    return [
        (recipes()[name], number, stage)
        for name in chosen.recipe
        for number, stage in different(recipes()[name])
        if chosen.stage in (0, number) and (name, number) not in done
    ]


def told(rows: list[dict[str, Any]], failed: list[dict[str, Any]], left: list[str], chosen: Any) -> int:
    """Print what was done and what was not; return the exit status."""
    order = [(recipe, number) for recipe in PUBLISHED for number, _ in different(recipes()[recipe])]
    rows.sort(key=lambda row: order.index((row["recipe"], row["stage"])))
    if rows:
        report("full_size_steps", "Steps of the published recipes at their size", rows, chosen, failed=failed)
    for row in failed:
        print(f"failed: {row['recipe']}, stage {row['stage']}: {row['failed']}", file=sys.stderr)
    if left:
        print(f"not begun, as the time was up: {', '.join(left)}", file=sys.stderr)
    return 1 if failed else 0


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
        memory=0.0,
        beside=1,
        seconds=0.0,
        stage_seconds=0.0,
        random=False,
        plan=False,
    )
    begun, path = time.perf_counter(), chosen.json / "full_size_steps.json"
    rows, failed, left = kept(path), list[dict[str, Any]](), list[str]()
    stages = wanted(chosen, {(row["recipe"], row["stage"]) for row in rows})
    needs = [recipes()[name] for name in chosen.recipe] if chosen.plan else [recipe for recipe, *_ in stages]
    with tempfile.TemporaryDirectory(prefix="rotoscope-") as scratch:
        made = make(Path(scratch), only=needed(needs))
        if chosen.plan:
            for recipe in needs:
                given = recipe if chosen.random else with_beginnings(recipe, Path(scratch))
                words = [word for spec in data_for(recipe, made) for word in ("--data", spec)]
                command(["train", recipe.name, "--plan", "--device", chosen.device, *words, *settings(recipe, given)])
            return 0

        def row_of(asked: tuple[Recipe, int, Stage]) -> dict[str, Any]:
            if chosen.seconds and time.perf_counter() - begun > chosen.seconds:
                return {"left": f"{asked[0].name} {asked[1]}"}
            return alone(*asked, data_for(asked[0], made), chosen)

        with ThreadPoolExecutor(chosen.beside) as several:
            for done in as_completed([several.submit(row_of, asked) for asked in stages]):
                row = done.result()
                if "left" in row:
                    left.append(row["left"])
                    continue
                print("; ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                (failed if "failed" in row else rows).append(row)
                chosen.json.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    return told(rows, failed, left, chosen)


if __name__ == "__main__":
    sys.exit(main())
