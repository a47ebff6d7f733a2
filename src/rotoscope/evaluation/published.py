"""Figures that the papers published, with their protocol and source, to set beside ours.

They stand in ``published.json``, table by table, as printed, also where a cell cannot be right: such cells are marked
with the reason. A figure of another split, another training set or another machine is not comparable; each row says
what it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

from rotoscope.evaluation.evaluate import Averages, Evaluation

SOURCES = {
    "stcn-readme": "Cheng et al., STCN (NeurIPS 2021), as its authors report for their released weights",
    "thesis": "thesis on adaptive memory management for STCN",
    "cosnet": "Lu et al., See More, Know More (COSNet), CVPR 2019",
    "cosnet-later": "a later version of COSNet by its authors, not of CVPR 2019",
    "rvos": "Ventura et al., RVOS, CVPR 2019",
    "rvos-report": "a user's report, issue 15 of the repository of RVOS's authors",
    "agame": "Johnander et al., A-GAME, CVPR 2019",
    "capsulevos": "Duarte et al., CapsuleVOS, ICCV 2019",
    "giel": "Ge et al., Global and Instance Embedding Learning (GIEL), CVPR 2021",
}
"""What sources are called in the data."""
METHODS = {"thesis": "stcn", "stcn-readme": "stcn", "cosnet-later": "cosnet", "rvos-report": "rvos"}
"""Our name of the method that a source presents, where it is another than the source's."""

COLUMNS = (
    "G",
    "J seen",
    "J unseen",
    "F seen",
    "F unseen",
    "J&F",
    "J mean",
    "J recall",
    "J decay",
    "F mean",
    "F recall",
    "F decay",
    "T",
    "J mean over categories",
    "fps",
    "seconds per frame",
    "frames in memory",
)
"""Columns that an evaluation or a benchmark of ours has too, in the order shown; in percent but for the last three."""
MILLISECONDS = "ms per frame"

ALIASES = {"aeroplane": "airplane", "motorcycle": "motorbike"}
"""Categories that a data set's folders call otherwise than a paper does."""

Level = Literal["overall", "objects", "categories", "instances", "text"]


@dataclass(frozen=True)
class Figure:
    """A row of a published table, or ours.

    Attributes:
        method: as we name it; of others that a paper quotes, as the paper does.
        variant: the row's name; empty for ours.
        kind, split, task: the data set and how it was used.
        values: by column, in the table's unit.
        source: where it stands: a key of :data:`SOURCES` and what the table is called there.
        note: what to know before comparing, of the table and of the row.
        own: the part of it that is the row's.
        suspect: columns whose values cannot be right as printed, or contradict others, and why.
    """

    method: str
    variant: str
    kind: str
    split: str
    task: str
    values: dict[str, float]
    source: str
    note: str = ""
    own: str = ""
    suspect: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedTable:
    """A table as a source prints it, on one data set.

    Attributes:
        id: source and number, such as ``thesis:1``; a table on several data sets is several with one id.
        source: a key of :data:`SOURCES`.
        label: what the source calls it.
        kind, split, task: as of :class:`Figure`.
        protocol: what else it says of how it was made.
        level: what a row is of: a method on the whole set (``overall``) or on videos with so many objects
            (``instances``), or an object; ``categories`` are columns. ``text`` holds differences that the text names.
        unit: of the values, but for columns that name their own: percent, share, ….
        columns: as printed.
        rows: by name; a name may come twice.
        notes: what to know of the whole table.
    """

    id: str
    source: str
    label: str
    kind: str
    split: str
    task: str
    protocol: str
    level: Level
    unit: str
    columns: tuple[str, ...]
    rows: tuple[Figure, ...]
    notes: str

    @property
    def short(self) -> str:
        """Source and number, in short."""
        return f"{self.source} {self.label}"

    def row(self, *names: str) -> Figure | None:
        """The first row of one of some names; None if there is none."""
        return next((row for row in self.rows if row.variant in names), None)


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """All tables, in the order of the data file."""
    text = resources.files("rotoscope.evaluation").joinpath("published.json").read_text(encoding="utf-8")
    return tuple(_table(record) for record in json.loads(text))


def _table(record: dict[str, Any]) -> PublishedTable:
    source, columns = record["source"], tuple(record["columns"])
    place = (record["dataset"], record["split"], record["task"])
    where = f"{source} {record['label']}"
    rows = []
    for name, own, note, *values in record["rows"]:
        suspect = {
            column: why + (f"; by its parts {expected[0]}" if expected else "")
            for row, column, why, *expected in record["suspect"]
            if row == name
        }
        said = "; ".join(part for part in (record["protocol"], note) if part)
        figures = {column: value for column, value in zip(columns, values, strict=True) if value is not None}
        method = METHODS.get(source, source) if own else "quoted"
        rows.append(Figure(method, name, *place, figures, where, said, note, suspect))
    return PublishedTable(
        record["id"],
        source,
        record["label"],
        *place,
        record["protocol"],
        record["level"],
        record["unit"],
        columns,
        tuple(rows),
        record["notes"],
    )


def tables(
    kind: str, task: str | None = None, split: str | None = None, level: Level = "overall"
) -> list[PublishedTable]:
    """Published tables of a data set, and of a task and a split if they are given."""
    return [
        table
        for table in published_tables()
        if table.kind == kind and table.level == level and task in (None, table.task) and split in (None, table.split)
    ]


def figures(kind: str, task: str | None = None, split: str | None = None) -> list[Figure]:
    """Rows of the tables of a data set that have a column of ours."""
    known = tables(kind, task, split)
    rows = [_in_our_columns(row) for table in known for row in table.rows]
    return [row for row in rows if any(column in row.values for column in COLUMNS)]


def _in_our_columns(row: Figure) -> Figure:
    """A row whose milliseconds a frame are seconds, as we print them."""
    if MILLISECONDS not in row.values:
        return row
    rest = {column: value for column, value in row.values.items() if column != MILLISECONDS}
    return replace(row, values=rest | {"seconds per frame": row.values[MILLISECONDS] / 1000})


def find_tables(identity: str) -> list[PublishedTable]:
    """All tables of an id, one for each data set.

    Raises:
        KeyError: there is none.
    """
    matching = [table for table in published_tables() if table.id == identity]
    if not matching:
        raise KeyError(identity)
    return matching


def comparable(kind: str, task: str, split: str) -> list[Figure]:
    """Figures of a data set and task: of a split, or, where it is not known or no paper has it, of all."""
    return (figures(kind, task, split) if split else []) or figures(kind, task)


def comparison(evaluation: Evaluation, name: str = "here", measured: Averages | None = None) -> list[Figure]:
    """Our averages as a figure, and behind it those of the papers for the same data set, split and task.

    Args:
        evaluation: ours. Where no paper has figures of its split, those of other splits are given.
        name: of our row.
        measured: further values of ours in the papers' units, such as ``fps``.
    """
    kind, task = evaluation.dataset.partition(":")[0], evaluation.protocol.task
    ours = {column: 100 * value for column, value in evaluation.overall().items()} | (measured or {})
    where = f"{evaluation.protocol.name}, {len({o.sequence for o in evaluation.objects})} sequence(s)"
    theirs = comparable(kind, task, evaluation.split)
    return [Figure(name, "", kind, evaluation.split, task, ours, where), *theirs]


def columns_of(compared: Sequence[Figure]) -> list[str]:
    """What to show of figures of which the first is ours: what any paper prints, or else all that ours has."""
    ours, *theirs = compared
    shown = [c for c in COLUMNS if any(c in figure.values for figure in theirs)]
    return shown or [c for c in COLUMNS if c in ours.values]


@dataclass(frozen=True)
class Breakdown:
    """Ours beside a source's, group by group: by object, by category, by number of objects.

    Attributes:
        title: what is compared.
        first: heads the column of the groups' names.
        columns: heads the others; the first are ours, in percent, the others as printed.
        rows: names and values; None where a source, or we, have none.
        marks: cells, as row and column, that cannot be right as printed, and why.
    """

    title: str
    first: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    marks: dict[tuple[str, str], str] = field(default_factory=dict)

    def mark(self, row: str, column: str) -> str:
        """``?`` for a cell that cannot be right as printed, else nothing."""
        return "?" if (row, column) in self.marks else ""


def breakdowns(evaluation: Evaluation) -> list[Breakdown]:
    """What papers print by object, category or number of objects, beside ours; only groups that ours has."""
    kind, task, split = evaluation.dataset.partition(":")[0], evaluation.protocol.task, evaluation.split
    made = []
    objects = {f"{o.sequence} {o.object_id}": (o.region.mean, o.contour.mean) for o in evaluation.objects}
    by_object = _by_row("by object", "object", objects, tables(kind, task, split, "objects"))
    instances = {
        f"{count} object{'s' * (count != '1')}": (values["J mean"], values["F mean"])
        for count, values in evaluation.by_instances()
    }
    by_instances = _by_row(
        "by number of objects in the video", "objects", instances, tables(kind, task, split, "instances")
    )
    made += [breakdown for breakdown in (by_object, by_instances) if breakdown.rows]
    categories = {
        ALIASES.get(name.lower(), name.lower()): values["J mean"] for name, values in evaluation.by_category()
    }
    for table in tables(kind, task, level="categories"):
        rows = tuple(
            (column, (100 * categories[column.lower()], *(row.values.get(column) for row in table.rows)))
            for column in table.columns
            if column.lower() in categories
        )
        marks = {(c, row.variant): why for row in table.rows for c, why in row.suspect.items()}
        names = ("J here", *(row.variant for row in table.rows))
        made += [Breakdown(f"J by category; {table.short}", "category", names, rows, marks)] if rows else []
    return made


def _by_row(
    title: str, first: str, ours: dict[str, tuple[float, float]], theirs: Sequence[PublishedTable]
) -> Breakdown:
    """Groups that are rows of the sources' tables."""
    columns = [(number, column) for number, table in enumerate(theirs) for column in table.columns]
    heads = tuple(f"{theirs[number].short}: {column}" for number, column in columns)
    rows: list[tuple[str, tuple[float | None, ...]]] = []
    for name, (j, f) in ours.items() if theirs else ():
        figures = [table.row(name) for table in theirs]
        cells = [row.values.get(column) if (row := figures[number]) is not None else None for number, column in columns]
        if any(cell is not None for cell in cells):
            rows.append((name, (100 * j, 100 * f, *cells)))
    where = ", ".join(SOURCES[source] for source in dict.fromkeys(table.source for table in theirs))
    unit = f"; theirs in {theirs[0].unit}s" if theirs and theirs[0].unit == "share" else ""
    return Breakdown(f"{title}; {where}{unit}", first, ("J here", "F here", *heads), tuple(rows))
