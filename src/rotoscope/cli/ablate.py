"""``rotoscope ablate``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotoscope.cli.options import (
    Device,
    Jobs,
    Limits,
    Others,
    Precision,
    Settings,
    Size,
    Threads,
    session_options,
    use_threads,
)
from rotoscope.cli.output import err, error_line, out
from rotoscope.cli.tables import ablation_table, published_notes, published_rows
from rotoscope.errors import InputError

if TYPE_CHECKING:
    from rotoscope.experiments.ablate import RowResult


def command(
    table: Annotated[
        str, typer.Argument(help="Table, such as policies, capacity, rvos-oneshot; a wrong name lists them.")
    ],
    dataset: Annotated[list[str] | None, typer.Option(help="Data set to score on; any number of times.")] = None,
    long: Annotated[
        int, typer.Option(help="So many long synthetic clips (for each number of objects), from --data.")
    ] = 0,
    long_frames: Annotated[int, typer.Option(help="Length of a long clip.")] = 300,
    long_size: Annotated[int, typer.Option(help="Side of a long clip's frames in pixels.")] = 256,
    long_kind: Annotated[
        list[str] | None,
        typer.Option(help="What long clips show: wandering (default), small or hidden objects; any number of times."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Folder of photographs, for long clips and for rows that are trained.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Share of the recipe's steps that a row is trained for.")] = 0.05,
    set_: Settings = None,
    initial: Annotated[Path | None, typer.Option(help="Weights that trained rows begin with.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights for rows that are not trained.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="New folder for masks and results.")] = None,
    row: Annotated[
        list[str] | None, typer.Option(help="Only this row, by its name or its number from 0; any number of times.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output that was stopped.")] = False,
    option: Others = None,
    size: Size = None,
    device: Device = "auto",
    precision: Precision = "fast",
    threads: Threads = None,
    jobs: Jobs = None,
    limit: Limits = None,
) -> int:
    """Run every row of a table of the papers, and print it beside the published one."""
    from rotoscope.experiments.ablate import RESULTS, AblationRun, find_ablation
    from rotoscope.experiments.long_sets import LongClips

    use_threads(threads)
    if resume and output is None:
        raise InputError("--resume needs the folder of the run: give it as --output.")
    run = AblationRun(
        find_ablation(table),
        output or Path(f"ablation-{table}-{datetime.now():%Y%m%d-%H%M%S}"),
        datasets=dataset or [],
        long=LongClips(long, long_frames, long_size, tuple(long_kind or ["wandering"])) if long else None,
        data=data or [],
        scale=scale,
        settings=set_ or [],
        initial=initial,
        weights=weights,
        device=device,
        precision=precision,
        threads=threads,
        jobs=jobs,
        options=session_options(size=size, others=option),
        only=row or [],
        resume=resume,
        tell=lambda line: err.print(f"  {line}"),
    )
    results: list[RowResult] = []
    for result in run.rows():
        results.append(result)
        shown = ", ".join(f"{name} J&F {scores['J&F']:.1f}" for name, scores in result.scores.items())
        err.print(f"{result.row.name}: {shown}, {result.measured.rate:.1f} frames/s")
        for problem in result.problems:
            error_line(problem)
    for made in (ablation_table(run.table, results), *published_rows(run.table)):
        out.print(made, soft_wrap=False)
    for line in published_notes(run.table):
        out.print(line)
    out.print(f"results: {run.folder / RESULTS}")
    return 1 if any(result.problems for result in results) else 0
