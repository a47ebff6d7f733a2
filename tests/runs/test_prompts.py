"""Masks that are given to a video: by frame, by object, by id; and what is said where they may not be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import first_mask, moving
from rotoscope.errors import InputError
from rotoscope.methods.base import Method
from rotoscope.runs.job import Job
from rotoscope.runs.passes import Passes
from rotoscope.runs.prompts import Prompt, read_prompts
from rotoscope.runs.segment import segment, segment_to_folder
from rotoscope.video import open_video

MASK = first_mask()
OTHER = np.roll(MASK, 30, axis=1)
LABELS = MASK * 4 + OTHER * 9


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A 0/255 picture of each mask, and an index picture of both."""
    paths = {name: tmp_path / f"{name}.png" for name in ("one", "other", "both")}
    Image.fromarray(MASK.astype(np.uint8) * 255).save(paths["one"])
    Image.fromarray(OTHER.astype(np.uint8) * 255).save(paths["other"])
    Image.fromarray(LABELS.astype(np.uint8)).save(paths["both"])
    return paths


def given(masks: Any, **more: Any) -> dict[int, list[int]]:
    with open_video(moving(20)) as video:
        return {frame: sorted(found) for frame, found in read_prompts(masks, video, **more).items()}


FORMS: dict[str, tuple[Any, dict[int, list[int]]]] = {
    "an array is of the first frame": (MASK, {0: [1]}),
    "a picture is of the first frame": (Image.fromarray(LABELS.astype(np.uint8)), {0: [4, 9]}),
    "a file is of the first frame": ("both", {0: [4, 9]}),
    "a mapping is by frame": ({12: MASK}, {12: [1]}),
    "frame 0 is a frame": ({0: MASK}, {0: [1]}),
    "a mapping of several is by frame": ({1: MASK, 7: OTHER}, {1: [1], 7: [1]}),
    "label maps by frame": ({12: LABELS.astype(np.int64), 3: MASK}, {3: [1], 12: [4, 9]}),
    "pictures by frame": ({12: Image.fromarray(LABELS.astype(np.uint8))}, {12: [4, 9]}),
    "files by frame": ({12: "both", 0: "one"}, {0: [1], 12: [4, 9]}),
    "objects by frame": ({0: {7: MASK}, 12: {9: OTHER, 2: MASK}}, {0: [7], 12: [2, 9]}),
    "files by object": ({3: {5: "one", 6: "other"}}, {3: [5, 6]}),
    "all at once": ({0: {7: MASK}, 4: "both", 6: OTHER}, {0: [7], 4: [4, 9], 6: [1]}),
    "NumPy's numbers": ({np.int64(12): MASK}, {12: [1]}),
    "an id for one object": ([Prompt("one", 12, 7), Prompt("other", 12, 2)], {12: [2, 7]}),
    "an id for one, its own ids for others": ([Prompt("both"), Prompt("one", None, 2)], {0: [2, 4, 9]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_form_for_frames_and_one_for_objects(form: str, files: dict[str, Path]) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [Prompt(filled(g.source), g.frame, g.object_id) for g in value]
        return files[value] if isinstance(value, str) else value

    masks, expected = FORMS[form]
    assert given(filled(masks)) == expected


def test_what_was_decided_about_the_file_of_one_object_is_told(tiny_stcn: Method, tmp_path: Path) -> None:
    noisy = np.where(MASK, 250, 3).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    notes: list[str] = []
    with open_video(moving(4)) as video:
        read_prompts({0: {7: tmp_path / "noisy.png"}}, video, notes=notes)
    assert len(notes) == 1
    assert "noisy.png" in notes[0]
    with pytest.warns(UserWarning, match=r"noisy\.png"):
        next(segment(moving(4), {0: {7: tmp_path / "noisy.png"}}, tiny_stcn))


@pytest.mark.parametrize(
    ("masks", "direction", "message"),
    [
        ({4: MASK}, "forward", "frames 0 to 3 come before the first mask and will show no object"),
        ({1: MASK}, "forward", "frame 0 comes before"),
        ({4: MASK}, "backward", "frames 5 to 8 come after the last mask and will not be answered"),
        ({7: MASK}, "backward", "frame 8 comes after"),
    ],
)
def test_frames_that_a_direction_leaves_out_are_told(
    tiny_stcn: Method, clip: np.ndarray, tmp_path: Path, masks: Any, direction: Any, message: str
) -> None:
    with pytest.warns(UserWarning, match=message):
        next(segment(clip, masks, tiny_stcn, direction=direction))
    with open_video(clip) as video:
        report = segment_to_folder(video, masks, tiny_stcn, tmp_path, direction=direction)
    assert [line for line in report.warnings if message in line]
    assert report.as_record()["warnings"] == report.warnings


@pytest.mark.parametrize(
    ("masks", "direction"),
    [({0: MASK}, "forward"), ({4: MASK}, "both"), ({8: MASK}, "backward"), ({0: MASK, 4: MASK}, "forward")],
)
def test_nothing_is_told_where_nothing_is_left_out(
    tiny_stcn: Method, clip: np.ndarray, tmp_path: Path, masks: Any, direction: Any
) -> None:
    with open_video(clip) as video:
        assert segment_to_folder(video, masks, tiny_stcn, tmp_path, direction=direction).warnings == []


def test_a_part_of_the_video_begins_at_its_own_start(tiny_stcn: Method, clip: np.ndarray, tmp_path: Path) -> None:
    with open_video(clip, start=4) as video:
        assert segment_to_folder(video, {4: MASK}, tiny_stcn, tmp_path).warnings == []


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_a_correction_that_may_be_of_another_object_is_told_once(
    tiny_stcn: Method, clip: np.ndarray, tmp_path: Path, direction: Any
) -> None:
    masks = {0: MASK, 1: OTHER}
    with open_video(clip) as video:
        report = segment_to_folder(video, masks, tiny_stcn, tmp_path / "a", direction=direction)
        told = [line for line in report.warnings if "hardly overlaps" in line]
        assert len(told) == 1
        assert "object 1 on frame 1" in told[0]
        assert "2:ball.png@12" in told[0]
        for fine in ({0: MASK, 1: np.roll(MASK, 2, axis=1)}, {0: MASK, 1: {2: OTHER}}):
            again = segment_to_folder(video, fine, tiny_stcn, tmp_path / "b", direction=direction, overwrite=True)
            assert again.warnings == []
    if direction == "forward":
        with pytest.warns(UserWarning, match="hardly overlaps"):
            list(segment(clip, masks, tiny_stcn))


def test_a_mask_where_nothing_was_shown_is_no_correction(tiny_stcn: Method, clip: np.ndarray) -> None:
    with open_video(clip) as video:
        passes = Passes(Job.of(video, {0: {1: np.zeros_like(MASK)}, 1: {1: OTHER}}, tiny_stcn))
        list(passes)
    assert passes.warnings == []


def test_warnings_outlive_an_interruption(tiny_stcn: Method, clip: np.ndarray, tmp_path: Path) -> None:
    def stop(prediction: Any) -> None:
        if prediction.index == 5:
            raise KeyboardInterrupt

    masks = {0: MASK, 1: OTHER}
    with open_video(clip) as video:
        with pytest.raises(KeyboardInterrupt):
            segment_to_folder(video, masks, tiny_stcn, tmp_path, state_every=3, on_frame=stop)
        report = segment_to_folder(video, masks, tiny_stcn, tmp_path, state_every=3, resume=True)
        assert report.resumed_at == 3
        assert any("hardly overlaps" in line for line in report.warnings)
        assert segment_to_folder(video, masks, tiny_stcn, tmp_path, resume=True).warnings == report.warnings


def test_an_id_needs_one_object(files: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="holds 2 objects; an id can only be given to one"):
        given([Prompt(files["both"], 0, 3)])
    with pytest.raises(InputError, match=r"two masks on frame 0: .*one\.png and .*other\.png"):
        given([Prompt(files["one"]), Prompt(files["other"])])
