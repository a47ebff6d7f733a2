"""What commands print, and how."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rotoscope.running import Report

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def error_line(text: str) -> None:
    """One line on standard error."""
    print(f"rotoscope: error: {' '.join(text.split())}", file=sys.stderr)


class _Rate(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f} frames/s")


class Meter:
    """Counts frames."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def step(self, _: Any = None) -> None:
        """One frame more."""
        self._progress.advance(self._task)


@contextmanager
def meter(name: str, total: int | None) -> Iterator[Meter]:
    """A progress bar on standard error; silent where that is not a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        yield Meter(progress, progress.add_task(name, total=total))


def show_report(report: Report) -> None:
    """Print the table at the end of a run, and where the masks are."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    rate = report.frames / report.wall if report.wall else 0.0
    resumed = f" (resumed at frame {report.resumed_at})" if report.resumed_at is not None else ""
    table.add_row("frames", f"{report.frames}{resumed}, {rate:.1f} per second, {report.size[0]}x{report.size[1]}")
    shown = ", ".join(f"{i} ({report.confidence[i]:.2f})" for i in report.objects[:12])
    more = f" and {len(report.objects) - 12} more" if len(report.objects) > 12 else ""
    table.add_row("objects", f"{shown}{more}   id (mean confidence)" if report.objects else "none")
    for object_id, frames in report.unsure.items():
        where = f"first {min(frames)}, last {max(frames)}"
        table.add_row("unsure", f"object {object_id} on {len(frames)} frame(s): {where}; see run.json, or correct one")
    for part, seconds in report.seconds.items():
        table.add_row(part, f"{seconds / max(report.frames, 1):.4f} s a frame")
    table.add_row("peak memory", f"{report.peak_memory / 2**20:.0f} MiB")
    out.print(table)
    out.print(f"[bold]masks[/bold] {report.folder}")  # not in the table, which would break a long path
