"""``rotoscope evaluate``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from rotoscope.cli.options import Compare, Jobs, Limits, Stability
from rotoscope.cli.output import err, error_line, out, print_json, warning_line
from rotoscope.cli.tables import breakdown_table, comparison_notes, comparison_table, evaluation_tables
from rotoscope.errors import InputError, printable

if TYPE_CHECKING:
    from rotoscope.evaluation.evaluate import Averages, Evaluation


def command(
    results: Annotated[Path, typer.Argument(help="Folder of masks, a folder per sequence.")],
    dataset: Annotated[str, typer.Option(help="Data set as NAME:PATH?split=…, such as davis17:DAVIS?split=val.")],
    task: Annotated[
        str | None, typer.Option(help="semi, unsupervised or zero-shot; the data set's own unless given.")
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="Count other frames than the protocol: inner, all or after-first.")
    ] = None,
    stability: Stability = True,
    jobs: Jobs = None,
    partial: Annotated[bool, typer.Option("--partial", help="Score the sequences that are there.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if a mask is damaged, missing or odd.")] = False,
    compare: Compare = False,
    csv: Annotated[Path | None, typer.Option(help="Write a line per object.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write everything, per frame; - prints it.")] = None,
    limit: Limits = None,
) -> int:
    """Score masks by the field's measures, whatever made them."""
    # Before NumPy is imported: its algebra threads have nothing to do here, and would keep this process from forking.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from rotoscope.evaluation.evaluate import evaluate
    from rotoscope.evaluation.report import as_record, write_csv, write_json

    if jobs is not None and jobs < 1:
        raise InputError(f"{jobs} jobs are not possible; give at least 1.")
    # Refreshed by hand, once a sequence: no thread that draws beside the processes that score.
    columns = (TextColumn("{task.description}", markup=False), BarColumn())
    with Progress(*columns, console=err, auto_refresh=False, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("scoring", total=None)

        def step(name: str) -> None:
            progress.update(bar, advance=1, description=printable(f"scored {name}"))
            progress.refresh()

        evaluation = evaluate(
            results,
            dataset,
            task,
            frames=frames,
            stability=stability,
            jobs=jobs,
            partial=partial,
            on_sequence=step,
        )
    if csv is not None:
        write_csv(evaluation, csv)
    if json_ is not None and str(json_) == "-":
        print_json(as_record(evaluation))
    else:
        show(evaluation, compare)
        if json_ is not None:
            write_json(evaluation, json_)
    return tell(evaluation, strict)


def show(evaluation: Evaluation, compare: bool = False) -> None:
    """Print the protocol and an evaluation's tables."""
    out.print(evaluation.protocol.describe())
    for made in evaluation_tables(evaluation):
        out.print(made, soft_wrap=False)
    if compare:
        show_published(evaluation)


def show_published(evaluation: Evaluation, name: str = "here", measured: Averages | None = None) -> None:
    """Print what papers print for the same data set, overall and by group; arguments as of ``comparison``."""
    from rotoscope.evaluation.published import breakdowns, comparison

    compared = comparison(evaluation, name, measured)
    out.print(comparison_table(compared), soft_wrap=False)
    for line in comparison_notes(compared):
        out.print(line)
    for breakdown in breakdowns(evaluation):
        out.print(breakdown_table(breakdown), soft_wrap=False)


def tell(evaluation: Evaluation, strict: bool) -> int:
    """Say what was wrong with the results; return the exit code."""
    for line in evaluation.warnings:
        warning_line(line)
    for line in evaluation.problems:
        error_line(line)
    return 2 if strict and evaluation.problems else 0
