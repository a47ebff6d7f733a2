"""``rotoscope report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.options import Limits
from rotoscope.cli.output import out
from rotoscope.errors import InputError


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of benchmark, ablate or segment, or files of evaluate --json; one or more."),
    ],
    html: Annotated[Path, typer.Option("--html", help="The page to write.")],
    dataset: Annotated[
        str | None, typer.Option(help="The data set's frames and truth, where they are not where the run had them.")
    ] = None,
    video: Annotated[str | None, typer.Option(help="The video that a run of segment is of, for its frames.")] = None,
    clips: Annotated[int | None, typer.Option(help="So many clips are shown, those of the lowest J (12).")] = None,
    worst: Annotated[int | None, typer.Option(help="So many of the worst frames are shown (12).")] = None,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Plots and tables only.")] = False,
    limit: Limits = None,
) -> int:
    """Write one self-contained page of runs: plots, published figures beside, frames with masks, the worst frames."""
    from rotoscope.reports.report import Pictures, write_report

    chosen = {"dataset": dataset, "video": video, "clips": clips, "worst": worst}
    options = {name: value for name, value in chosen.items() if value is not None}
    if no_pictures and options:
        raise InputError(f"--no-pictures shows no frames; leave --{next(iter(options))} out.")
    records = write_report(runs, html, None if no_pictures else Pictures(**options))  # type: ignore[arg-type]
    out.print(f"page of {', '.join(record.name for record in records)}: {html} ({html.stat().st_size / 2**20:.1f} MiB)")
    return 0
