"""``rotoscope batch``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rotoscope.cli.options import Device, Others, Precision, Size, Threads, session_options
from rotoscope.cli.output import InterruptedRunError, err, out, print_json, warning_line
from rotoscope.errors import InputError

if TYPE_CHECKING:
    from rotoscope.batches.jobs import BatchJob
    from rotoscope.batches.journal import Journal
    from rotoscope.batches.run import Checked, Summary


def command(
    source: Annotated[
        list[str] | None,
        typer.Argument(help="List (CSV, JSON, YAML), folder or glob of videos, videos, or a data set: davis17:PATH."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the batch.")] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder with the masks of each video, by its name. Else they lie beside them.")
    ] = None,
    method: Annotated[str, typer.Option(help="Name from 'rotoscope methods', or a weights file.")] = "stcn-small",
    format: Annotated[list[str] | None, typer.Option(help="As of 'rotoscope segment'.")] = None,
    direction: Annotated[str, typer.Option(help="forward, backward or both.")] = "forward",
    size: Size = None,
    option: Others = None,
    resize_masks: Annotated[bool, typer.Option("--resize-masks", help="Bring masks to the videos' sizes.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes or actors; as many as there is room for.")] = None,
    threads: Threads = None,
    ray: Annotated[
        str | None, typer.Option(help="Run on a Ray cluster: its address, auto, or local to start one here.")
    ] = None,
    cpus: Annotated[float, typer.Option(help="Processors of each Ray actor.")] = 1,
    gpus: Annotated[float, typer.Option(help="GPUs of each Ray actor; a fraction shares one.")] = 0,
    device: Device = "auto",
    precision: Precision = "fast",
    retries: Annotated[int, typer.Option(help="Further tries of a job after what may pass, such as a full disk.")] = 2,
    state_every: Annotated[int, typer.Option(help="Frames between saved states.")] = 50,
    split: Annotated[
        bool, typer.Option("--split", help="Cut videos, where masks show all objects again, into jobs of their own.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every job, print what would be done.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if a job failed.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do changed jobs again.")] = False,
    status: Annotated[Path | None, typer.Option(help="Print how the batch in a folder stands, and end.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each job that ends.")] = False,
) -> int:
    """Segment many videos; called again, go on where it stopped."""
    from rotoscope.batches.listing import read_jobs
    from rotoscope.batches.probing import takes_masks
    from rotoscope.batches.run import batch, cut_all
    from rotoscope.masks.writing import formats

    if status is not None:
        return _tell_status(status, as_json)
    if not source or output is None:
        raise InputError("give the videos and --output FOLDER, or --status FOLDER.")
    common = {"method": method, "direction": direction, "resize_masks": resize_masks}
    common["formats"] = tuple(formats(format or ["palette"]))
    common["options"] = session_options(size=size, others=option)
    jobs = read_jobs(source, masks, common, takes_masks)
    if dry_run:
        return _tell_checked(cut_all(jobs) if split else jobs, output, device, as_json)
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=err, disable=not err.is_terminal,
    ) as progress:  # fmt: skip
        watch = _watcher(progress, len(jobs), as_json)
        try:
            summary = batch(
                jobs,
                output,
                runner="processes" if ray is None else "ray",
                ray_address=ray or "local",
                workers=workers,
                threads=threads,
                cpus=cpus,
                gpus=gpus,
                device=device,
                precision=precision,
                retries=retries,
                state_every=state_every,
                overwrite=overwrite,
                split=split,
                on_look=watch,
            )
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted. What was finished is in {output}; the same command goes on from there."
            ) from None
    return _tell(summary, strict, as_json)


def _watcher(progress: Progress, count: int, as_json: bool) -> Callable[[Journal], None]:
    """What is called with the journal while the batch runs: moves the bar, prints a line for each job that ends."""
    task = progress.add_task("batch", total=count)
    told: list[int] = []

    def look(journal: Journal) -> None:
        counts = journal.counts()
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        description = f"batch ({counts['frames']} frames{failed})"
        progress.update(task, completed=counts["done"] + counts["failed"], description=description)
        if not told:  # what ended in an earlier call is not told again
            told.append(journal.ended())
        for row in journal.ended_after(told[0]):
            told[0] = row.ended
            facts = {"name": row.name, "state": row.state, "frames": row.frames, "seconds": row.seconds}
            if as_json:
                print_json(facts | {"reason": row.reason})
            elif row.state == "failed":
                warning_line(f"{row.name}: {row.reason}")
            else:
                err.print(f"{row.name}: {row.frames} frames in {row.seconds:.1f} s", markup=False)

    return look


def _tell(summary: Summary, strict: bool, as_json: bool) -> int:
    if as_json:
        print_json(summary.as_record())
    else:
        out.print(batch_table(summary))
    return 2 if strict and summary.failed else 0


def _tell_status(folder: Path, as_json: bool) -> int:
    from rotoscope.batches.run import rows_of, summarise

    summary = summarise(folder)
    if as_json:
        print_json(summary.as_record())
        return 0
    out.print(batch_table(summary))
    for row in rows_of(folder):
        if row.state == "claimed":
            out.print(f"{row.name}: {row.frames} frames so far, by {row.owner}", markup=False)
    return 0


def _tell_checked(jobs: list[BatchJob], output: Path, device: str, as_json: bool) -> int:
    from rotoscope.batches.probing import check_requests
    from rotoscope.batches.run import check_jobs
    from rotoscope.files import check_folder

    check_folder(output)
    check_requests(jobs)
    checked = list(check_jobs(jobs, output, device))
    if as_json:
        for one in checked:
            facts = {"name": one.job.name, "size": one.size, "frames": one.frames, "problem": one.problem}
            print_json(facts)
    else:
        out.print(checked_table(checked))
    return 2 if any(one.problem for one in checked) else 0


def batch_table(summary: Summary) -> Table:
    """How many videos of a batch are done, and why those that failed did."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    rate = f", {summary.frames / summary.seconds:.1f} frames a second" if summary.seconds else ""
    table.add_row("done", f"{summary.done} videos, {summary.frames} frames{rate}")
    if summary.open:
        table.add_row("to do", str(summary.open))
    if summary.failed:
        table.add_row("failed", str(summary.failed))
    for name, reason in list(summary.failures.items())[:20]:
        table.add_row("", Text(f"{name}: {reason}"))
    if len(summary.failures) > 20:
        table.add_row("", f"and {len(summary.failures) - 20} more; see batch.json")
    table.add_row("results", Text(str(summary.folder)))
    return table


def checked_table(checked: Sequence[Checked]) -> Table:
    """What each job of a batch would do, or what is wrong with it."""
    table = Table(box=None, pad_edge=False)
    for title in ("job", "size", "frames", "masks of frames", "method", "what is wrong"):
        table.add_column(title)
    for one in checked:
        size = f"{one.size[0]}x{one.size[1]}" if one.size else ""
        frames = str(one.frames) if one.frames is not None else "?" if one.size else ""
        masks = ", ".join(map(str, one.job.masks)) or ("of the data set" if one.job.dataset else "none")
        masks += f"; cut at {', '.join(map(str, one.job.cuts))}" if one.job.cuts else ""
        table.add_row(Text(one.job.name), size, frames, masks, Text(one.job.method), Text(one.problem or ""))
    return table
