"""What a page is made of: what a benchmark, an evaluation, an ablation or a segmentation left on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError, shown
from rotoscope.evaluation.evaluate import Averages, Evaluation
from rotoscope.evaluation.report import evaluation_of
from rotoscope.files import text_of
from rotoscope.methods import ablations
from rotoscope.methods.ablation import Ablation
from rotoscope.runs.report import Report

SCORES, TABLE, RUN = "scores.json", "results.json", "run.json"
"""Files that a benchmark (or ``evaluate --json``), an ablation and a segmentation leave."""


@dataclass(frozen=True)
class Scored:
    """Masks of a data set, and their scores.

    Attributes:
        name: what the page calls it: the method, or the folder where no method is known.
        place: the file that it was read from.
        evaluation: the scores by object.
        overall: the averages as they were written, T among them; shares in [0, 1], NaN for what was not measured.
        masks: the folder of the masks, a folder per sequence.
        facts: of the method: its weights and their hash, its options; empty where it is not known.
        speed: frames, seconds and memory; empty where nothing was timed.
        made_by: versions, machine, command.
    """

    name: str
    place: Path
    evaluation: Evaluation
    overall: Averages
    masks: Path
    facts: Mapping[str, Any]
    speed: Mapping[str, Any]
    made_by: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The data set's name, such as ``davis16``."""
        return self.evaluation.dataset.partition(":")[0]


@dataclass(frozen=True)
class TableRow:
    """A row of an ablation.

    Attributes:
        name: of the row.
        options: of its session.
        scores: J&F, J and F in percent, by data set and measure.
        values: ``fps``, ``read`` (seconds a frame), ``remembered`` and ``remembered_on_average`` (frames' worth of
            features); None where it was not measured.
        weights_sha256: of the weights that it was run with; None if not known.
    """

    name: str
    options: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]
    values: Mapping[str, float | None]
    weights_sha256: str | None

    @property
    def capacity(self) -> int | None:
        """M of the row's memory policy ``lfu:M``; None of another."""
        name, _, number = str(self.options.get("memory", "")).partition(":")
        return int(number) if name == "lfu" and number.isdecimal() else None


@dataclass(frozen=True)
class Tabled:
    """A table of the papers that was run.

    Attributes:
        name: what ``ablate`` calls it.
        place: the file that it was read from.
        ablation: the table as this version has it; None if it has none of that name.
        rows: as they were run.
        settings: of the recipe, for all rows; lines.
        scale: the share of the recipe's steps.
        made_by: versions, machine, command.
    """

    name: str
    place: Path
    ablation: Ablation | None
    rows: tuple[TableRow, ...]
    settings: tuple[str, ...]
    scale: float
    made_by: Mapping[str, Any]


@dataclass(frozen=True)
class Segmented:
    """One video that was segmented.

    Attributes:
        name: of the video.
        place: the file that it was read from; the masks stand beside it.
        identity: what was asked for: video, config, options, a code of the weights.
        report: what came of it.
        record: the report's record, with frames, seconds and memory.
        frames: the names of the frames that have masks, in order.
    """

    name: str
    place: Path
    identity: Mapping[str, Any]
    report: Report
    record: Mapping[str, Any]
    frames: tuple[str, ...]


Record = Scored | Tabled | Segmented


def open_records(places: Sequence[Path]) -> list[Record]:
    """Read what a page is to be made of; names that two would share get those of their folders.

    Raises:
        InputError: one of the places holds nothing of ours, is damaged, or is given twice.
    """
    files = [_file_of(place) for place in places]
    for number, file in enumerate(files):
        if file.resolve() in [other.resolve() for other in files[:number]]:
            raise InputError(f"{places[number]}: is given twice. Leave one out.")
    records = [open_record(file) for file in files]
    names = [record.name for record in records]
    return [
        replace(record, name=f"{record.name} ({record.place.resolve().parent.name})")
        if names.count(record.name) > 1
        else record
        for record in records
    ]


def open_record(file: Path) -> Record:
    """Read one file; what it is is told by what is in it.

    Raises:
        InputError: it is none of ours, or damaged.
    """
    text = text_of(file)
    if text is None:
        raise InputError(f"{file}: no such file.")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is no JSON ({shown(error, 80)}).") from None
    ways: dict[str, Callable[[Path, Any], Record]] = {"protocol": _scored, "rows": _tabled, "report": _segmented}
    way = next((way for key, way in ways.items() if isinstance(record, dict) and key in record), None)
    if way is None:
        raise InputError(f"{file}: holds neither scores, nor a table of ablate, nor a run of segment.")
    try:
        return way(file, record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file}: is damaged ({shown(repr(error), 80)}). Run it again.") from None
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _file_of(place: Path) -> Path:
    if not place.is_dir():
        return place
    files = [place / name for name in (SCORES, TABLE, RUN) if (place / name).is_file()]
    if len(files) == 1:
        return files[0]
    if files:
        raise InputError(f"{place}: holds {' and '.join(path.name for path in files)}. Give the one that is meant.")
    raise InputError(
        f"{place}: holds no {SCORES}, {TABLE} or {RUN}. Give a folder of benchmark, ablate or segment, or the file "
        "that evaluate --json wrote."
    )


def _scored(file: Path, record: dict[str, Any]) -> Scored:
    evaluation = evaluation_of(record)
    if not any(scores.frames for scores in evaluation.objects):
        raise ValueError("no frame is scored")
    facts, beside = _mapping(record.get("method", {})), file.parent / "masks"
    return Scored(
        str(facts.get("name") or Path(evaluation.results).name),
        file,
        evaluation,
        {str(name): _number(value) for name, value in record["overall"].items()},
        beside if facts and beside.is_dir() else Path(evaluation.results),
        facts,
        _mapping(record.get("speed", {})),
        _mapping(record["made_by"]),
    )


def _tabled(file: Path, record: dict[str, Any]) -> Tabled:
    rows = []
    for entry in record["rows"]:
        scores = {
            str(name): {str(measure): float(value) for measure, value in values.items()}
            for name, values in entry["scores"].items()
        }
        names = ("fps", "read", "remembered", "remembered_on_average")
        values = {name: None if entry.get(name) is None else float(entry[name]) for name in names}
        code = entry.get("weights_sha256")
        row = entry["row"]
        rows.append(TableRow(str(row["name"]), _mapping(row["options"]), scores, values, code and str(code)))
    if not rows:
        raise InputError("no row of the table is finished yet. Go on with ablate --resume.")
    name = str(record["table"])
    settings = tuple(str(line) for line in record["settings"])
    made_by = _mapping(record["made_by"])
    return Tabled(name, file, ablations().get(name), tuple(rows), settings, float(record["scale"]), made_by)


def _segmented(file: Path, record: dict[str, Any]) -> Segmented:
    identity, report = _mapping(record["run"]), _mapping(record["report"])
    names = tuple(str(name) for name in record["masks"])
    complete = {"look": {}, "absent": {}, **report}  # which runs of the first versions lack
    return Segmented(str(identity["video"]["name"]), file, identity, Report.of_finished(complete), report, names)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{shown(repr(value), 40)} is no record")
    return value


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
