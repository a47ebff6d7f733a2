"""A project keeps all that was done to it, and opens again whatever happened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from drawn import contents
from rotoscope.app.answers import Seen
from rotoscope.app.project import Project, open_project
from rotoscope.errors import InputError
from rotoscope.files import new_file_beside
from rotoscope.runs.lock import FolderLock
from rotoscope.runs.prompts import read_prompts
from rotoscope.video import open_video
from served import MASK, new_project


def reopened(project: Project) -> Project:
    project.close()
    return open_project(project.folder)


def test_what_is_given_is_there_when_it_is_opened_again(project: Project) -> None:
    one = project.add_object("square")
    project.edit(3, {one.id: MASK})
    again = reopened(project)
    assert [o.name for o in again.history.objects] == ["square"]
    assert again.prompted_frames() == [3]
    np.testing.assert_array_equal(again.labels(3), (MASK > 0) * one.id)
    again.close()


def test_undo_goes_all_the_way_back_and_redo_all_the_way_on(project: Project) -> None:
    one = project.add_object()
    pictures = []
    for n in range(5):
        project.edit(0, {one.id: np.roll(MASK, 4 * n, axis=1)})
        pictures.append(project.labels(0))
    project = reopened(project)
    for expected in [*pictures[-2::-1], np.zeros_like(pictures[0])]:
        project.undo()
        np.testing.assert_array_equal(project.labels(0), expected)
    project = reopened(project)
    assert project.prompted_frames() == []
    for expected in pictures:
        project.redo()
        np.testing.assert_array_equal(project.labels(0), expected)
    assert project.redo() is None
    project.close()


def test_undo_leaves_names_colours_and_locks(project: Project) -> None:
    one = project.add_object()
    project.edit(0, {one.id: MASK})
    project.change_object(one.id, name="cup", locked=True)
    project.undo()
    assert project.object(one.id).name == "cup"
    assert project.object(one.id).locked
    assert project.prompted_frames() == []


def test_a_pixel_belongs_to_who_was_given_it_last(project: Project) -> None:
    first, second = project.add_object(), project.add_object()
    project.edit(0, {first.id: MASK})
    project.edit(0, {second.id: MASK // 255 * np.where(np.arange(64) < 8, 255, 0).astype(np.uint8)})
    given = project.prompted_masks(0)
    assert not ((given[first.id] > 0) & (given[second.id] > 0)).any()
    np.testing.assert_array_equal((given[first.id] > 0) | (given[second.id] > 0), MASK > 0)


def test_a_locked_object_is_neither_painted_nor_painted_over(project: Project) -> None:
    first, second = project.add_object("kept"), project.add_object()
    project.edit(0, {first.id: MASK})
    project.change_object(first.id, locked=True)
    project.edit(0, {second.id: np.full_like(MASK, 255)})
    np.testing.assert_array_equal(project.labels(0) == first.id, MASK > 0)
    with pytest.raises(InputError, match=r"kept is locked\. Unlock it"):
        project.edit(0, {first.id: MASK})


def test_soft_edges_are_kept_and_the_command_line_reads_them(project: Project) -> None:
    one = project.add_object()
    soft = MASK.copy()
    soft[MASK > 0] = np.linspace(1, 255, int((MASK > 0).sum())).astype(np.uint8)
    project.edit(2, {one.id: soft})
    project = reopened(project)
    np.testing.assert_array_equal(project.mask(2, one.id), soft)
    read = read_prompts(str(project.folder / "prompts"), project.video)
    np.testing.assert_allclose(np.asarray(read[2][one.id], np.float32), soft / 255, atol=1 / 500)
    project.close()


@pytest.mark.parametrize("values", [[0, 40], [0, 90, 200], [128], [0, *range(60, 250)], [255], [3, 255]])
def test_the_command_line_reads_any_mask_given_as_the_page_has_it(project: Project, values: list[int]) -> None:
    one = project.add_object()
    mask = np.resize(np.array(values, np.uint8), MASK.shape)
    project.edit(2, {one.id: mask})
    read = read_prompts(str(project.folder / "prompts"), project.video)
    np.testing.assert_allclose(np.asarray(read[2][one.id], np.float32), mask / 255, atol=1e-5)


def test_a_deleted_object_is_nowhere_and_its_id_is_not_given_again(project: Project) -> None:
    one = project.add_object()
    project.edit(0, {one.id: MASK})
    project.remove_object(one.id)
    assert not project.labels(0).any()
    assert project.prompted_frames() == []
    assert project.add_object().id != one.id
    project.undo()
    project.undo()
    assert project.labels(0).any()


def test_an_object_that_ends_is_gone_from_there_on(project: Project) -> None:
    one = project.add_object()
    project.edit(2, {one.id: MASK})
    project.edit(6, {one.id: MASK})
    project.change_object(one.id, ends=5)
    assert project.labels(2).any()
    assert not project.labels(6).any()


def test_a_locked_object_is_neither_deleted_nor_ended(project: Project) -> None:
    one = project.add_object("cup")
    project.edit(2, {one.id: MASK})
    project.change_object(one.id, locked=True)
    for change in (lambda: project.remove_object(one.id), lambda: project.change_object(one.id, ends=1)):
        with pytest.raises(InputError, match="cup is locked"):
            change()
    assert project.labels(2).any()
    project.change_object(one.id, locked=False, name="mug")
    project.remove_object(one.id)
    assert not project.labels(2).any()


def test_a_line_cut_short_by_a_kill_is_taken_away(project: Project) -> None:
    one = project.add_object()
    project.edit(0, {one.id: MASK})
    project.close()
    with (project.folder / "history.jsonl").open("ab") as file:
        file.write(b'{"do":"edit","fra')
    again = open_project(project.folder)
    again.edit(1, {one.id: MASK})
    again = reopened(again)
    assert again.prompted_frames() == [0, 1]
    again.close()


@pytest.mark.parametrize("lost", ["masks", "prompts"])
def test_files_that_a_kill_left_unwritten_after_their_line_are_written_on_opening(project: Project, lost: str) -> None:
    one = project.add_object()
    project.edit(0, {one.id: MASK})
    project.edit(0, {one.id: np.roll(MASK, 9, axis=1)})
    whole = contents(project.folder / lost)
    project.close()
    shutil.rmtree(project.folder / lost)
    again = open_project(project.folder)
    locks = {".rotoscope.lock"}
    found = contents(again.folder / lost)
    assert {k: v for k, v in found.items() if k not in locks} == {k: v for k, v in whole.items() if k not in locks}
    again.close()


def test_what_a_kill_left_half_written_is_gone_on_opening(project: Project) -> None:
    project.edit(2, {project.add_object().id: MASK})
    half = [new_file_beside(project.folder / part / "00002.png") for part in ("masks", "prompts", "soft")]
    beside = project.folder / "masks" / ".of-another-program.png"
    beside.write_bytes(b"")
    project = reopened(project)
    assert not any(path.exists() for path in half)
    assert beside.exists()
    np.testing.assert_array_equal(project.labels(2) > 0, MASK > 0)
    project.close()


def test_opening_again_does_not_put_an_old_edit_over_a_later_answer(project: Project) -> None:
    one = project.add_object()
    project.edit(4, {one.id: MASK})
    project.undo()
    project.redo()
    path = project.mask_file(4)
    project.answers.add(4, Seen({one.id: 0.9}), (4, 4), project.history.tick)
    path.write_bytes(path.read_bytes() + b"later")
    project.close()
    again = open_project(project.folder)
    assert path.read_bytes().endswith(b"later")
    again.close()


def test_a_project_is_open_once(project: Project) -> None:
    with pytest.raises(InputError, match="is writing to it"):
        open_project(project.folder)


def test_what_could_not_be_opened_opens_once_it_is_mended(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    for name in ("history.jsonl", "answers.jsonl"):
        path = project.folder / name
        kept = path.read_bytes()
        path.write_bytes(kept + b"junk\n")
        with pytest.raises(InputError, match="no record of ours"):
            open_project(project.folder)
        path.write_bytes(kept)
    elsewhere = FolderLock(project.folder / "masks")
    elsewhere.acquire()
    with pytest.raises(InputError, match="is writing to it"):
        open_project(project.folder)
    elsewhere.release()
    with monkeypatch.context() as patch:
        patch.setattr(Project, "_catch_up", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            open_project(project.folder)
    open_project(project.folder).close()
    assert not list(project.folder.rglob(".rotoscope*"))


def test_a_project_of_another_video_is_refused(project: Project, tmp_path: Path) -> None:
    project.close()
    other = new_project(tmp_path / "other", 7) if (tmp_path / "other").mkdir() is None else None
    assert other is not None
    facts = json.loads((project.folder / "project.json").read_text())
    facts["video"]["path"] = str(tmp_path / "other" / "clip.mp4")
    (project.folder / "project.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="another video; it differs in frames"):
        open_project(project.folder)
    other.close()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_project_whose_video_was_moved_says_so_and_opens_by_its_new_path(tmp_path: Path, kind: str) -> None:
    project = new_project(tmp_path)
    project.close()
    source, folder = tmp_path / "clip.mp4", project.folder
    if kind == "folder":
        source, folder = tmp_path / "clip", tmp_path / "other"
        source.mkdir()
        for n in range(2):
            cv2.imwrite(str(source / f"{n}.png"), np.zeros((48, 64, 3), np.uint8))
        Project.create(folder, source, open_video(source)).close()
    moved = source.rename(tmp_path / f"moved{source.suffix}")
    with pytest.raises(
        InputError, match=r"video of this project is not where it was, .*clip.*correct its path"
    ) as told:
        open_project(folder)
    assert str(folder) in str(told.value)
    facts = json.loads((folder / "project.json").read_text())
    facts["video"] |= {"path": str(moved), "name": moved.stem}
    (folder / "project.json").write_text(json.dumps(facts))
    open_project(folder).close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}'])
def test_what_is_no_project_is_refused(project: Project, text: str) -> None:
    project.close()
    (project.folder / "project.json").write_text(text)
    with pytest.raises(InputError, match=r"no project|of form 99"):
        open_project(project.folder)


def test_a_journal_of_another_version_is_refused(project: Project) -> None:
    project.close()
    (project.folder / "history.jsonl").write_text('{"do":"dance"}\n')
    with pytest.raises(InputError, match="which this version does not know"):
        open_project(project.folder)
