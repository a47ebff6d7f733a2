"""What is named on the command line is a video, a mask of one, or refused; folders and globs give each video once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rotoscope.batches.listing import read_jobs
from rotoscope.errors import InputError

from .conftest import write_clip, write_mask


def names(*sources: Path | str, takes_masks: bool = True) -> list[str]:
    return [job.name for job in read_jobs([str(source) for source in sources], takes_masks=lambda _: takes_masks)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two videos, of which only the name is looked at, and masks of the first."""
    root = tmp_path / "files"
    root.mkdir()
    for name in ("a.mp4", "b.mkv", "a.png", "a.json"):
        (root / name).touch()
    return root


@pytest.mark.parametrize("name", ["c.vob", "c.h265", "c.webp", "c.nut", "c.unheard-of", "c"])
def test_a_file_that_is_named_is_a_video_whatever_its_ending(name: str, files: Path) -> None:
    (files / name).touch()
    assert names(files / "a.mp4", files / name) == ["a", "c"]
    if "." in name:
        assert names(files / f"*{Path(name).suffix}") == ["c"]


@pytest.mark.parametrize("ending", [".vob", ".h264", ".h265", ".hevc", ".apng", ".nut", ".m2v", ".VOB"])
def test_a_folder_gives_videos_of_many_endings(ending: str, files: Path) -> None:
    (files / f"c{ending}").touch()
    (files / "c.webp").touch()  # a still or not: its ending does not say
    assert names(files) == ["a", "b", "c"]


def test_masks_that_are_named_beside_their_videos_are_no_videos(files: Path) -> None:
    write_clip(files / "clip", 2)
    (files / "clip_masks").mkdir()
    for takes_masks in (True, False):
        assert names(*sorted(files.iterdir()), takes_masks=takes_masks) == ["a", "b", "clip"]
    assert names(files / "clip", *(files / "clip").iterdir()) == ["clip"]
    assert names(files / "a.png", files / "b.mkv") == ["a", "b"]


def test_what_lies_beside_videos_is_none_where_a_shell_has_named_it_with_them(files: Path) -> None:
    for name in ("a.txt", "a.srt", "notes.md"):
        (files / name).touch()
    assert names(*sorted(files.iterdir())) == ["a", "b"]
    assert names(files / "a.txt") == ["a"]  # nothing else can be meant, and its job will say that it is no video
    with pytest.raises(InputError, match="no video is in it"):
        names(files / "a.txt", files / "notes.md")


@pytest.mark.parametrize("source", ["zzz*.mp4", "empty", "empty.csv", "", "missing.mp4", "x" * 300, "missing.csv"])
def test_a_source_that_gives_nothing_is_told_beside_others_that_do(
    source: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "empty").mkdir()
    (files / "empty.csv").write_text("video\n")
    monkeypatch.chdir(files)
    with pytest.raises(InputError, match=source[:40].replace("*", r"\*") or "empty text"):
        read_jobs(["a.mp4", source])


def test_the_folder_of_the_batch_itself_may_be_among_what_a_shell_names(files: Path) -> None:
    (files / "out" / ".batch").mkdir(parents=True)
    assert names(files / "a.mp4", files / "out") == ["a"]


def test_several_json_files_are_lists(files: Path) -> None:
    for name in "xy":
        (files / f"{name}.json").write_text(f'[{{"video": "{name}.mp4"}}]')
    assert names(files / "x.json", files / "y.json", files / "b.mkv") == ["x", "y", "b"]


def test_links_are_called_by_their_own_names(files: Path) -> None:
    (files / "store").mkdir()
    shutil.move(files / "b.mkv", files / "store" / "SHA256-1.mkv")
    for name in ("first.mkv", "second.mkv"):
        os.symlink("store/SHA256-1.mkv", files / name)
    write_mask(files / "first.png")
    jobs = read_jobs([str(files / "first.mkv"), str(files / "second.mkv")])
    assert [(job.name, dict(job.masks)) for job in jobs] == [("first", {0: str(files / "first.png")}), ("second", {})]


def test_the_folder_where_one_stands_may_be_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_clip(tmp_path / "clip", 2))
    write_mask(tmp_path / "clip.png")
    (job,) = read_jobs(".")
    assert (job.name, job.masks) == ("clip", {0: str(tmp_path / "clip.png")})


def test_links_that_lead_back_are_not_followed_and_others_are(files: Path, tmp_path: Path) -> None:
    os.symlink(".", files / "again")
    os.symlink(tmp_path, files / "above")
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.mp4").touch()
    os.symlink(other, files / "there")
    os.symlink(files, other / "back")
    assert names(files) == ["a", "b", "there/c"]
    assert names(files / "**" / "*.mp4") == ["a", "c"]


def test_an_animation_is_no_mask_of_itself(files: Path) -> None:
    (files / "c.gif").touch()
    (files / "b.gif").touch()
    assert names(files) == ["a", "b", "c"]
    assert not read_jobs(str(files / "c.gif"))[0].masks
