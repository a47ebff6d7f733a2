"""The log of a run: a CSV file and TensorBoard events."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rotoscope.training.loop import Progress

LOG = "log.csv"
PARTS = (
    "cross_entropy",
    "dice",
    "correspondence",
    "soft_iou",
    "entropy",
    "empty",
    "main",
    "auxiliary",
    "global",
    "distance",
    "scores",
)
COLUMNS = ("step", "loss", *PARTS, "rate", "seconds", "validation_j", "dataset_j")


class TrainingLog:
    """Writes lines; what an interrupted run wrote after its checkpoint is dropped first.

    Args:
        folder: of the run.
        step: that the run goes on from.
        writes: whether this process is the one that writes.
    """

    def __init__(self, folder: Path, step: int, writes: bool = True) -> None:
        self.folder = folder
        self.step = step
        self.writes = writes

    def __enter__(self) -> TrainingLog:
        if self.writes:
            from torch.utils.tensorboard import SummaryWriter

            path = self.folder / LOG
            _truncate(path, self.step)
            self._file = path.open("a", newline="")
            self._columns = _header(path) or COLUMNS  # a run begun by an older version keeps its columns
            self._csv = csv.DictWriter(self._file, self._columns, extrasaction="ignore", lineterminator="\n")
            if self._file.tell() == 0:
                self._csv.writeheader()
            self._board: Any = SummaryWriter(str(self.folder / "events"), purge_step=self.step)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.writes:
            self._file.close()
            self._board.close()

    def write(self, line: Progress) -> None:
        """Write a line."""
        if not self.writes:
            return
        scores = {"validation_j": line.validation_j, "dataset_j": line.dataset_j}
        self._csv.writerow(
            {
                "step": line.step,
                "loss": f"{line.loss:.5f}",
                **{name: f"{line.parts.get(name, float('nan')):.5f}" for name in PARTS},
                "rate": f"{line.rate:.3g}",
                "seconds": f"{line.seconds:.3f}",
                **{name: "" if score is None else f"{score:.4f}" for name, score in scores.items()},
            }
        )
        self._file.flush()
        self._board.add_scalar("train/loss", line.loss, line.step)
        for name, value in line.parts.items():
            self._board.add_scalar(f"train/{name}", value, line.step)
        self._board.add_scalar("train/rate", line.rate, line.step)
        for name, score in (("validation/J", line.validation_j), ("validation/data set", line.dataset_j)):
            if score is not None:
                self._board.add_scalar(name, score, line.step)


def _header(path: Path) -> list[str]:
    """Columns of a log that is there."""
    if not path.exists():
        return []
    with path.open(newline="") as handle:
        return next(csv.reader(handle), [])


def _truncate(path: Path, step: int) -> None:
    """Drop lines after ``step``, which the resumed run writes again."""
    if not path.exists():
        return
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle))
    kept = [row for row in rows if row and (row[0] == "step" or int(row[0]) <= step)]
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(kept)
