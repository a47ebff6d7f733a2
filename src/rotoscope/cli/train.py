"""``rotoscope train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.output import err, out


def command(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as stcn-small.")],
    data: Annotated[Path | None, typer.Option(help="Folder of photographs and masks; default $ROTOSCOPE_DATA.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for checkpoints, log and events.")] = Path(
        "run"
    ),
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a field of the recipe: NAME=VALUE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")] = False,
    initial: Annotated[Path | None, typer.Option(help="Weights to begin with; random ones without it.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that make clips.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Processor threads to use.")] = None,
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 100,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done, and stop.")] = False,
) -> int:
    """Train a method on synthetic clips, and save its weights."""
    from rotoscope.training.run import find_recipe, prepare, save_weights

    chosen = find_recipe(recipe).changed(set_ or [])
    if plan:
        out.print("\n".join(chosen.describe()))
        return 0
    trainer = prepare(
        chosen, data, output, device=device, workers=workers, threads=threads, resume=resume, initial=initial
    )
    if trainer.step:
        err.print(f"going on from step {trainer.step}")
    for line in trainer.run(save_every=save_every):
        judged = f", validation J {line.validation_j:.3f}" if line.validation_j is not None else ""
        err.print(f"step {line.step}/{chosen.steps}: loss {line.loss:.3f}, {line.seconds:.2f} s a step{judged}")
    out.print(f"weights: {save_weights(trainer)}")
    return 0
