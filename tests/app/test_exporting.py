"""What is exported: the very files of the command line that is shown, in the colours and with the names of the page."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from drawn import contents
from rotoscope.app.exporting import Export, command_line, layers_of
from rotoscope.app.history import TrackedObject
from rotoscope.app.project import Project
from rotoscope.app.running import Run, Stretch
from rotoscope.app.taking import Taking
from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.masks.mattes import Delivery
from rotoscope.methods.base import Method
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video
from rotoscope.weights import load
from served import MASK, new_project

FORMATS = ["palette", "objects", "overlay", "soft", "png", "exr", "greenscreen"]
SOFT = ("soft", "png", "exr", "greenscreen")
"""Formats made of probabilities, of which a project keeps 8 bits near the masks."""


@pytest.fixture
def painted(project: Project, tiny_weights: Path) -> Project:
    """Two objects along the clip, the second from frame 4 on; a third that was never painted."""
    one, other, _ = (project.add_object() for _ in range(3))
    project.edit(0, {one.id: MASK})
    project.edit(4, {other.id: np.roll(MASK, 30, axis=1)})
    project.change_object(one.id, colour="#ff8800", name="Café 2")
    Run(project, Stretch(), lambda event: None, lambda: False).go(load(tiny_weights, device="cpu"), "tiny")
    return project


def test_the_command_line_shown_writes_what_was_exported(
    painted: Project, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    delivery = Delivery.of("each", refine=True)
    ours = contents(Export(painted, FORMATS, delivery).go(lambda done: None, lambda: False))
    line = command_line(painted, FORMATS, str(tiny_weights), delivery)
    words = shlex.split(line)
    assert words[0] == "rotoscope"
    assert main([*words[1:], "--device", "cpu"]) == 0
    theirs = contents(tmp_path / "masks")
    assert set(theirs) - {"run.json"} == set(ours)
    for name, data in ours.items():
        if not name.startswith(SOFT):
            assert theirs[name] == data, name
    plain = contents(segmented(painted, tiny_weights, tmp_path / "plain"))
    assert plain["overlay.mp4"] != ours["overlay.mp4"]
    assert plain["00003.png"] == ours["00003.png"]


def segmented(project: Project, weights: Path, folder: Path) -> Path:
    """The same masks without a word of colours."""
    video, prompts = str(project.folder.parent / "clip.mp4"), str(project.folder / "prompts")
    start = ["segment", video, "--mask", prompts, "--weights", str(weights), "--device", "cpu"]
    assert main([*start, "--format", "overlay", "-o", str(folder)]) == 0
    return folder


def test_the_command_line_names_colours_and_layers_only_where_a_format_has_them(painted: Project) -> None:
    assert "--color" not in command_line(painted, ["palette", "exr"], "stcn-small")
    line = command_line(painted, ["overlay", "exr"], "stcn-small", Delivery.of("1,2"))
    assert "--objects 1,2 --name 1=Cafe_2 --color '1=#ff8800' --color '2=#e84393'" in line
    assert "3=" not in line  # an object without a mask is none to the command line
    assert "--name" not in command_line(painted, ["overlay"], "stcn-small")


def test_an_object_that_there_is_not_is_not_exported_as_nothing(project: Project) -> None:
    project.edit(0, {project.add_object().id: MASK, project.add_object().id: MASK})
    with pytest.raises(InputError, match="object 7 is to be shown, but the objects given are 1, 2"):
        Export(project, ["png"], Delivery.of("1,7"))
    project.remove_object(2)
    with pytest.raises(InputError, match="object 2 is to be shown"):
        Export(project, ["png"], Delivery.of("2"))
    Export(project, ["png"], Delivery.of("1"))


def test_layers_have_the_names_of_objects_each_its_own() -> None:
    names = ["Café 2", "cafe 2", "object 3", "2nd", "猫", "---"]
    layers = layers_of(TrackedObject(n, name, "#000000") for n, name in enumerate(names, 1))
    assert list(layers.values()) == ["Cafe_2", "cafe_2", "object_3", "object_4", "object_5", "object_6"]
    assert layers_of(TrackedObject(n, "cup", "#000000") for n in (4, 7)) == {4: "cup", 7: "cup_7"}
    Delivery.of(names=layers)  # they are names that layers can have


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["ball_3", "ball", "ball"], ["ball_3", "ball", "ball_3_3"]),
        (["object 2", "---"], ["object_2", "object_2_2"]),
        (["a_3_3", "a_3", "a", "a", "a"], ["a_3_3", "a_3", "a", "a_4", "a_5"]),
        (["a_3_3", "a_3", "a_3"], ["a_3_3", "a_3", "a_3_3_3"]),
        (["x" * 80] * 2, ["x" * 80, "x" * 80 + "_2"]),
    ],
)
def test_layers_stay_apart_where_a_number_makes_a_name_another_ones(names: list[str], called: list[str]) -> None:
    layers = layers_of(TrackedObject(n, name, "#000000") for n, name in enumerate(names, 1))
    assert list(layers.values()) == called
    Delivery.of(names=layers)


def test_objects_of_a_finished_run_keep_the_colours_that_it_was_given(tmp_path: Path, tiny_stcn: Method) -> None:
    project = new_project(tmp_path)
    with open_video(tmp_path / "clip.mp4") as video:
        delivery = Delivery.of(colours={2: "orange"})
        masks = {0: {1: MASK > 0, 2: np.roll(MASK, 30, axis=1) > 0}}
        segment_to_folder(video, masks, tiny_stcn, tmp_path / "run", output_formats="overlay", delivery=delivery)
    Taking(project, tmp_path / "run").go(lambda done: None, lambda: False)
    assert [one.colour for one in project.history.objects] == ["#3f8efc", "#ffa500"]
    project.close()
