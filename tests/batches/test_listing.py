"""Lists, folders, globs and data sets of videos."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.listing import read_jobs
from rotoscope.batches.work import files_of
from rotoscope.errors import InputError


def test_a_folder_gives_its_clips_with_the_masks_beside_them(clips: Path) -> None:
    jobs = read_jobs(str(clips))
    assert [job.name for job in jobs] == [f"clip{i}" for i in range(4)]
    assert all(job.masks == {0: str(clips / f"{job.name}.png")} for job in jobs)


def test_masks_may_lie_in_a_folder_of_their_own(clips: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in clips.glob("*.png"):
        path.rename(masks / path.name)
    assert [dict(job.masks) for job in read_jobs(str(clips), masks)] == [
        {0: str(masks / f"clip{i}.png")} for i in range(4)
    ]


def test_a_glob_gives_what_it_matches(clips: Path) -> None:
    assert [job.name for job in read_jobs(str(clips / "clip[12]"))] == ["clip1", "clip2"]


def test_a_data_set_gives_its_sequences(clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(2):
        (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
        (clips / f"clip{number}").rename(root / "JPEGImages" / f"s{number}")
        place = root / "Annotations" / f"s{number}"
        place.mkdir(parents=True)
        Image.fromarray(np.eye(48, 64, dtype=np.uint8)).save(place / "00000.png")
    jobs = read_jobs(f"pairs:{root}")
    assert [(job.name, job.sequence) for job in jobs] == [("s0", "s0"), ("s1", "s1")]
    first = jobs[0].identity("w", files_of(jobs[0], {}))
    assert jobs[0].identity("w", files_of(jobs[0], {})) == first
    Image.fromarray(np.eye(48, 64, 3, dtype=np.uint8)).save(root / "Annotations" / "s0" / "00000.png")
    assert jobs[0].identity("w", files_of(jobs[0], {})) != first


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "yaml"])
def test_lists_of_all_kinds_say_the_same(kind: str, tmp_path: Path) -> None:
    rows = [
        {"video": "a.mp4", "mask": "a.png", "name": "first", "option.top_k": 5},
        {"video": "b.mp4", "masks": "b.png@3; c.png@9", "direction": "both", "formats": "palette,npz"},
    ]
    path = tmp_path / f"list.{kind}"
    if kind == "csv":
        text = "video,mask,name,option.top_k,masks,direction,formats\na.mp4,a.png,first,5,,,\n"
        text += 'b.mp4,,,,b.png@3; c.png@9,both,"palette,npz"\n'
    elif kind == "json":
        text = json.dumps(rows)
    elif kind == "jsonl":
        text = "\n".join(json.dumps(row) for row in rows)
    else:
        text = "\n".join(f"- {json.dumps(row)}" for row in rows)
    path.write_text(text, encoding="utf-8")
    first, second = read_jobs(str(path))
    assert (first.name, first.video, first.masks) == ("first", str(tmp_path / "a.mp4"), {0: str(tmp_path / "a.png")})
    assert first.options == {"top_k": 5}
    assert (second.name, second.direction, second.formats) == ("b", "both", ("palette", "npz"))
    assert second.masks == {3: str(tmp_path / "b.png"), 9: str(tmp_path / "c.png")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "list of jobs"),
        ("{", "damaged"),
        ('[{"vidoe": "a.mp4"}]', "did you mean 'video'"),
        ('[{"name": "a"}]', "has no 'video'"),
        ('[{"video": "a.mp4"}, {"video": "b/a.mp4"}]', "two jobs are called a"),
        ('[{"video": "a.mp4", "name": "../a"}]', "is no name"),
        ('[{"video": "a.mp4", "name": ".batch"}]', "is no name"),
        ('[{"video": "a.mp4", "name": "x"}, {"video": "b.mp4", "name": "x/y"}]', "within those of another"),
        ('[{"video": "a.mp4", "start": "soon"}]', "no whole number"),
        ('[{"video": "a.mp4", "options": 3}]', "fields with values"),
        ('[{"video": "a.mp4", "masks": "a.png@1;b.png@1"}]', "two masks for one frame"),
        ("[]", "no video"),
    ],
)
def test_a_wrong_list_is_refused_in_a_line(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_jobs(str(path))


def test_a_job_comes_back_from_its_text() -> None:
    job = BatchJob("a/b", "v.mp4", {3: "m.png"}, formats=("palette", "npz"), options={"top_k": 5}, end=9)
    assert BatchJob.from_text(job.as_text()) == job


def test_identity_follows_inputs_and_options(clips: Path) -> None:
    job = read_jobs(str(clips))[0]
    first = job.identity("w")
    assert job.identity("w") == first
    assert job.identity("other weights") != first
    assert BatchJob("x", job.video, job.masks, options={"top_k": 5}).identity("w") != first
    mask = Path(job.masks[0])
    mask.write_bytes(mask.read_bytes() + b" ")
    assert job.identity("w") != first


def test_clips_in_folders_with_masks_beside_them_are_no_clip_themselves(clips: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / "deep").mkdir(exist_ok=True)
        shutil.copytree(clips, tmp_path / "deep" / place)
    assert [job.name for job in read_jobs(str(tmp_path / "deep"))] == [f"{p}/clip{n}" for p in "ab" for n in range(4)]


def test_results_inside_the_folder_of_clips_are_no_clips(clips: Path) -> None:
    before = read_jobs(str(clips))
    (clips / "out" / ".batch").mkdir(parents=True)
    shutil.copytree(clips / "clip0", clips / "out" / "clip0")
    shutil.copytree(clips / "clip0", clips / "other")
    (clips / "other" / "run.json").write_text("{}")
    assert read_jobs(str(clips)) == before


def test_what_a_shell_makes_of_a_glob_is_the_same(clips: Path) -> None:
    assert read_jobs([str(path) for path in sorted(clips.iterdir())]) == read_jobs(str(clips))


def test_masks_beside_videos_are_left_where_the_method_takes_none(clips: Path) -> None:
    assert all(not job.masks for job in read_jobs(str(clips), takes_masks=lambda _: False))


@pytest.mark.parametrize(
    ("text", "masks"),
    [
        ("video;mask\r\na.mp4;a.png\r\n\r\n", {0: "a.png"}),
        ("\ufeffvideo\tmask\na.mp4\ta.png@3\n", {3: "a.png"}),
        ("video , mask\na.mp4, a.png; b.png@2\n", {0: "a.png", 2: "b.png"}),
    ],
)
def test_csv_of_any_spreadsheet_is_read(text: str, masks: dict[int, str], tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode())
    (job,) = read_jobs(str(tmp_path / "list.csv"))
    assert (job.video, job.masks) == (str(tmp_path / "a.mp4"), {n: str(tmp_path / file) for n, file in masks.items()})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("video,mask\nü.mp4,a.png\n".encode("latin-1"), "line 2 is no text in UTF-8"),
        ("video,mask\n".encode("utf-16-le"), "zero bytes"),
        (b"video,mask\na.mp4,a.png,b,c\n", "job 1: has 4 values, and the header names 2"),
        (b"video,video\na.mp4,b.mp4\n", "'video' twice"),
        (b"video,mask\n", "no video is in it"),
        (b"", "no video is in it"),
        (b"video,resize_masks\na.mp4,perhaps\n", "write true or false"),
        (b"video\nhttp://127.0.0.1/a.mp4\n", "is an address"),
    ],
)
def test_a_wrong_csv_is_refused_in_a_line(data: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=told):
        read_jobs(str(path))


def test_yaml_may_list_masks(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- video: a.mp4\n  masks: [a.png, b.png@4]\n- video: c.mp4\n  masks: {2: c.png}\n")
    assert [dict(job.masks) for job in read_jobs(str(path))] == [
        {0: str(tmp_path / "a.png"), 4: str(tmp_path / "b.png")},
        {2: str(tmp_path / "c.png")},
    ]
