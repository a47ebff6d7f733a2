"""The table of a run has a column for each part of the loss, whatever the method calls them."""

from __future__ import annotations

import csv
from pathlib import Path

from rotoscope.training.log import LOG, Progress, TrainingLog


def line(step: int, **parts: float) -> Progress:
    return Progress(step, 0.5, parts, 1e-3, 0.1, None)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / LOG).open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_columns_come_from_what_the_loss_returns(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, 0) as log:
        log.write(line(1, main=0.25))
        log.write(line(2, main=0.125, zoom=2.0))
        log.write(line(3, zoom=1.0))
    assert list(rows(tmp_path)[0]) == ["step", "loss", "main", "zoom", "rate", "seconds", "validation_j", "dataset_j"]
    assert [row["main"] for row in rows(tmp_path)] == ["0.25000", "0.12500", ""]
    assert [row["zoom"] for row in rows(tmp_path)] == ["", "2.00000", "1.00000"]


def test_lines_after_the_checkpoint_are_written_again(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, 0) as log:
        for step in (1, 2, 3):
            log.write(line(step, main=float(step)))
    with TrainingLog(tmp_path, 1) as log:
        log.write(line(2, main=5.0, extra=6.0))
    assert [(row["step"], row["main"], row["extra"]) for row in rows(tmp_path)] == [
        ("1", "1.00000", ""),
        ("2", "5.00000", "6.00000"),
    ]


def test_another_process_writes_nothing(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, 0, writes=False) as log:
        log.write(line(1, main=1.0))
    assert not list(tmp_path.iterdir())
