"""Pieces of one video, joined into the folder that a run over all of it would have left."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.places import Places
from rotoscope.batches.split import piece_jobs, pieces_of, title
from rotoscope.errors import InputError
from rotoscope.files import atomic_write, inside, make_folder
from rotoscope.masks.writing import CocoWriter
from rotoscope.runs.deliver import write_overlay
from rotoscope.runs.earlier import BY_OBJECT, REPORT, object_folders
from rotoscope.runs.job import Job
from rotoscope.video import Video


def piece_identity(identity: str, piece: int) -> str:
    """The identity of a piece, which follows from that of its whole."""
    return f"{identity} {piece}"


def join(job: BatchJob, identity: str, places: Places, video: Video, asked: Job) -> None:
    """Move the masks of a job's pieces into the job's folder of work, and write its ``run.json``.

    It can be killed at any moment and called again: files only move, and each has one place to go to.

    Args:
        job: with cuts.
        identity: of it.
        places: of the batch.
        video: all of it, open.
        asked: what a run over all of the video would have been asked.

    Raises:
        InputError: the results of a piece are gone.
        WriteError: the disk is full.
    """
    committed = [_committed(places, piece, identity) for piece in piece_jobs(job)]
    work = make_folder(places.work(identity))
    names: dict[str, None] = {}
    for piece, facts, source in committed:
        # The last frame of a piece may be the next one's first, whose answer it is then.
        own = facts["masks"][:-1] if pieces_of(job)[piece].shared else facts["masks"]
        names |= dict.fromkeys(own)
        for kind in job.formats:
            _move(kind, source, work, own)
    if "palette" not in job.formats and "overlay" in job.formats:
        for _, facts, source in committed:
            _move("palette", source, work, [name for name in facts["masks"] if name in names])
    if "coco" in job.formats:
        _join_coco([source for _, _, source in committed], work, set(names))
    if "overlay" in job.formats:
        write_overlay(video, work, inside(work, "overlay.mp4"))
    lengths = [len(facts["masks"]) for _, facts, _ in committed]
    report = joined_report([facts["report"] for _, facts, _ in committed], lengths, len(names)) | {"folder": str(work)}
    run = asked.identity()
    run["video"]["range"] = [[piece.first, piece.stop] for piece in pieces_of(job)]  # no run over all: none resumes it
    with atomic_write(inside(work, REPORT)) as path:
        path.write_text(json.dumps({"run": run, "report": report, "masks": list(names)}, indent=1), encoding="utf-8")


def _committed(places: Places, piece: BatchJob, identity: str) -> tuple[int, dict[str, Any], Path]:
    assert piece.piece is not None
    own = piece_identity(identity, piece.piece)
    facts = places.committed(piece, own)
    if facts is None:
        raise InputError(
            f"{title(piece)}: its results are gone from {places.own}. Pass --overwrite, or another folder."
        )
    return piece.piece, facts, places.results(piece, own)


def _move(kind: str, source: Path, work: Path, names: Sequence[str]) -> None:
    """Move one format's files of some frames; those that were moved already are not there any more."""
    if kind in BY_OBJECT:
        pairs = [(place, make_folder(inside(work, kind, place.name))) for place in object_folders(source, kind)]
    elif kind == "palette":
        pairs = [(source, work)]
    elif kind in ("npz", "cutout"):
        pairs = [(inside(source, kind), make_folder(inside(work, kind)))]
    else:
        return
    suffix = ".npz" if kind == "npz" else ".png"
    for begin, end in pairs:
        for name in names:
            file = inside(begin, f"{name}{suffix}")
            if file.is_file():
                os.replace(file, inside(end, file.name))


def _join_coco(sources: Sequence[Path], work: Path, names: set[str]) -> None:
    """One file of all annotations; of a frame that two pieces have, the later one's."""
    writer = CocoWriter(inside(work, "coco"))
    for source in sources:
        writer.take(inside(source, "coco", "annotations.json"), names)
    writer.close()


def joined_report(reports: Sequence[Mapping[str, Any]], lengths: Sequence[int], frames: int) -> dict[str, Any]:
    """The report of a video from those of its pieces, as ``run.json`` has them.

    Times are summed, of memory the most counts. An object's confidence is the mean of the pieces', each weighted by
    the frames on which the object has pixels there.

    Args:
        reports: of the pieces, in order.
        lengths: frames of each piece.
        frames: how many the video has, each counted once.
    """
    seconds: dict[str, float] = {}
    sums: dict[str, tuple[float, int]] = {}
    look: dict[str, dict[str, list[int]]] = {}
    absent: dict[str, list[int]] = {}
    lines: dict[str, dict[str, None]] = {"problems": {}, "notes": {}, "warnings": {}}
    for report, length in zip(reports, lengths, strict=True):
        present = report.get("present", {})  # pieces of an earlier version do not say
        for part, spent in report["seconds"].items():
            seconds[part] = seconds.get(part, 0.0) + spent
        for key, value in report["confidence"].items():
            there = int(present.get(key, max(length - len(report["absent"].get(key, ())), 0)))
            total, number = sums.get(str(key), (0.0, 0))
            sums[str(key)] = total + value * there, number + there
        for key, by in report["look"].items():
            mine = look.setdefault(str(key), {})
            for reason, indices in by.items():
                mine[reason] = sorted({*mine.get(reason, ()), *indices})
        for key, indices in report["absent"].items():
            absent[str(key)] = sorted({*absent.get(str(key), ()), *indices})
        for kind, told in lines.items():
            told |= dict.fromkeys(report[kind])
    remembered = [report["remembered"] for report in reports if report["remembered"] is not None]
    return {
        "frames": frames,
        "resumed_at": None,
        "objects": sorted({object_id for report in reports for object_id in report["objects"]}),
        "size": reports[0]["size"],
        "seconds": seconds,
        "wall": sum(report["wall"] for report in reports),
        "peak_memory": max(report["peak_memory"] for report in reports),
        "remembered": max(remembered, default=None),
        "confidence": {key: total / max(number, 1) for key, (total, number) in sums.items()},
        "present": {key: number for key, (_, number) in sums.items()},
        "look": look,
        "absent": absent,
        **{kind: list(told) for kind, told in lines.items()},
    }
