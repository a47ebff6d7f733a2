"""What commands print, and how."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from rotoscope.cli.tables import report_table
from rotoscope.errors import RotoscopeError, printable, shown

if TYPE_CHECKING:
    from rotoscope.runs.report import Report


class Screen(Console):
    """Where texts are printed as they are, in lines and in tables: names of files and what stands in them may be odd.

    Nothing is markup (``[bold]``) or an emoji's code (``:cat:``), and control characters are spelled out, line ends
    among them, so that no name can move the cursor, change colours or look like a line of ours.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, soft_wrap=True, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Everything that is given as text comes through here: lines, and the cells and titles of tables."""
        return super().render_str(printable(text), **how)


out = Screen(width=None if sys.stdout.isatty() else 160)
"""Where results go; wide where it is a file or a pipe, so that tables keep their lines."""
err = Screen(stderr=True)


def error_line(text: str) -> None:
    """One line on standard error."""
    err.print(f"rotoscope: error: {shown(text, None)}")


def warning_line(text: str) -> None:
    """One line on standard error that does not make the command fail."""
    err.print(f"rotoscope: warning: {shown(text, None)}")


def print_json(record: Any) -> None:
    """A record for programs, on one line of standard output; JSON spells out what is not ASCII."""
    print(json.dumps(record), flush=True)


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
            err.print(f"{self._name}: {self.count}{self._of} frames, {rate:.1f} frames/s")


@contextmanager
def meter(name: str, total: int | None) -> Iterator[Meter]:
    """A progress bar on standard error; plain lines where that is not a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        yield Meter(progress, progress.add_task(printable(name), total=total), name, total)


def show_report(report: Report) -> None:
    """Print the table at the end of a run, and where the masks are."""
    out.print(report_table(report))
    out.print(
        Text.assemble(("masks", "bold"), " ", printable(report.folder))
    )  # not in the table, which would break a long path
