"""The parts of a page: of scored runs together and alone, of an ablation, of one video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rotoscope.errors import InputError, shown
from rotoscope.evaluation.published import Figure, breakdowns, columns_of, comparable, find_tables
from rotoscope.files import inside
from rotoscope.reports import plots
from rotoscope.reports.page import Section, facts, group, number, paragraph, percent, picture, table
from rotoscope.reports.pictures import Gallery, Shot, small
from rotoscope.reports.records import Scored, Segmented, Tabled
from rotoscope.video import Video

ALONG = 6
"""Frames of a clip in a strip."""
STRIP, SHOT = 300, 400
"""Widths of pictures in pixels."""
MEASURES = ("G", "J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay", "T", "J&Ḟ")

SPEEDS = {"frames/s": "frames_per_second", "peak MiB": "peak_memory_bytes", "kept": "mean_memory_in_frames",
          "at most": "memory_in_frames"}  # fmt: skip
"""What was timed, by heading, as records call it."""


def of_scored(runs: Sequence[Scored]) -> Section:
    """Runs on one data set beside each other, and beside what papers print for it."""
    first = runs[0]
    section = Section(f"{first.kind}{' ' + first.evaluation.split if first.evaluation.split else ''}")
    section.add(paragraph(first.evaluation.protocol.describe(), soft=True))
    columns = [name for name in MEASURES if any(name in run.overall for run in runs)]
    speeds = {head: key for head, key in SPEEDS.items() if any(run.speed.get(key) is not None for run in runs)}
    rows = [
        [
            run.name,
            *(percent(run.overall.get(name)) for name in columns),
            *(_speed(run, key) for key in speeds.values()),
        ]
        for run in runs
    ]
    told = "kept: frames' worth of features in memory, mean and maximum" if "kept" in speeds else ""
    section.add(table(["percent", *columns, *speeds], rows, told))
    theirs = _published(runs)
    section.under("J by sequence", picture(plots.by_sequence(runs), f"Bars of J for each sequence: {_means(runs)}"))
    section.under(
        "Where J is lost",
        group(
            "plots",
            [
                picture(uri, alt)
                for uri, alt in (
                    (plots.over_time(runs), "J along the sequences"),
                    (plots.by_count(runs), "J by number of objects in the video"),
                    (plots.by_area(runs), "J by the share of the picture that an object fills"),
                )
                if uri
            ],
        ),
    )
    section.under("What papers print", *theirs)
    return section


def _means(runs: Sequence[Scored]) -> str:
    return ", ".join(f"{run.name} {percent(run.overall.get('J mean'))} on average" for run in runs)


def _speed(run: Scored, key: str) -> str:
    value = run.speed.get(key)
    if key == "peak_memory_bytes" and value is not None:
        return number(value / 2**20, 0)
    return number(value, 1 if key == "frames_per_second" else 2)


def _published(runs: Sequence[Scored]) -> list[str]:
    """Tables of published figures of the same data set and task; nothing where no paper has any."""
    evaluation, kind = runs[0].evaluation, runs[0].kind
    task, split = evaluation.protocol.task, evaluation.split
    theirs = comparable(kind, task, split)
    if not theirs:
        return []
    ours = [Figure(run.name, "", kind, split, task, {k: 100 * v for k, v in run.overall.items()} | _rates(run), "here")
            for run in runs]  # fmt: skip
    columns = columns_of([ours[0], *theirs])
    rows = [
        [f.method, f.split, *(number(f.values.get(c), 3 if c.startswith("seconds") else 1) for c in columns), f.source]
        for f in ours
    ]
    rows += [
        [f"{f.method}: {f.variant}" if f.variant else f.method, f.split, *(_cell(f, c) for c in columns),
         f"{f.source}; {f.note}" if f.note else f.source]
        for f in theirs
    ]  # fmt: skip
    heads = ["method", "split", *columns, "source"]
    told = "percent, as printed; ? marks what cannot be right as printed"
    parts = [table(heads, rows, told, long=[len(heads) - 1])]
    for breakdown in breakdowns(evaluation):
        cells = [[name, *("" if v is None else f"{v:.1f}" if c.endswith(" here") else f"{v}{breakdown.mark(name, c)}"
                          for c, v in zip(breakdown.columns, values, strict=True))]
                 for name, values in breakdown.rows]  # fmt: skip
        parts.append(table([breakdown.first, *breakdown.columns], cells, breakdown.title))
    return parts


def _rates(run: Scored) -> dict[str, float]:
    """The speed of a run, in the columns that papers print it in."""
    rate = run.speed.get("frames_per_second")
    return {"fps": rate, "seconds per frame": 1 / rate} if rate else {}


def _cell(figure: Figure, column: str) -> str:
    value = figure.values.get(column)
    return "" if value is None else f"{value}{'?' if column in figure.suspect else ''}"


def pictures_of(gallery: Gallery, clips: int, worst: int) -> Section:
    """Frames along the clips, those of the lowest J first, and the worst frames of all."""
    scored = gallery.scored
    section = Section(f"{scored.name}: frames")
    section.add(paragraph("White: contour of the truth. Colour: the masks.", soft=True))
    section.under(
        "Worst frames",
        group("shots", [_drawn(gallery, shot, SHOT, f"{shot.sequence}, object {shot.object_id}, frame ")
                        for shot in gallery.worst(worst)]),
    )  # fmt: skip
    means = dict(scored.evaluation.by_sequence())
    order = sorted((name for name in means if means[name]["J mean"] == means[name]["J mean"]),
                   key=lambda name: means[name]["J mean"])  # fmt: skip
    for name in order[:clips]:
        strip = [_drawn(gallery, shot, STRIP) for shot in gallery.along(name, ALONG)]
        heading = f"{name}: J {percent(means[name]['J mean'])}, F {percent(means[name]['F mean'])}"
        section.under(heading, group("strip", strip))
    if len(order) > clips:
        section.add(paragraph(f"{len(order) - clips} sequences of higher J are left out; --clips N shows more."))
    return section


def _drawn(gallery: Gallery, shot: Shot, width: int, before: str = "") -> str:
    told = f"{before or 'frame '}{shot.frame}: J {percent(shot.j)} F {percent(shot.f)}"
    return picture(gallery.draw(shot, width), f"{shot.sequence}, frame {shot.frame}, with masks", told)


def of_table(tabled: Tabled) -> Section:
    """An ablation: rows as numbers and bars, a curve where its rows differ in capacity, and the published tables."""
    title = tabled.ablation.title if tabled.ablation is not None else ""
    section = Section(f"{tabled.name}: {title}" if title else tabled.name)
    names = list(dict.fromkeys(name for row in tabled.rows for name in row.scores))
    heads = [
        "",
        *(f"{name} {m}" for name in names for m in ("J&F", "J", "F")),
        "frames/s",
        "read ms",
        "kept",
        "at most",
    ]
    rows = [
        [
            row.name,
            *(number(row.scores.get(name, {}).get(m)) for name in names for m in ("J&F", "J mean", "F mean")),
            number(row.values["fps"]),
            number(None if row.values["read"] is None else 1e3 * row.values["read"]),
            number(row.values["remembered_on_average"], 2),
            number(row.values["remembered"], 2),
        ]
        for row in tabled.rows
    ]
    told = "percent; read: milliseconds a frame; kept: frames' worth of features in memory, mean and maximum"
    section.add(table(heads, rows, told))
    curve = plots.over_capacity(tabled)
    if curve:
        section.under("Over the capacity of the memory", picture(curve, "J&F and time of a read over the capacity"))
    if names:
        section.under("Rows", picture(plots.rows_of(tabled), "Bars of J&F for each row"))
    printed = []
    for source in [s for i in (tabled.ablation.published if tabled.ablation else ()) for s in find_tables(i)]:
        told = "; ".join(part for part in (source.protocol, source.notes) if part)
        title = f"{source.short}, {source.kind} {source.split}".rstrip()
        cells = [[row.variant, *(_cell(row, column) for column in source.columns), row.own] for row in source.rows]
        printed += [table([title, *source.columns, ""], cells, told, long=[len(source.columns) + 1])]
    section.under("What the paper prints", *printed)
    section.under("How it was made", provenance(tabled.place, tabled.made_by, {
        "recipe": "; ".join(tabled.settings), "share of the recipe's steps": tabled.scale,
        "SHA-256 of weights": "; ".join(dict.fromkeys(r.weights_sha256 for r in tabled.rows if r.weights_sha256)),
    }))  # fmt: skip
    return section


def of_video(run: Segmented, video: Video | None) -> Section:
    """One video: what was done, how large the masks are along it, and pictures where its frames are given."""
    section, report = Section(run.name), run.report
    rows = [
        [f"object {i}", percent(report.confidence.get(i)), str(len(report.absent.get(i, []))),
         "; ".join(f"{reason}: {_some(frames)}" for reason, frames in report.look.get(i, {}).items())]
        for i in report.objects
    ]  # fmt: skip
    section.add(table(["", "confidence, percent", "frames without it", "look at"], rows, long=[3]))
    labels = _masks(run)
    areas = {i: [float((mask == i).mean()) for mask in labels] for i in report.objects}
    if areas:
        section.add(picture(plots.areas_over_time(areas), "The share of the picture that each object fills"))
    if video is not None:
        first = int(run.identity["video"]["range"][0])
        places = np.unique(np.linspace(0, len(labels) - 1, 2 * ALONG).round().astype(int))
        section.under("Along the clip", group("strip", [_of_video(video, first + p, labels[p], STRIP) for p in places]))
        look = list(dict.fromkeys(t for by in report.look.values() for frames in by.values() for t in frames))
        look = [t for t in look if 0 <= t - first < len(labels)][:ALONG]
        section.under("Frames to look at", group("shots", [_of_video(video, t, labels[t - first], SHOT) for t in look]))
    measured = run.record
    section.under("How it was made", provenance(run.place, {}, {
        "frames": measured.get("frames"), "seconds": number(measured.get("wall"), 1),
        "peak memory, MiB": number(measured["peak_memory"] / 2**20, 0) if measured.get("peak_memory") else None,
        "code of the weights (CRC-32)": run.identity.get("weights"), "options": run.identity.get("options"),
        "precision": run.identity.get("precision"), "device": run.identity.get("device"),
        "direction": run.identity.get("direction"), "config": run.identity.get("config"),
        "notes": "; ".join([*report.notes, *report.warnings, *report.problems]),
    }))  # fmt: skip
    return section


def _of_video(video: Video, index: int, labels: np.ndarray, width: int) -> str:
    return picture(small(video[index].image, labels, width), f"Frame {index} with masks", f"frame {index}")


def _some(frames: Sequence[int]) -> str:
    return ", ".join(map(str, frames[:12])) + (f" and {len(frames) - 12} more" if len(frames) > 12 else "")


def _masks(run: Segmented) -> list[np.ndarray]:
    """The palette masks of a run, a label map for each frame.

    Raises:
        InputError: one is missing or damaged.
    """
    masks = []
    for name in run.frames:
        path = inside(run.place.parent, f"{name}.png")
        try:
            with Image.open(path) as opened:
                masks.append(np.array(opened))
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({shown(error, 80)}). Segment the video again.") from None
    return masks


def of_origin(scored: Scored) -> Section:
    """Where the figures of a scored run come from."""
    section, method, speed = Section(f"{scored.name}: how it was made"), scored.facts, scored.speed
    section.add(provenance(scored.place, scored.made_by, {
        "data set": scored.evaluation.dataset, "masks": scored.masks, "weights": method.get("weights"),
        "SHA-256 of weights": method.get("weights_sha256"), "options": method.get("options"),
        "precision": method.get("precision"), "device": method.get("device"), "threads": method.get("threads"),
        "frames": speed.get("frames"), "seconds": speed.get("seconds") and number(speed["seconds"], 1),
        "seconds by part": {k: round(v, 2) for k, v in speed.get("seconds_by_part", {}).items()},
        "config": method.get("config"),
    }))  # fmt: skip
    lines = [*scored.evaluation.problems, *scored.evaluation.warnings]
    section.under("Problems and warnings", *(paragraph(line) for line in lines))
    return section


def provenance(place: Path, made_by: Mapping[str, Any], more: Mapping[str, Any]) -> str:
    """Where figures come from: the file, the command, versions, machine, and what else is known."""
    packages = {name: version for name, version in dict(made_by.get("packages", {})).items() if version}
    return facts(
        {
            "file": place,
            "command": made_by.get("command"),
            **{name: _told(value) for name, value in more.items()},
            "rotoscope": made_by.get("rotoscope"),
            "commit": made_by.get("commit"),
            "python": made_by.get("python"),
            "packages": _told(packages),
            "machine": _told(dict(made_by.get("machine", {}))),
            "made": made_by.get("made"),
        }
    )


def _told(value: Any) -> Any:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
