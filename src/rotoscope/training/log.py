"""The log of a run: a CSV file and TensorBoard events."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rotoscope.files import atomic_write, inside

LOG = "log.csv"
FIRST, LAST = ("step", "loss"), ("rate", "seconds", "validation_j", "dataset_j")
"""Columns of every log; between them stand the parts of the loss."""


@dataclass(frozen=True)
class Progress:
    """One line of the log.

    Attributes:
        step: how many steps have been taken.
        loss: the mean loss of the steps since the line before.
        parts: the same of the parts of the loss, by the names that the clip loss gives them.
        rate: the learning rate of the last step.
        seconds: how long a step took, the mean since the line before.
        validation_j: J in [0, 1] on synthetic clips; None on lines without validation.
        dataset_j: J in [0, 1] on the data set given for validation; None without.
    """

    step: int
    loss: float
    parts: dict[str, float]
    rate: float
    seconds: float
    validation_j: float | None
    dataset_j: float | None = None


class TrainingLog:
    """Writes lines; what an interrupted run wrote after its checkpoint is dropped first.

    The table has a column for each part that the loss has returned so far. Stages may differ in that: a part that is
    new gets a column in front of the rate, which is empty in the lines before.

    Args:
        folder: the folder of the run.
        step: the step that the run goes on from.
        writes: whether this process is the one that writes.
    """

    def __init__(self, folder: Path, step: int, writes: bool = True) -> None:
        self.folder = folder
        self.step = step
        self.writes = writes
        self.path = inside(folder, LOG)

    def __enter__(self) -> TrainingLog:
        if self.writes:
            from torch.utils.tensorboard import SummaryWriter

            _truncate(self.path, self.step)
            self._columns = _header(self.path)
            self._board: Any = SummaryWriter(str(inside(self.folder, "events")), purge_step=self.step)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.writes:
            self._board.close()

    def write(self, line: Progress) -> None:
        """Write a line."""
        if not self.writes:
            return
        self._make_columns(line.parts)
        scores = {"validation_j": line.validation_j, "dataset_j": line.dataset_j}
        row = {
            "step": line.step,
            "loss": f"{line.loss:.5f}",
            **{name: f"{value:.5f}" for name, value in line.parts.items()},
            "rate": f"{line.rate:.3g}",
            "seconds": f"{line.seconds:.3f}",
            **{name: "" if score is None else f"{score:.4f}" for name, score in scores.items()},
        }
        with self.path.open("a", newline="") as handle:
            csv.DictWriter(handle, self._columns, restval="", lineterminator="\n").writerow(row)
        self._board.add_scalar("train/loss", line.loss, line.step)
        for name, value in line.parts.items():
            self._board.add_scalar(f"train/{name}", value, line.step)
        self._board.add_scalar("train/rate", line.rate, line.step)
        for name, score in (("validation/J", line.validation_j), ("validation/data set", line.dataset_j)):
            if score is not None:
                self._board.add_scalar(name, score, line.step)

    def _make_columns(self, parts: Iterable[str]) -> None:
        """Begin the table, or give it the columns that it lacks."""
        inner = [name for name in self._columns if name not in (*FIRST, *LAST)]
        wanted = [*FIRST, *inner, *(name for name in parts if name not in inner), *LAST]
        if wanted == self._columns:
            return
        rows = []
        if self._columns:
            with self.path.open(newline="") as handle:
                rows = list(csv.DictReader(handle))
        with atomic_write(self.path) as temporary, temporary.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, wanted, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._columns = wanted


def _header(path: Path) -> list[str]:
    """Columns of a log that is there; none of one that is not."""
    if not path.exists():
        return []
    with path.open(newline="") as handle:
        return next(csv.reader(handle), [])


def _truncate(path: Path, step: int) -> None:
    """Drop lines after ``step``, which the resumed run writes again, and one that a kill cut in two."""
    if not path.exists():
        return
    with path.open(newline="") as handle:
        rows = list(csv.reader(line for line in handle if line.endswith("\n")))
    kept = [row for row in rows if row and (row[0] == "step" or int(row[0]) <= step)]
    with atomic_write(path) as temporary, temporary.open("w", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows(kept)
