"""Running along a clip: what is run again, what is left, and that the command line gives the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn import contents
from rotoscope.app.answers import Seen
from rotoscope.app.exporting import Export
from rotoscope.app.project import Project, open_project
from rotoscope.app.running import Run, Stretch
from rotoscope.app.states import States
from rotoscope.errors import InputError
from rotoscope.methods.base import Method
from rotoscope.runs.segment import segment_to_folder
from rotoscope.runs.watch import REASONS, Shape
from rotoscope.video import open_video
from served import MASK, new_project

MOVED = np.roll(MASK, 20, axis=1)


def go(project: Project, model: Method, stretch: Stretch, after: int | None = None) -> Run:
    """Run; stop after a number of frames."""
    seen: list[dict[str, Any]] = []
    run = Run(project, stretch, seen.append, lambda: after is not None and run.pushed >= after)
    run.go(model, "tiny")
    return run


def masks(project: Project, start: int = 0, stop: int = 10**9) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in (project.folder / "masks").glob("*.png")}
    return {name: data for name, data in sorted(found.items()) if start <= int(name[:5]) < stop}


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Project]:
    project = new_project(tmp_path, 30)
    project.edit(0, {project.add_object().id: MASK})
    yield project
    project.close()


def by_command_line(project: Project, model: Method, folder: Path) -> dict[str, bytes]:
    with open_video(project.folder.parent / "clip.mp4") as video:
        segment_to_folder(video, str(project.folder / "prompts"), model, folder)
    return {name: data for name, data in contents(folder).items() if name.endswith(".png")}


def test_a_correction_at_frame_80_of_120_runs_40_frames_and_leaves_the_others_as_they_were(
    tmp_path: Path, tiny_stcn: Method
) -> None:
    project = new_project(tmp_path, 120)
    one = project.add_object()
    project.edit(0, {one.id: MASK})
    assert go(project, tiny_stcn, Stretch()).pushed == 120
    before = masks(project, 0, 80)
    times = {name: (project.folder / "masks" / name).stat().st_mtime_ns for name in before}
    project.edit(80, {one.id: MOVED})
    again = go(project, tiny_stcn, Stretch())
    assert (again.pushed, again.written) == (40, 40)
    assert masks(project, 0, 80) == before
    assert times == {name: (project.folder / "masks" / name).stat().st_mtime_ns for name in before}
    assert masks(project) == by_command_line(project, tiny_stcn, tmp_path / "out")
    project.close()


def test_a_correction_between_two_states_repeats_only_the_frames_since_the_last(
    begun: Project, tiny_stcn: Method, tmp_path: Path
) -> None:
    go(begun, tiny_stcn, Stretch())
    before = masks(begun, 0, 17)
    begun.edit(17, {1: MOVED})
    again = go(begun, tiny_stcn, Stretch())
    assert (again.pushed, again.written) == (20, 13)
    assert masks(begun, 0, 17) == before
    assert masks(begun) == by_command_line(begun, tiny_stcn, tmp_path / "out")


def test_what_is_stopped_goes_on_where_it_was_also_after_opening_again(
    begun: Project, tiny_stcn: Method, tmp_path: Path
) -> None:
    assert go(begun, tiny_stcn, Stretch(), after=13).written == 13
    begun.close()
    again = open_project(begun.folder)
    run = go(again, tiny_stcn, Stretch())
    assert (run.pushed, run.written) == (17, 17)
    assert masks(again) == by_command_line(again, tiny_stcn, tmp_path / "out")
    again.close()


def test_to_here_ends_there_and_the_rest_follows(begun: Project, tiny_stcn: Method) -> None:
    go(begun, tiny_stcn, Stretch(stop=9))
    assert len(masks(begun)) == 10
    assert go(begun, tiny_stcn, Stretch()).pushed == 20


def test_undoing_a_correction_brings_the_old_masks_back(begun: Project, tiny_stcn: Method) -> None:
    go(begun, tiny_stcn, Stretch())
    before = masks(begun)
    begun.edit(20, {1: MOVED})
    go(begun, tiny_stcn, Stretch())
    assert masks(begun) != before
    begun.undo()
    assert go(begun, tiny_stcn, Stretch()).pushed == 10
    assert masks(begun) == before


def test_an_earlier_correction_makes_later_states_worthless(begun: Project, tiny_stcn: Method) -> None:
    go(begun, tiny_stcn, Stretch())
    begun.edit(3, {1: MOVED})
    assert go(begun, tiny_stcn, Stretch()).pushed == 30


def test_nothing_is_left_to_run_when_all_is_up_to_date(begun: Project, tiny_stcn: Method) -> None:
    go(begun, tiny_stcn, Stretch())
    with pytest.raises(InputError, match="every frame is up to date"):
        go(begun, tiny_stcn, Stretch())


def test_backward_answers_the_frames_before(tmp_path: Path, tiny_stcn: Method) -> None:
    project = new_project(tmp_path)
    one = project.add_object()
    project.edit(8, {one.id: MASK})
    run = go(project, tiny_stcn, Stretch("backward", 8))
    assert run.written == 9
    assert sorted(masks(project)) == [f"{i:05d}.png" for i in range(9)]
    assert project.answers.first_open(0) == 9
    project.close()


@pytest.mark.parametrize(
    ("stretch", "line"),
    [
        (Stretch("backward", 3, -5), "no frame -5; frames go from 0 to 29"),
        (Stretch("backward", 30), "no frame 30"),
        (Stretch("backward", 0, 7), "no frame to go back to from 0 as far as 7"),
        (Stretch(stop=500), "no frame 500"),
        (Stretch(stop=30), "no frame 30"),
        (Stretch(start=900), "no frame 900"),
        (Stretch(start=-1), "no frame -1"),
    ],
)
def test_a_run_along_frames_that_there_are_not_is_refused(begun: Project, stretch: Stretch, line: str) -> None:
    with pytest.raises(InputError, match=line):
        Run(begun, stretch, lambda event: None, lambda: False)
    Run(begun, Stretch(stop=29), lambda event: None, lambda: False)


def test_both_ways_equals_the_command_line(begun: Project, tiny_stcn: Method, tmp_path: Path) -> None:
    begun.edit(29, {1: MOVED})
    go(begun, tiny_stcn, Stretch("both"))
    with open_video(begun.folder.parent / "clip.mp4") as video:
        prompts = str(begun.folder / "prompts")
        segment_to_folder(video, prompts, tiny_stcn, tmp_path / "out", direction="both")
    assert masks(begun) == {n: d for n, d in contents(tmp_path / "out").items() if n.endswith(".png")}


def test_a_run_leaves_locked_objects(begun: Project, tiny_stcn: Method) -> None:
    other = begun.add_object()
    begun.edit(5, {other.id: MOVED})
    begun.change_object(other.id, locked=True)
    go(begun, tiny_stcn, Stretch())
    np.testing.assert_array_equal(begun.labels(5) == other.id, MOVED > 0)


def test_what_is_painted_while_a_run_comes_near_stays(begun: Project, tiny_stcn: Method) -> None:
    def paint(event: dict[str, Any]) -> None:
        if event["frame"] == 3:
            begun.edit(12, {1: MOVED})

    Run(begun, Stretch(), paint, lambda: False).go(tiny_stcn, "tiny")
    np.testing.assert_array_equal(begun.labels(12) == 1, MOVED > 0)
    assert begun.answers.first_open(0) == 12
    assert go(begun, tiny_stcn, Stretch()).pushed == 18


def test_a_deleted_object_needs_no_run_of_the_others_and_what_is_run_does_not_know_it(
    begun: Project, tiny_stcn: Method, tmp_path: Path
) -> None:
    other = begun.add_object()
    begun.edit(15, {other.id: np.roll(MASK, 40, axis=1)})
    go(begun, tiny_stcn, Stretch(stop=24))
    before = masks(begun)
    begun.remove_object(other.id)
    again = go(begun, tiny_stcn, Stretch())
    assert (again.pushed, again.written) == (20, 5)  # on from frame 10, before the object came
    assert masks(begun, 0, 25) == before
    assert all(not (begun.labels(i) == other.id).any() for i in range(30))
    go(begun, tiny_stcn, Stretch(start=22))
    expected = by_command_line(begun, tiny_stcn, tmp_path / "out")
    assert masks(begun, 22) == {name: data for name, data in expected.items() if int(name[:5]) >= 22}


def test_frames_written_without_objects_are_old_once_these_are_back(
    project: Project, tiny_stcn: Method, tmp_path: Path
) -> None:
    one, two, three = (project.add_object().id for _ in range(3))
    project.edit(0, {one: MASK, two: MOVED, three: np.roll(MASK, 40, axis=1)})
    go(project, tiny_stcn, Stretch())
    for gone, start in ((two, 6), (three, 9)):
        project.remove_object(gone)
        assert project.answers.first_open(0) is None
        go(project, tiny_stcn, Stretch(start=start))
    open_ = [(project.undo() or True) and project.answers.first_open(0) for _ in range(2)]
    project.close()
    again = open_project(project.folder)
    open_.append(again.answers.first_open(0))
    open_ += [(again.redo() or True) and again.answers.first_open(0) for _ in range(2)]
    assert open_ == [9, 6, 6, 9, None]
    again.undo()
    again.undo()
    assert go(again, tiny_stcn, Stretch()).written == 6
    assert masks(again) == by_command_line(again, tiny_stcn, tmp_path / "out")
    again.close()


def test_an_object_deleted_during_a_run_is_to_be_run_again_once_it_is_back(project: Project, tiny_stcn: Method) -> None:
    def delete(event: dict[str, Any]) -> None:
        assert set(event["confidence"]) <= set(project.history.by_id)
        if event["frame"] == 3:
            project.remove_object(1)

    project.edit(0, {project.add_object().id: MASK, project.add_object().id: MOVED})
    Run(project, Stretch(stop=7), delete, lambda: False).go(tiny_stcn, "tiny")
    assert project.answers.first_open(0) == 8
    assert not project.answers.are_forward(0, 7, {2})  # the other object would be another without it
    project.undo()
    assert project.answers.first_open(0) == 4


def test_frames_run_backward_without_an_object_are_old_once_it_is_back(project: Project, tiny_stcn: Method) -> None:
    one, two = project.add_object().id, project.add_object().id
    project.edit(0, {one: MASK, two: MOVED})
    go(project, tiny_stcn, Stretch())
    project.edit(8, {one: MASK})
    project.remove_object(two)
    go(project, tiny_stcn, Stretch("backward", 8))
    assert project.answers.first_open(0, 9) is None
    project.undo()
    assert [project.answers.first_open(i, 9) for i in range(9)] == list(range(9))


def test_states_stay_within_their_budget_and_the_newest_stay(begun: Project, tiny_stcn: Method) -> None:
    go(begun, tiny_stcn, Stretch())
    folder = begun.folder / "states"
    size = max(path.stat().st_size for path in folder.glob("*.safetensors"))
    state = States(folder).nearest(30, "tiny", 0, begun.history.given)
    assert state is not None
    small = States(folder, budget=3 * size)
    for position in range(40, 140, 10):
        state.position = position
        small.keep(state, "tiny", 0, begun.history.given)
    left = sorted(int(path.stem) for path in folder.glob("*.json"))
    assert len(left) == 3
    assert left[-1] == 130
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= 3 * size


def test_every_format_is_exported(begun: Project, tiny_stcn: Method, tmp_path: Path) -> None:
    go(begun, tiny_stcn, Stretch())
    steps: list[int] = []
    names = ["palette", "objects", "soft", "npz", "coco", "cutout", "overlay"]
    export = Export(begun, names)
    folder = export.go(steps.append, lambda: False)
    assert steps == list(range(1, 61))
    with open_video(begun.folder.parent / "clip.mp4") as video:
        prompts = str(begun.folder / "prompts")
        segment_to_folder(video, prompts, tiny_stcn, tmp_path / "out", output_formats=names)
    ours, theirs = contents(folder), contents(tmp_path / "out")
    assert set(theirs) - set(ours) == {"run.json"}
    for name in theirs:
        if name.startswith("objects/") or ("/" not in name and name.endswith(".png")):
            assert ours[name] == theirs[name], name


def test_the_answer_of_a_run_is_told_when_it_is_on_disk(begun: Project, tiny_stcn: Method) -> None:
    def there(event: dict[str, Any]) -> None:
        assert begun.mask_file(event["frame"]).exists()
        assert begun.answers.answered[event["frame"]]
        time.sleep(0)

    Run(begun, Stretch(stop=5), there, lambda: False).go(tiny_stcn, "tiny")


def test_frames_to_look_at_are_those_that_the_command_line_lists(
    begun: Project, tiny_stcn: Method, tmp_path: Path
) -> None:
    begun.edit(15, {1: MOVED})
    go(begun, tiny_stcn, Stretch(stop=12))
    go(begun, tiny_stcn, Stretch())
    begun.close()
    again = open_project(begun.folder)
    with open_video(again.folder.parent / "clip.mp4") as video:
        report = segment_to_folder(video, str(again.folder / "prompts"), tiny_stcn, tmp_path / "out")
    listed = {frame: 0 for frames in report.look.get(1, {}).values() for frame in frames}
    for reason, frames in report.look.get(1, {}).items():
        for frame in frames:
            listed[frame] |= 1 << REASONS.index(reason)
    assert listed  # a network that was never trained gives enough to look at
    assert again.answers.look[1] == listed
    codes = again.answers.codes(1, [0, 15], None)
    assert {i for i, code in enumerate(codes) if code == "u"} == set(listed) - set(report.absent.get(1, []))
    again.close()


def test_the_weakest_frame_is_the_one_whose_mask_is_nearest_to_being_worth_a_look(project: Project) -> None:
    one = project.add_object().id
    assert project.answers.weakest(one, ()) is None
    for index, (confidence, whole, margin) in enumerate([(1, 1, 1), (0.95, 0.98, 0.9), (0.9, 1, 0.95), (0.95, 0.8, 1)]):
        seen = Seen({one: confidence}, {one: Shape(100, 5.0, 5.0, whole, margin)})
        project.answers.add(index, seen, (0, index), project.history.tick)
    project.answers.add(4, Seen({one: 0.0}), (0, 4), project.history.tick)
    found = [project.answers.weakest(one, given) or (0.0, -1) for given in ((), (3,), (3, 1))]
    assert [frame for _, frame in found] == [3, 1, 2]
    np.testing.assert_allclose([rest for rest, _ in found], [0.1 / 0.3, 0.15 / 0.25, 0.2 / 0.3], rtol=1e-5)
