"""``rotoscope train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotoscope.cli.options import Limits, Settings, Threads, use_threads
from rotoscope.cli.output import err, out

if TYPE_CHECKING:
    from rotoscope.methods.recipe import Recipe


def command(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as stcn-small.")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="Folder of photographs and masks, or a data set as [WEIGHT*]NAME:PATH; several times."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "--out", "-o", help="Folder of the run.")] = Path("run"),
    set_: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")] = False,
    initial: Annotated[
        Path | None, typer.Option(help="Weights of the same network to begin with, in place of what the recipe says.")
    ] = None,
    validate: Annotated[
        str | None, typer.Option(help="Data set to segment and score at every validation, as NAME:PATH.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int | None, typer.Option(help="Processes on this machine, each with a device.")] = None,
    nodes: Annotated[int, typer.Option(help="Machines; start the command on each, see docs/training.md.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that make clips.")] = 1,
    threads: Threads = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 100,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done and what it takes, and stop.")] = False,
    limit: Limits = None,
) -> int:
    """Train a method, and save its weights."""
    from rotoscope.training.run import find_recipe, launch, prepare, save_weights

    chosen = find_recipe(recipe).changed(set_ or [])
    if plan:
        _plan(chosen, data or [], initial, device, devices, threads)
        return 0
    fabric = launch(device, devices, nodes, precision)
    trainer = prepare(
        chosen,
        data or [],
        output,
        fabric=fabric,
        workers=workers,
        threads=threads,
        resume=resume,
        initial=initial,
        validate=validate,
    )
    for note in trainer.data.lacking() if trainer.first else ():
        err.print(note)
    if trainer.step and trainer.first:
        err.print(f"going on from step {trainer.step}")

    def keep_best() -> None:
        save_weights(trainer, f"{chosen.name}-best")

    for line in trainer.run(save_every=save_every, on_best=keep_best):
        if not trainer.first:
            continue
        scored = f", validation J {line.validation_j:.3f}" if line.validation_j is not None else ""
        scored += f", data set J {line.dataset_j:.3f}" if line.dataset_j is not None else ""
        err.print(f"step {line.step}/{chosen.steps}: loss {line.loss:.3f}, {line.seconds:.2f} s a step{scored}")
    path = save_weights(trainer)
    if trainer.first:
        out.print(f"weights: {path}")
    return 0


def _plan(
    recipe: Recipe, data: list[str], initial: Path | None, device: str, devices: int | None, threads: int | None
) -> None:
    import torch

    from rotoscope.methods.schedule import Schedule
    from rotoscope.training.data import TrainingData
    from rotoscope.training.plan import STEPS, beginning_lines, stage_costs
    from rotoscope.weights.load import find_device

    use_threads(threads)
    for line in (*Schedule(recipe).describe(), *beginning_lines(recipe, initial or "")):
        out.print(line)
    opened = TrainingData.open(data)
    out.print("data:")
    opened.sources(recipe)
    for line in (*opened.describe(), *opened.shares(recipe)):
        out.print(f"  {line}")
    target = find_device(device)
    shared = (devices or 1) if target.type == "cpu" else 1
    how = f"{target}, {torch.get_num_threads()} threads, in float32"
    out.print(f"from up to {STEPS} measured steps of one clip on {how}:")
    costs = stage_costs(recipe, target, shared)
    for cost in costs:
        out.print(cost.line())
    total = sum(cost.seconds * cost.stage.steps for cost in costs)
    out.print(f"  in all {total / 3600:.1f} hours ({total / 86400:.1f} days), or as long as making clips takes")
