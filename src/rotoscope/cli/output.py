"""What commands print, and how."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rotoscope.errors import RotoscopeError

if TYPE_CHECKING:
    from rotoscope.running import Report

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
"""Where results go; wide where it is a file or a pipe, so that tables keep their lines."""
err = Console(stderr=True, highlight=False, soft_wrap=True)


def error_line(text: str) -> None:
    """One line on standard error."""
    print(f"rotoscope: error: {' '.join(text.split())}", file=sys.stderr)


def warning_line(text: str) -> None:
    """One line on standard error that does not make the command fail."""
    print(f"rotoscope: warning: {' '.join(text.split())}", file=sys.stderr)


class _Rate(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f} frames/s")


class InterruptedRunError(RotoscopeError):
    """Ctrl-C, with what it means for this command."""

    exit_code = 130


class Meter:
    """Counts frames: in the bar of a terminal, else in a plain line every :attr:`PAUSE` seconds."""

    PAUSE = 30.0

    def __init__(self, progress: Progress, task: Any, name: str, total: int | None) -> None:
        self.count = 0
        self._progress = progress
        self._task = task
        self._name = name
        self._of = f"/{total}" if total is not None else ""
        self._begun = self._said = time.monotonic()

    def step(self, _: Any = None) -> None:
        """One frame more."""
        self.count += 1
        self._progress.advance(self._task)
        now = time.monotonic()
        if self._progress.disable and now - self._said >= self.PAUSE:
            self._said = now
            rate = self.count / (now - self._begun)
            print(f"{self._name}: {self.count}{self._of} frames, {rate:.1f} frames/s", file=sys.stderr, flush=True)


@contextmanager
def meter(name: str, total: int | None) -> Iterator[Meter]:
    """A progress bar on standard error; plain lines where that is not a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        yield Meter(progress, progress.add_task(name, total=total), name, total)


def show_report(report: Report) -> None:
    """Print the table at the end of a run, and where the masks are."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    size = f"{report.size[0]}x{report.size[1]}"
    if report.wall:
        resumed = f" (resumed at frame {report.resumed_at})" if report.resumed_at is not None else ""
        table.add_row("frames", f"{report.frames}{resumed}, {report.frames / report.wall:.1f} per second, {size}")
    else:
        table.add_row("frames", f"none left to do, the run had finished; {size}")
    shown = ", ".join(f"{i} ({report.confidence[i]:.2f})" for i in report.objects[:12])
    more = f" and {len(report.objects) - 12} more" if len(report.objects) > 12 else ""
    table.add_row("objects", f"{shown}{more}   id (mean confidence)" if report.objects else "none")
    for object_id, frames in report.unsure.items():
        where = f"first {min(frames)}, last {max(frames)}"
        table.add_row("unsure", f"object {object_id} on {len(frames)} frame(s): {where}; see run.json, or correct one")
    for note in report.notes:
        table.add_row("note", note)
    for part, seconds in report.seconds.items():
        table.add_row(part, f"{seconds / max(report.frames, 1):.4f} s a frame")
    if report.peak_memory:
        table.add_row("peak memory", f"{report.peak_memory / 2**20:.0f} MiB")
    out.print(table)
    out.print(f"[bold]masks[/bold] {report.folder}")  # not in the table, which would break a long path
