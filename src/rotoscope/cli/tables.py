"""What commands print as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rotoscope.evaluation.evaluate import Averages, Evaluation
    from rotoscope.evaluation.published import Breakdown, Figure, PublishedTable
    from rotoscope.experiments.ablate import RowResult
    from rotoscope.experiments.speed import SpeedTable
    from rotoscope.methods.ablation import Ablation
    from rotoscope.runs.report import Report
    from rotoscope.weights import Entry

SHOWN = {"J&F": "J&F", "J mean": "J", "J recall": "recall", "J decay": "decay", "F mean": "F", "F recall": "recall",
         "F decay": "decay", "T": "T", "J&Ḟ": "J&Ḟ", "Ḟ mean": "Ḟ", "J&Ḟ away": "J&Ḟ away",
         "J&Ḟ back": "J&Ḟ back"}  # fmt: skip
"""Averages of an evaluation, with their headings."""
SPANS = 6
"""Spans of frames that a line shows."""


def report_table(report: Report) -> Table:
    """What a run did: frames, objects, where it was unsure, time by part, memory."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    size, measured = f"{report.size[0]}x{report.size[1]}", report.measured
    if measured.wall:
        resumed = f" (resumed at frame {report.resumed_at})" if report.resumed_at is not None else ""
        table.add_row("frames", f"{measured.frames}{resumed}, {measured.rate:.1f} per second, {size}")
    else:
        table.add_row("frames", f"none left to do, the run had finished; {size}")
    shown = ", ".join(f"{i} ({report.confidence[i]:.2f})" for i in report.objects[:12])
    more = f" and {len(report.objects) - 12} more" if len(report.objects) > 12 else ""
    table.add_row("objects", f"{shown}{more}   id (mean confidence)" if report.objects else "none")
    for line in look_lines(report):
        table.add_row("look at", line)
    for object_id, frames in report.absent.items():
        table.add_row("absent", f"object {object_id} on {len(frames)} frame(s): {_some(frames)}")
    for note in report.notes:
        table.add_row("note", note)
    for part, seconds in measured.parts_per_frame.items():
        table.add_row(part, f"{seconds:.4f} s a frame")
    if measured.peak:
        table.add_row("peak memory", _mebibytes(measured.peak))
    return table


def look_lines(report: Report) -> list[str]:
    """The frames to look at, a line for each object."""
    lines = []
    for object_id, by_reason in report.look.items():
        shown = "; ".join(f"{reason} on {_some(frames)}" for reason, frames in by_reason.items())
        lines.append(f"object {object_id}: {shown}")
    return lines


def spans(frames: Collection[int]) -> list[str]:
    """Numbers of frames for a person: ``3``, ``7 to 12``."""
    runs: list[list[int]] = []
    for index in sorted(frames):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return [str(first) if first == last else f"{first} to {last}" for first, last in runs]


def _some(frames: Collection[int]) -> str:
    """Numbers of frames, the first spans of many."""
    ranges = spans(frames)
    return ", ".join(ranges[:SPANS]) + (f" and {len(ranges) - SPANS} more, see run.json" if len(ranges) > SPANS else "")


def methods_table(entries: Sequence[Entry], long: bool = False) -> Table:
    """What can be loaded by name: by task, then what is at hand, then the quickest; ``long`` says where each fails."""
    titles = ["name", "weights", "frames/s", "what it is"] + (["parameters", "where it fails"] if long else [])
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title in ("name", "weights"))
    order = sorted(entries, key=lambda e: (e.task != entries[0].task, _weights_of(e) != "built in", -(e.speed or 0)))
    task = ""
    for entry in order:
        if entry.task.partition(":")[0] != task:
            task = entry.task.partition(":")[0]
            table.add_row(Text(task, style="bold"))
        speed = "-" if entry.speed is None else f"{entry.speed:g}"
        more = [f"{entry.parameters:.1f} M", entry.limits] if long else []
        table.add_row(entry.name, _weights_of(entry), speed, entry.summary, *more)
    return table


def _weights_of(entry: Entry) -> str:
    """Where the weights of a name come from."""
    from rotoscope.weights.released import RELEASED
    from rotoscope.weights.store import RECORD, home_of

    if entry.file:
        return "built in"
    if (home_of(entry.name) / RECORD).is_file():
        return "fetched"
    return "rotoscope fetch" if entry.name in RELEASED else "train it"


def speed_table(times: SpeedTable, threads: int) -> Table:
    """Seconds a frame by part, exact and fast, and what a further object costs."""
    table = Table(title=f"{times.method}, 854x480, {threads} threads, seconds per frame", box=None)
    parts = list(times.rows[0][2].parts)
    for title in ("precision", "objects", "frames/s", "in all", *parts, "peak memory"):
        table.add_column(title, justify="right")
    for precision, objects, measured in times.rows:
        cells = [f"{measured.parts_per_frame.get(part, 0.0):.4f}" for part in parts]
        whole = (f"{measured.rate:.2f}", f"{measured.per_frame:.4f}")
        table.add_row(precision, str(objects), *whole, *cells, _mebibytes(measured.peak))
    if times.alone:
        each = ", ".join(f"{1e3 * times.per_object(name):.1f} ms {name}" for name in times.alone)
        together = ", ".join(f"{times.together(name):.2f} times as fast {name}" for name in times.alone)
        most = max(objects for _, objects, _ in times.rows)
        table.caption = (
            f"each further object: {each}; {most} objects together against each in a session of its own, "
            f"one after another: {together}"
        )
    return table


def ablation_table(ablation: Ablation, results: Sequence[RowResult]) -> Table:
    """Results of a table's rows, with the frames' worth of features kept on average and at most.

    What its sources print is in :func:`published_rows`.
    """
    table = Table(title=ablation.title, title_justify="left", box=None)
    table.add_column("")
    names = list(dict.fromkeys(name for result in results for name in result.scores))
    titles = [f"{name} {measure}" for name in names for measure in ("J&F", "J", "F")]
    for title in (*titles, "frames/s", "read ms", "kept", "at most"):
        table.add_column(title, justify="right")
    for result in results:
        measured = result.measured
        cells = [
            f"{result.scores[name][key]:.1f}" if name in result.scores else "-"
            for name in names
            for key in ("J&F", "J mean", "F mean")
        ]
        kept = ["-" if v is None else f"{v:.1f}" for v in (measured.remembered_on_average, measured.remembered)]
        table.add_row(result.row.name, *cells, f"{measured.rate:.1f}", f"{1e3 * result.read:.1f}", *kept)
    return table


def published_rows(ablation: Ablation) -> list[Table]:
    """What the sources of a table print for its rows, a table for each, as they print it."""
    made = []
    for source, rows in _printed(ablation):
        table = Table(title=f"{source.short}, {source.kind} {source.split}".rstrip(), title_justify="left", box=None)
        table.add_column("")
        for column in source.columns:
            table.add_column(column, justify="right")
        for name, figure in rows:
            table.add_row(name, *(as_printed(figure, column) for column in source.columns))
        made.append(table)
    return made


def published_notes(ablation: Ablation) -> list[str]:
    """What to know of the tables in :func:`published_rows`."""
    lines: dict[str, None] = {}
    for source, rows in _printed(ablation):
        own = [f"{name}: {row.own}" for name, row in rows if row.own]
        known = [source.protocol, *own, source.notes]
        lines |= dict.fromkeys(f"{source.short}, {source.kind}: {line}" for line in known if line)
        lines |= dict.fromkeys(suspects(row for _, row in rows))
    return [*lines, *legend({source.source for source, _ in _printed(ablation)})]


def _printed(ablation: Ablation) -> list[tuple[PublishedTable, list[tuple[str, Figure]]]]:
    """Published tables of an ablation, and their rows by what ours are called."""
    from rotoscope.evaluation.published import find_tables

    sources = [source for identity in ablation.published for source in find_tables(identity)]
    return [
        (source, [(row.name, theirs) for row in ablation.rows if (theirs := source.row(*row.published)) is not None])
        for source in sources
    ]


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """Scores worth printing: per sequence and overall, then the groups that the protocol asks for."""
    overall, groups = evaluation.overall(), evaluation.protocol.groups
    made = [averages_table("percent", "sequence", [*evaluation.by_sequence(), ("all", overall)])]
    if "seen" in groups:
        names = ("G", "J seen", "J unseen", "F seen", "F unseen")
        seen = Table(title="YouTube-VOS", title_justify="left", box=None)
        for name in names:
            seen.add_column(name, justify="right")
        seen.add_row(*(percent(overall[name]) for name in names))
        made.append(seen)
    if "category" in groups:
        title = f"by category (J over categories: {percent(overall['J mean over categories'])})"
        made.append(averages_table(title, "category", evaluation.by_category()))
    instances = evaluation.by_instances()
    if "instances" in groups and len(instances) > 1:
        made.append(averages_table("by number of objects in the video", "objects", instances))
    return made


def comparison_table(compared: Sequence[Figure]) -> Table:
    """Our averages above the papers' for the same data set and task; see :mod:`rotoscope.evaluation.published`."""
    from rotoscope.evaluation.published import columns_of

    columns = columns_of(compared)
    table = Table(title="published figures, percent (? cannot be right as printed)", title_justify="left", box=None)
    for title in ("method", "split", *columns, "source"):
        table.add_column(title, justify="right" if title in columns else "left")
    for number, figure in enumerate(compared):
        name = f"{figure.method}: {figure.variant}" if figure.variant else figure.method
        source = f"{figure.source}; {figure.note}" if figure.note else figure.source
        cells = [as_printed(figure, column) if number else measured(figure, column) for column in columns]
        table.add_row(name, figure.split, *cells, source)
    return table


def comparison_notes(compared: Sequence[Figure]) -> list[str]:
    """Why cells of :func:`comparison_table` are marked, and what its sources are."""
    return [*suspects(compared), *legend({figure.source.split()[0] for figure in compared[1:]})]


def breakdown_table(breakdown: Breakdown) -> Table:
    """Ours beside a source's by object, category or number of objects."""
    table = Table(title=breakdown.title, title_justify="left", box=None)
    table.add_column(breakdown.first)
    for column in breakdown.columns:
        table.add_column(column, justify="right")
    for name, values in breakdown.rows:
        cells = [
            ""
            if value is None
            else f"{value:.1f}"
            if column.endswith(" here")
            else f"{printed(value)}{breakdown.mark(name, column)}"
            for column, value in zip(breakdown.columns, values, strict=True)
        ]
        table.add_row(name, *cells)
    return table


def suspects(rows: Iterable[Figure]) -> list[str]:
    """Why cells are marked, a line each."""
    whys: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for column, why in row.suspect.items():
            if column in row.values:
                columns = whys.setdefault((row.source, row.variant, why), [])
                columns.append(f"{column} {printed(row.values[column])}")
    return [f"? {source}, {row}, {', '.join(columns)}: {why}" for (source, row, why), columns in whys.items()]


def legend(sources: Collection[str]) -> list[str]:
    """What short names of sources stand for."""
    from rotoscope.evaluation.published import SOURCES

    return [f"{name}: {SOURCES[name]}" for name in SOURCES if name in sources]


def averages_table(title: str, first: str, rows: Sequence[tuple[str, Averages]]) -> Table:
    """Averages of several groups, in percent; ``first`` heads the column of their names."""
    table = Table(title=title, title_justify="left", box=None)
    columns = [name for name in SHOWN if rows and name in rows[0][1]]
    table.add_column(first)
    for name in columns:
        table.add_column(SHOWN[name], justify="right")
    for name, values in rows:
        table.add_row(name, *(percent(values[column]) for column in columns))
    return table


def percent(value: float) -> str:
    """A share as percent to one decimal, as the field prints it."""
    return "-" if value != value else f"{100 * value:.1f}"


def as_printed(figure: Figure, column: str) -> str:
    """A published cell, with a mark where it cannot be right; empty where nothing is printed."""
    value = figure.values.get(column)
    return "" if value is None else f"{printed(value)}{'?' if column in figure.suspect else ''}"


def printed(value: float) -> str:
    """A published value with the digits that it has, one after the point at least."""
    return str(float(value))


def measured(figure: Figure, column: str) -> str:
    """A value of ours; seconds with more digits than percent."""
    value = figure.values.get(column)
    if value is None or value != value:
        return ""
    return f"{value:.3f}" if column.startswith("seconds") else f"{value:.1f}"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
