"""Scores as JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rotoscope.evaluation.evaluate import Averages, Evaluation, values_of
from rotoscope.evaluation.scores import ObjectScores
from rotoscope.files import atomic_write
from rotoscope.provenance import provenance


def as_record(evaluation: Evaluation, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything about an evaluation as plain values, with where it comes from."""
    how = evaluation.protocol
    return {
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "protocol": {
            "name": how.name,
            "description": how.describe(),
            "frames": how.frames,
            "matching": how.matching,
            "merged": how.merged,
            "measures": list(how.measures),
        },
        "results": evaluation.results,
        **(extra or {}),
        "overall": _plain(evaluation.overall()),
        "sequences": {name: _plain(values) for name, values in evaluation.by_sequence()},
        "objects": [_object(found) for found in evaluation.objects],
        "problems": list(evaluation.problems),
        "warnings": list(evaluation.warnings),
        "made_by": provenance(),
    }


def write_json(evaluation: Evaluation, path: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write the record of an evaluation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as whole:
        whole.write_text(json.dumps(as_record(evaluation, extra), indent=1), encoding="utf-8")


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """Write a line per object, and one for all."""
    columns = ("J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay", "T")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as whole, whole.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("sequence", "object", "category", "proposal", *columns))
        for found in evaluation.objects:
            values = values_of(found)
            row = [_number(values[column]) for column in columns]
            writer.writerow((found.sequence, found.object_id, found.category or "", found.proposal or "", *row))
        overall = evaluation.overall()
        writer.writerow(("all", "", "", "", *(_number(overall.get(column, float("nan"))) for column in columns)))


def _object(found: ObjectScores) -> dict[str, Any]:
    return {
        "sequence": found.sequence,
        "id": found.object_id,
        "category": found.category,
        "seen": found.seen,
        "proposal": found.proposal,
        **_plain(values_of(found)),
        "frames": list(found.frames),
        "J": [round(value, 8) for value in found.j],
        "F": [round(value, 8) for value in found.f],
    }


def _plain(values: Averages) -> dict[str, float | None]:
    """NaN is not JSON: None stands for what could not be measured."""
    return {name: None if value != value else value for name, value in values.items()}


def _number(value: float) -> str:
    return "" if value != value else f"{value:.6f}"
