"""Videos cut at prompted frames: where, and that the joined folder is what runs over the pieces give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rotoscope
from conftest import moving
from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.joining import joined_report, piece_identity
from rotoscope.batches.journal import Journal
from rotoscope.batches.places import Places
from rotoscope.batches.schema import Entry
from rotoscope.batches.split import find_cuts, piece_jobs, pieces_of
from rotoscope.batches.work import Carrier, cut
from rotoscope.errors import InputError
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import VideoWriter, open_video

from .conftest import masks_of

FRAMES = 9


@pytest.fixture
def job(tiny_weights: Path, tmp_path: Path) -> BatchJob:
    """Nine frames of a video file with masks of frames 0, 3 and 6; the one of frame 3 lacks an object of frame 0."""
    with VideoWriter(tmp_path / "a.mp4", 24.0, (64, 48)) as writer:
        for frame in moving(FRAMES):
            writer.write(frame)
    masks = {}
    for frame, ids in ((0, (1, 2)), (3, (1,)), (6, (1, 2, 3))):
        labels = np.zeros((48, 64), np.uint8)
        for object_id in ids:
            labels[12:28, 2 * frame + 14 * (object_id - 1) : 2 * frame + 14 * (object_id - 1) + 12] = object_id
        masks[frame] = str(tmp_path / f"{frame}.png")
        Image.fromarray(labels).save(masks[frame])
    return BatchJob("a", str(tmp_path / "a.mp4"), masks, method=str(tiny_weights))


@pytest.mark.parametrize(
    ("direction", "cuts", "ranges"),
    [
        ("forward", (6,), [(0, 6), (6, None)]),
        ("backward", (), [(0, None)]),
        ("both", (6,), [(0, 7), (6, None)]),
    ],
)
def test_a_video_is_cut_where_masks_show_every_object_again(
    job: BatchJob, direction: str, cuts: tuple[int, ...], ranges: list[tuple[int, int | None]]
) -> None:
    found = cut(replace(job, direction=direction))
    assert found.cuts == cuts
    assert [(piece.first, piece.stop) for piece in pieces_of(found)] == ranges


def test_cuts_follow_the_objects_that_a_piece_would_have_to_know() -> None:
    given = {2: {1: 0}, 4: {1: 0, 2: 0}, 6: {2: 0}, 8: {1: 0, 2: 0}}
    assert find_cuts(given, "forward") == (4, 8)
    assert find_cuts(given, "backward") == (4,)
    assert find_cuts(given, "both") == (4, 8)
    assert find_cuts({4: {1: 0}}, "forward") == ()
    assert find_cuts({4: {1: 0}}, "both", start=4) == ()


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_joined_pieces_are_what_segment_gives_for_the_same_cuts(
    job: BatchJob, direction: str, tiny_weights: Path, tmp_path: Path
) -> None:
    masks = (
        {0: job.masks[6], 3: job.masks[0], 6: job.masks[6]}
        if direction != "backward"
        else {2: job.masks[6], 6: job.masks[6]}
    )
    formats = ("objects", "npz", "coco", "overlay")
    found = cut(replace(job, direction=direction, masks=masks, formats=formats))
    assert len(found.cuts) == 1
    carrier, places = Carrier(tmp_path / "out"), Places(tmp_path / "out")
    for number, piece in enumerate(piece_jobs(found)):
        carrier.do(piece, piece_identity("whole", number))
    assert not (tmp_path / "out" / "a").exists()
    report = carrier.do(found, "whole")

    model, expected, annotations = rotoscope.load(tiny_weights), {}, {}
    for number, piece in enumerate(pieces_of(found)):
        folder = tmp_path / f"piece{number}"
        with open_video(job.video, start=piece.first, end=piece.stop) as video:
            given = {frame: Path(path) for frame, path in masks.items() if piece.holds(frame)}
            segment_to_folder(video, given, model, folder, output_formats=formats, direction=direction)
        files = [path for path in folder.rglob("*") if path.suffix in (".png", ".npz")]
        expected |= {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        data = json.loads((folder / "coco" / "annotations.json").read_text())
        for image in data["images"]:
            of = [a for a in data["annotations"] if a["image_id"] == image["id"]]
            annotations[image["id"]] = [{k: v for k, v in a.items() if k != "id"} for a in of]
    out = tmp_path / "out" / "a"
    files = [path for path in out.rglob("*") if path.suffix in (".png", ".npz")]
    assert {path.relative_to(out).as_posix(): path.read_bytes() for path in files} == expected
    data = json.loads((out / "coco" / "annotations.json").read_text())
    assert [image["id"] for image in data["images"]] == sorted(annotations)
    assert [{k: v for k, v in a.items() if k != "id"} for a in data["annotations"]] == [
        a for index in sorted(annotations) for a in annotations[index]
    ]
    assert [a["id"] for a in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))
    with open_video(out / "overlay.mp4") as video:
        assert video.length == FRAMES
    assert report["frames"] == len(masks_of(out)) == (7 if direction == "backward" else FRAMES)
    assert list((places.own / "pieces").iterdir()) == []


def test_joining_that_was_killed_goes_on(job: BatchJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = cut(job)
    whole, broken = Carrier(tmp_path / "whole"), Carrier(tmp_path / "broken")
    for carrier in (whole, broken):
        for number, piece in enumerate(piece_jobs(found)):
            carrier.do(piece, piece_identity("i", number))
    whole.do(found, "i")
    import os

    moves: Iterator[int] = iter(range(100))
    move = os.replace

    def killed(source: str | Path, target: str | Path) -> None:
        if Path(source).suffix == ".png" and Path(source).parent.parent.name == "pieces" and next(moves) % 4 == 3:
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(os, "replace", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            broken.do(found, "i")
    monkeypatch.undo()
    broken.do(found, "i")
    assert masks_of(tmp_path / "broken" / "a") == masks_of(tmp_path / "whole" / "a")
    assert len(masks_of(tmp_path / "whole" / "a")) == FRAMES


def test_a_split_batch_counts_videos_and_not_pieces(job: BatchJob, tmp_path: Path) -> None:
    summary = rotoscope.batch(
        [job, replace(job, name="b", masks={0: job.masks[0]})], tmp_path / "out", workers=2, threads=1, split=True
    )
    assert (summary.done, summary.failed, summary.open, summary.frames) == (2, 0, 0, 2 * FRAMES)
    assert len(masks_of(tmp_path / "out" / "a")) == FRAMES
    with pytest.raises(InputError, match="other inputs"):
        rotoscope.batch([job], tmp_path / "out", workers=1)
    assert (tmp_path / "out" / "index.html").read_text().count("<figure>") == 2


def test_nothing_to_cut_is_said(job: BatchJob, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video can be cut"):
        rotoscope.batch([replace(job, masks={0: job.masks[0]})], tmp_path / "out", split=True)
    with pytest.raises(InputError, match="pieces of format exr"):
        rotoscope.batch([replace(job, formats=("exr",))], tmp_path / "out", split=True)
    assert not (tmp_path / "out").exists()


def test_a_whole_waits_for_its_pieces_and_fails_with_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    entries = [Entry("a", "i", "{}", "whole"), *(Entry(f"a, p{n}", f"i {n}", "{}", "piece", "a") for n in range(2))]
    journal.register(entries)
    first, second = journal.claim("w"), journal.claim("w")
    assert first is not None
    assert second is not None
    assert (first.name, second.name, journal.claim("w")) == ("a, p0", "a, p1", None)
    assert journal.done(first.number, "w", {"frames": 3})
    assert journal.failed(second.number, "w", "broken", retry=False)
    assert [(row.name, row.reason) for row in journal.rows("failed")] == [("a", "p1: broken"), ("a, p1", "broken")]
    assert (journal.counts()["failed"], journal.counts()["frames"]) == (1, 3)
    journal.register(entries)
    assert journal.counts()["open"] == 1
    again = journal.claim("w")
    assert again is not None
    assert again.name == "a, p1"
    assert journal.done(again.number, "w", {"frames": 4})
    whole = journal.claim("w")
    assert whole is not None
    assert whole.name == "a"
    assert journal.done(whole.number, "w", {"frames": 7})
    counts = journal.counts()
    assert (counts["done"], counts["frames"], counts["ready"], counts["open"]) == (1, 7, 0, 0)
    assert [row.name for row in journal.ended_after(0)] == ["a, p0", "a, p1", "a"]
    journal.register([Entry("a", "other", "{}")], overwrite=True)
    assert [row.name for row in journal.rows()] == ["a"]


def test_confidence_is_joined_by_the_frames_that_show_an_object() -> None:
    """An object that is given on a piece's last frame counts for one frame of it."""
    parts = ("seconds", "look", "absent")
    lines = ("problems", "notes", "warnings")
    common = {"objects": [1, 2], "size": [8, 8], "wall": 0.0, "peak_memory": 0, "remembered": None}
    common |= {name: {} for name in parts} | {name: [] for name in lines}
    pieces = [
        {**common, "confidence": {"1": 0.8, "2": 1.0}, "present": {"1": 10, "2": 1}},
        {**common, "confidence": {"1": 0.8, "2": 0.5}, "present": {"1": 10, "2": 10}},
    ]
    joined = joined_report(pieces, [10, 10], 20)
    assert joined["confidence"] == pytest.approx({"1": 0.8, "2": 6 / 11})
    assert joined["present"] == {"1": 20, "2": 11}
    before = [{k: v for k, v in piece.items() if k != "present"} for piece in pieces]
    assert joined_report(before, [10, 10], 20)["confidence"]["2"] == pytest.approx(0.75)
