"""Scores as JSON and CSV, and back."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rotoscope.datasets.sequences import TASKS
from rotoscope.errors import InputError, shown
from rotoscope.evaluation.evaluate import Averages, Evaluation, values_of
from rotoscope.evaluation.protocol import Protocol, known_protocols, protocol
from rotoscope.evaluation.scores import ObjectScores
from rotoscope.files import atomic_write, need_folder
from rotoscope.provenance import provenance


def as_record(evaluation: Evaluation, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything about an evaluation as plain values, with where it comes from."""
    how = evaluation.protocol
    return {
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "protocol": {
            "name": how.name,
            "task": how.task,
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
        "objects": [_object(scores) for scores in evaluation.objects],
        "problems": list(evaluation.problems),
        "warnings": list(evaluation.warnings),
        "made_by": provenance(),
    }


def evaluation_of(record: Mapping[str, Any]) -> Evaluation:
    """The evaluation that :func:`as_record` gave a record of, without T, of which a record holds only averages.

    Raises:
        InputError: it is none, or damaged; the message says what is wrong, and no more.
    """
    try:
        dataset, how = str(record["dataset"]), record["protocol"]
        protocol = _protocol_of(dataset.partition(":")[0], how)
        objects = [_object_of(entry) for entry in record["objects"]]
        counts: dict[str, int] = {}
        for entry in objects:
            counts[entry.sequence] = counts.get(entry.sequence, 0) + 1
        return Evaluation(
            dataset,
            str(record["split"]),
            protocol,
            str(record["results"]),
            tuple(o if o.instances else replace(o, instances=counts[o.sequence]) for o in objects),
            tuple(str(line) for line in record["problems"]),
            tuple(str(line) for line in record["warnings"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"these are no scores of ours ({shown(repr(error), 80)}).") from None


def _protocol_of(kind: str, how: Mapping[str, Any]) -> Protocol:
    """The protocol that a record names; records of the first versions do not say the task."""
    if "task" in how:
        tasks: Sequence[str] = [str(how["task"])]
    else:
        tasks = [t for t in TASKS if (kind, t) in known_protocols()]
    name = str(how["name"]).partition(", frames=")[0]
    made = [protocol(kind, task, str(how["frames"])) for task in tasks if (kind, task) in known_protocols()]
    known = next((p for p in made if p.name.partition(", frames=")[0] == name), None)
    if known is None:
        raise ValueError(f"no protocol {name!r} of {kind!r}")
    return replace(known, measures=tuple(m for m in known.measures if m in ("J", "F")))


def _object_of(entry: Mapping[str, Any]) -> ObjectScores:
    j, f = (tuple(float(value) for value in entry[name]) for name in ("J", "F"))
    frames = tuple(str(name) for name in entry["frames"])
    if not len(j) == len(f) == len(frames):
        raise ValueError("values and frames differ in number")
    area = entry.get("area")
    return ObjectScores(
        sequence=str(entry["sequence"]),
        object_id=int(entry["id"]),
        category=entry["category"],
        seen=entry["seen"],
        instances=int(entry.get("instances", 0)),
        proposal=entry["proposal"],
        frames=frames,
        j=j,
        f=f,
        area=float("nan") if area is None else float(area),
    )


def write_json(evaluation: Evaluation, path: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write the record of an evaluation."""
    need_folder(path.parent)
    with atomic_write(path) as whole:
        whole.write_text(json.dumps(as_record(evaluation, extra), indent=1), encoding="utf-8")


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """Write a line per object, and one for all."""
    columns = ("J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay", "T")
    need_folder(path.parent)
    with atomic_write(path) as whole, whole.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("sequence", "object", "category", "proposal", *columns))
        for scores in evaluation.objects:
            values = values_of(scores)
            row = [_number(values[column]) for column in columns]
            writer.writerow((scores.sequence, scores.object_id, scores.category or "", scores.proposal or "", *row))
        overall = evaluation.overall()
        writer.writerow(("all", "", "", "", *(_number(overall.get(column, float("nan"))) for column in columns)))


def _object(scores: ObjectScores) -> dict[str, Any]:
    return {
        "sequence": scores.sequence,
        "id": scores.object_id,
        "category": scores.category,
        "seen": scores.seen,
        "instances": scores.instances,
        "area": None if np.isnan(scores.area) else scores.area,
        "proposal": scores.proposal,
        **_plain(values_of(scores)),
        "frames": list(scores.frames),
        "J": [round(value, 8) for value in scores.j],
        "F": [round(value, 8) for value in scores.f],
    }


def _plain(values: Averages) -> dict[str, float | None]:
    """NaN is not JSON: None stands for what could not be measured."""
    return {name: None if value != value else value for name, value in values.items()}


def _number(value: float) -> str:
    return "" if value != value else f"{value:.6f}"
