"""Where the page stops, ``rotoscope segment --resume`` goes on; and a finished run of it becomes a project's masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rotoscope.app.handover import adopt
from rotoscope.app.project import Project, open_project
from rotoscope.app.running import Run, Stretch
from rotoscope.app.taking import Taking
from rotoscope.errors import InputError
from rotoscope.methods.base import Method
from rotoscope.runs.earlier import REPORT, WORK
from rotoscope.runs.report import Report
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video
from served import MASK, new_project

MOVED = np.roll(MASK, 20, axis=1)


def segment(project: Project, model: Method, folder: Path, resume: bool = False) -> Report:
    with open_video(project.folder.parent / "clip.mp4") as video:
        return segment_to_folder(video, str(project.folder / "prompts"), model, folder, resume=resume)


def run(project: Project, model: Method, stretch: Stretch) -> None:
    Run(project, stretch, lambda event: None, lambda: False).go(model, "tiny")


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.mark.parametrize("given", [0, 3])
def test_the_command_line_goes_on_where_the_page_stopped_and_the_page_knows(
    tmp_path: Path, tiny_stcn: Method, given: int
) -> None:
    project = new_project(tmp_path)
    project.edit(given, {project.add_object().id: MASK})
    run(project, tiny_stcn, Stretch(stop=6))
    project.close()
    report = segment(project, tiny_stcn, project.folder / "masks", resume=True)
    assert (report.resumed_at, report.frames) == (7, 5)
    segment(project, tiny_stcn, tmp_path / "alone")
    assert masks(project.folder / "masks") == masks(tmp_path / "alone")
    again = open_project(project.folder)
    assert adopt(again) == 5
    assert again.answers.first_open(given) is None
    assert set(again.answers.codes(1, [given], None)[given:]) <= set("gsu")
    again.close()


def test_a_run_to_the_end_is_finished_for_the_command_line_too(project: Project, tiny_stcn: Method) -> None:
    project.edit(0, {project.add_object().id: MASK})
    run(project, tiny_stcn, Stretch())
    before = masks(project.folder / "masks")
    project.close()
    report = segment(project, tiny_stcn, project.folder / "masks", resume=True)
    assert report.frames == 0
    assert report.objects == (1,)
    assert masks(project.folder / "masks") == before


def test_the_command_line_is_kept_out_while_the_page_is_open(project: Project, tiny_stcn: Method) -> None:
    project.edit(0, {project.add_object().id: MASK})
    run(project, tiny_stcn, Stretch(stop=4))
    with pytest.raises(InputError, match="is writing to it"):
        segment(project, tiny_stcn, project.folder / "masks", resume=True)


def test_a_correction_after_the_run_is_no_part_of_it(project: Project, tiny_stcn: Method) -> None:
    project.edit(0, {project.add_object().id: MASK})
    run(project, tiny_stcn, Stretch(stop=4))
    project.edit(2, {1: MOVED})
    project.close()
    with pytest.raises(InputError, match="differs in its masks"):
        segment(project, tiny_stcn, project.folder / "masks", resume=True)


def test_what_the_command_line_would_not_have_written_is_not_handed_over(project: Project, tiny_stcn: Method) -> None:
    project.edit(0, {project.add_object().id: MASK})
    project.change_object(project.add_object().id, locked=True)
    run(project, tiny_stcn, Stretch(stop=4))
    project.close()
    with pytest.raises(InputError, match="holds the masks of another run"):
        segment(project, tiny_stcn, project.folder / "masks", resume=True)


def test_frames_that_followed_an_object_deleted_since_are_handed_over_once_they_are_run_again(
    project: Project, tiny_stcn: Method
) -> None:
    project.edit(0, {project.add_object().id: MASK, project.add_object().id: MOVED})
    run(project, tiny_stcn, Stretch(stop=6))
    project.remove_object(2)
    handed = project.folder / "masks" / REPORT, project.folder / "masks" / WORK
    for start, there in ((4, False), (0, True)):
        run(project, tiny_stcn, Stretch(start=start, stop=6))
        assert any(path.exists() for path in handed) == there
    project.close()
    assert segment(project, tiny_stcn, project.folder / "masks", resume=True).resumed_at == 7


def test_a_deleted_object_is_given_to_no_run_and_undo_gives_it_again(project: Project) -> None:
    one, other = project.add_object(), project.add_object()
    project.edit(0, {one.id: MASK})
    project.edit(5, {other.id: MOVED})
    there = project.folder / "prompts" / str(other.id) / "00005.png"
    whole = there.read_bytes()
    project.remove_object(other.id)
    assert not there.parent.exists()
    project.undo()
    assert there.read_bytes() == whole


def test_a_finished_run_is_taken_in_and_gone_on_from(tmp_path: Path, tiny_stcn: Method) -> None:
    source = new_project(tmp_path)
    source.edit(2, {source.add_object().id: MASK})
    with open_video(tmp_path / "clip.mp4") as video:
        prompts = str(source.folder / "prompts")
        segment_to_folder(video, prompts, tiny_stcn, tmp_path / "run", output_formats=["palette", "soft"])
    source.close()
    (tmp_path / "mine").mkdir()
    project = new_project(tmp_path / "mine")
    done: list[int] = []
    assert Taking(project, tmp_path / "run").go(done.append, lambda: False) == 12
    assert done == list(range(1, 13))
    assert masks(project.folder / "masks") == masks(tmp_path / "run")
    assert project.prompted_frames() == [2]
    np.testing.assert_array_equal(project.prompted_masks(2)[1], MASK)
    assert project.answers.first_open(0) is None
    project.edit(8, {1: MOVED})
    again = Run(project, Stretch(), lambda event: None, lambda: False)
    again.go(tiny_stcn, "tiny")
    assert (again.start, again.written) == (8, 4)
    project.close()


def test_a_run_of_another_clip_or_none_is_not_taken_in(tmp_path: Path, project: Project, tiny_stcn: Method) -> None:
    (tmp_path / "other").mkdir()
    longer = new_project(tmp_path / "other", 15)
    longer.edit(0, {longer.add_object().id: MASK})
    segment(longer, tiny_stcn, tmp_path / "longer")
    longer.close()
    with pytest.raises(InputError, match="this one has no frame 00012"):
        Taking(project, tmp_path / "longer")
    with pytest.raises(InputError, match="holds no finished run"):
        Taking(project, tmp_path / "other")
