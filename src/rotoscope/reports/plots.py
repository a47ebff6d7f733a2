"""The plots of a page; each gives a data URI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rotoscope.errors import printable
from rotoscope.evaluation.evaluate import Evaluation
from rotoscope.evaluation.published import find_tables, tables
from rotoscope.reports.figures import COLOURS, INK, plot
from rotoscope.reports.records import Scored, Tabled

MOST_BARS = 40
"""Sequences that are shown as bars: those of the lowest J."""
MOST_LINES = 8
"""Sequences that have a line of their own over time."""
PARTS = 20
"""Parts of a sequence, from its first to its last scored frame, over which J is averaged."""
AREAS = (0.0, 0.01, 0.03, 0.1, 0.2, 1.0)
"""Bounds of the shares of the picture in which objects are averaged."""
TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
"""Percent of the picture."""


def colour(place: int) -> str:
    """The colour of a run or object by its place."""
    return COLOURS[place % len(COLOURS)]


def by_sequence(runs: Sequence[Scored]) -> str:
    """Bars of J for each sequence and run, those of the first run's lowest J on top; F as ticks; published J as
    diamonds where a paper prints it by object."""
    means = [dict(run.evaluation.by_sequence()) for run in runs]
    names = sorted(means[0], key=lambda name: means[0][name]["J mean"])[:MOST_BARS]
    theirs = _published_by_sequence(runs[0].evaluation)
    step = 0.8 / len(runs)
    with plot(11.2, 0.9 + len(names) * max(0.26, 0.15 * len(runs))) as drawn:
        (axes,) = drawn.axes()
        places = np.arange(len(names))
        for number, (run, values) in enumerate(zip(runs, means, strict=True)):
            offset = places - 0.4 + step * (number + 0.5)
            j, f = ([100 * values.get(n, {}).get(m, np.nan) for n in names] for m in ("J mean", "F mean"))
            axes.barh(offset, j, 0.86 * step, color=colour(number), label=f"J, {printable(run.name)}")
            marks = {"marker": "|", "color": INK, "s": 60, "linewidth": 1.2, "zorder": 3}
            axes.scatter(f, offset, label="F" if number == len(runs) - 1 else None, **marks)
        for number, (source, printed) in enumerate(theirs.items()):
            j = [printed.get(name, np.nan) for name in names]
            how = {"marker": "D", "s": 18, "facecolor": "none", "edgecolor": colour(5 + number), "zorder": 4}
            axes.scatter(j, places, label=f"J, {source}", **how)
        axes.set(yticks=places, yticklabels=[printable(name) for name in names], xlim=(0, 102), xlabel="percent")
        axes.invert_yaxis()
        axes.grid(axis="x")
        axes.margins(y=0.01)
        drawn.figure.legend(loc="outside upper left", ncols=4)
    return drawn.uri


def _published_by_sequence(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """J in percent by sequence, the mean over its objects, by source; of tables that print every object of ours."""
    kind, task, split = evaluation.dataset.partition(":")[0], evaluation.protocol.task, evaluation.split
    curves: dict[str, dict[str, float]] = {}
    for table in tables(kind, task, split, "objects"):
        scale = 100 if table.unit == "share" else 1
        for column in (c for c in table.columns if c.endswith("J mean")):
            values: dict[str, list[float | None]] = {}
            for o in evaluation.objects:
                row = table.row(f"{o.sequence} {o.object_id}")
                values.setdefault(o.sequence, []).append(None if row is None else row.values.get(column))
            means = {
                name: scale * float(np.mean([v for v in each if v is not None]))
                for name, each in values.items()
                if None not in each
            }
            if means:
                variant = column.removesuffix("J mean").strip()
                curves[" ".join(part for part in (table.short, variant) if part)] = means
    return curves


def over_time(runs: Sequence[Scored]) -> str:
    """J along the sequences, from the first to the last scored frame of each: the mean in bold; of a single run also
    each sequence, if there are not too many."""
    with plot(5.5, 3.5) as drawn:
        (axes,) = drawn.axes()
        places = (np.arange(PARTS) + 0.5) / PARTS * 100
        for number, run in enumerate(runs):
            groups: dict[str, list[np.ndarray]] = {}
            for scores in run.evaluation.objects:
                if scores.j:
                    groups.setdefault(scores.sequence, []).append(in_parts(scores.j))
            lines = {name: _mean(each) for name, each in groups.items()}
            if len(runs) == 1 and len(lines) <= MOST_LINES:
                for place, (name, line) in enumerate(lines.items()):
                    axes.plot(places, 100 * line, color=colour(place + 1), linewidth=1, label=printable(name))
            every = _mean([line for each in groups.values() for line in each])
            label = "all" if len(runs) == 1 else printable(run.name)
            axes.plot(places, 100 * every, color=INK if len(runs) == 1 else colour(number), linewidth=2.4, label=label)
        axes.set(
            xlabel="percent of the sequence", ylabel="J, percent", xlim=(0, 100), ylim=(0, 102), title="J over time"
        )
        axes.grid()
        axes.legend(fontsize=7.5, ncols=2, loc="lower left")
    return drawn.uri


def in_parts(values: Sequence[float]) -> np.ndarray:
    """Values along a sequence, averaged over :data:`PARTS` equal parts of it; a short one is interpolated."""
    curve = np.asarray(values, np.float64)
    if len(curve) < PARTS:
        return np.interp(np.linspace(0, len(curve) - 1, PARTS), np.arange(len(curve)), curve)
    return np.array([part.mean() for part in np.array_split(curve, PARTS)])


def _mean(lines: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(lines, axis=0))


def by_count(runs: Sequence[Scored]) -> str:
    """J by the number of objects in the video, and what papers print for it as diamonds; empty if all have as many."""
    means = [dict(run.evaluation.by_instances()) for run in runs]
    counts = list(means[0])
    if len(counts) < 2:
        return ""
    evaluation, step = runs[0].evaluation, 0.8 / len(runs)
    sizes = {count: sum(str(o.instances) == count for o in evaluation.objects) for count in counts}
    with plot(5.5, 3.5) as drawn:
        (axes,) = drawn.axes()
        places = np.arange(len(counts))
        for number, (run, values) in enumerate(zip(runs, means, strict=True)):
            j = [100 * values.get(count, {}).get("J mean", np.nan) for count in counts]
            bars = axes.bar(places - 0.4 + step * (number + 0.5), j, 0.9 * step, color=colour(number))
            bars.set_label(printable(run.name))
        for number, table in enumerate(tables(runs[0].kind, evaluation.protocol.task, evaluation.split, "instances")):
            for column in (c for c in table.columns if c.startswith("J")):
                rows = [table.row(f"{count} object{'s' * (count != '1')}") for count in counts]
                shown = [np.nan if row is None else row.values.get(column, np.nan) for row in rows]
                axes.scatter(places, shown, marker="D", s=18, color=colour(5 + number), label=f"{table.short} {column}")
        labels = [f"{count}\n({sizes[count]})" for count in counts]
        axes.set(xticks=places, xticklabels=labels, xlabel="objects in the video (how many are scored)")
        axes.set(ylim=(0, 102), ylabel="J, percent", title="J by number of objects")
        axes.grid(axis="y")
        axes.legend(fontsize=7.5)
    return drawn.uri


def by_area(runs: Sequence[Scored]) -> str:
    """J of each object by the share of the picture that it fills, and means; empty where the areas are not known."""
    known = [[o for o in run.evaluation.objects if o.j and not np.isnan(o.area)] for run in runs]
    if not any(known):
        return ""
    with plot(5.5, 3.5) as drawn:
        (axes,) = drawn.axes()
        for number, (run, objects) in enumerate(zip(runs, known, strict=True)):
            if not objects:  # scored before areas were written down
                continue
            area, j = (np.array(x) for x in ([100 * o.area for o in objects], [100 * o.region.mean for o in objects]))
            axes.scatter(area, j, s=14, color=colour(number), alpha=0.6, linewidth=0)
            means = area_means(area / 100, j)
            axes.plot(*zip(*means, strict=True), "o-", color=colour(number), linewidth=1.8, label=printable(run.name))
        axes.set(xscale="log", xlabel="share of the picture, percent", ylabel="J, percent", ylim=(0, 102))
        axes.set(xticks=TICKS, xticklabels=[f"{tick:g}" for tick in TICKS], title="J by object area")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        axes.set_xlim(*_span([o.area for objects in known for o in objects]))
        axes.grid()
        axes.legend(fontsize=7.5, loc="lower right")
    return drawn.uri


def _span(areas: Sequence[float]) -> tuple[float, float]:
    """Percent from and to which shares of the picture are shown."""
    return 100 * min(areas) / 1.4, min(100 * max(areas) * 1.4, 100)


def area_means(areas: np.ndarray, j: np.ndarray) -> list[tuple[float, float]]:
    """Mean area in percent and mean J of the objects between each two bounds of :data:`AREAS`, where there are any."""
    groups = [(areas >= low) & (areas < high) for low, high in pairwise(AREAS)]
    return [(100 * float(areas[chosen].mean()), float(j[chosen].mean())) for chosen in groups if chosen.any()]


def rows_of(tabled: Tabled) -> str:
    """Bars of J&F for each row of an ablation and data set."""
    names = list(dict.fromkeys(name for row in tabled.rows for name in row.scores))
    step = 0.8 / len(names)
    with plot(11.2, 0.9 + len(tabled.rows) * max(0.3, 0.17 * len(names))) as drawn:
        (axes,) = drawn.axes()
        places = np.arange(len(tabled.rows))
        for number, name in enumerate(names):
            values = [row.scores.get(name, {}).get("J&F", np.nan) for row in tabled.rows]
            offset = places - 0.4 + step * (number + 0.5)
            bars = axes.barh(offset, values, 0.86 * step, color=colour(number), label=printable(name))
            axes.bar_label(bars, fmt="{:.1f}", padding=3, fontsize=8)
        axes.set(yticks=places, yticklabels=[printable(row.name) for row in tabled.rows], xlabel="J&F, percent")
        axes.set(xlim=(0, 108))
        axes.invert_yaxis()
        axes.grid(axis="x")
        drawn.figure.legend(loc="outside upper left", ncols=4)
    return drawn.uri


def over_capacity(tabled: Tabled) -> str:
    """J&F and the time of a read over the capacity of ``lfu:M``, and what the thesis prints of its own curve.

    Empty unless there are two capacities at least.
    """
    rows = sorted(((row.capacity, row) for row in tabled.rows if row.capacity is not None), key=lambda pair: pair[0])
    if len({capacity for capacity, _ in rows}) < 2:
        return ""
    theirs = _published_curve(tabled)
    with plot(11.2, 3.4) as drawn:
        ours, *other = drawn.axes(1, 2 if theirs else 1, width_ratios=[2, 1][: 2 if theirs else 1])
        m = [capacity for capacity, _ in rows]
        names = list(dict.fromkeys(name for _, row in rows for name in row.scores))
        for number, name in enumerate(names):
            values = [row.scores.get(name, {}).get("J&F", np.nan) for _, row in rows]
            ours.plot(m, values, "o-", color=colour(number), label=f"J&F, {printable(name)}")
        ours.set(xlabel="capacity in frames' worth of features", ylabel="J&F, percent", xticks=m, title="here")
        ours.grid()
        time = ours.twinx()
        time.spines["right"].set_visible(True)
        read = [np.nan if row.values["read"] is None else 1e3 * row.values["read"] for _, row in rows]
        time.plot(m, read, "s--", color=colour(7), label="read, ms a frame", markersize=4)
        time.set(ylabel="read, ms a frame", ylim=(0, 1.25 * np.nanmax([*read, 1e-3])))
        lines = [*ours.get_lines(), *time.get_lines()]
        ours.legend(lines, [str(line.get_label()) for line in lines], fontsize=7.5, loc="lower right")
        if theirs:
            _draw_published(other[0], theirs)
    return drawn.uri


def _published_curve(tabled: Tabled) -> dict[str, dict[str, float]]:
    """Points of published tables of an ablation, by table: the first column, by row."""
    curves: dict[str, dict[str, float]] = {}
    for identity in tabled.ablation.published if tabled.ablation is not None else ():
        for table in find_tables(identity):
            column = table.columns[0]
            values = {row.variant: row.values[column] for row in table.rows if column in row.values}
            curves[f"{table.short}\n{column}, {table.kind} {table.split}"] = values
    return curves


def _draw_published(axes: Any, tables: Mapping[str, Mapping[str, float]]) -> None:
    """Points at their capacity, and rows without one as lines across."""
    for number, (title, values) in enumerate(tables.items()):
        axes.set_title(title)
        for name, value in values.items():
            policy, _, size = name.partition(":")
            if policy == "lfu" and size.isdecimal():
                axes.plot(int(size), value, "D", color=colour(5 + number))
                axes.annotate(name, (int(size), value), xytext=(7, 0), textcoords="offset points", va="center")
            else:
                axes.axhline(value, color=INK, linewidth=1, linestyle=":")
                axes.annotate(name, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set(xlim=(0.5, 8.5), xlabel="capacity", xticks=range(1, 9))
    axes.margins(y=0.25)


def areas_over_time(areas: Mapping[int, Sequence[float]]) -> str:
    """The share of the picture that each object fills, frame by frame."""
    with plot(11.2, 2.8) as drawn:
        (axes,) = drawn.axes()
        for number, (object_id, values) in enumerate(areas.items()):
            axes.plot([100 * v for v in values], color=colour(number), linewidth=1.6, label=f"object {object_id}")
        axes.set(xlabel="frame", ylabel="percent of the picture", title="size of the masks")
        axes.set_ylim(bottom=0)
        axes.grid()
        axes.legend(fontsize=7.5, ncols=4)
    return drawn.uri
