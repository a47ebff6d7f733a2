"""What the napari plugin does without napari: frames, whose labels are whose, plans, and plans carried out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rotoscope
from drawn import clip_of, stripes
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.methods.base import Method
from rotoscope.plugins.napari.frames import VideoFrames, video_of
from rotoscope.plugins.napari.ledger import Ledger
from rotoscope.plugins.napari.plan import Plan, plan_run
from rotoscope.plugins.napari.running import Found, carry_out
from rotoscope.video import VideoWriter, open_video

SIZE = (64, 48)
FRAMES = 9


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with VideoWriter(path, 25, SIZE) as writer:
        for image in clip_of(FRAMES, SIZE):
            writer.write(image)
    return path


def layer_of(data: Any, rgb: bool = True, limits: tuple[float, float] = (0, 255)) -> Any:
    return SimpleNamespace(data=data, rgb=rgb, ndim=3, name="a layer", contrast_limits=limits)


def ledger_of(*given: int, objects: int = 2) -> Ledger:
    """Labels in which frames were painted with all objects."""
    labels = np.zeros((FRAMES, SIZE[1], SIZE[0]), np.uint8)
    for frame in given:
        for object_id, mask in stripes(objects, SIZE).items():
            labels[frame][mask] = object_id
    return Ledger(labels)


def answered(ledger: Ledger, plan: Plan, steps: list[Found], before: dict[int, int]) -> None:
    for found in steps:
        if found.frame is not None and found.labels is not None:
            ledger.put(found.frame, found.labels, found.ids, before[found.frame])


def run(ledger: Ledger, layer: Any, model: Method, what: Any, here: int) -> list[Found]:
    plan = plan_run(what, here, ledger)
    before = {frame: ledger.code(frame) for frame in plan.answers}
    steps = list(carry_out(plan, layer, lambda: model, lambda: False))
    assert steps[-1].steps == plan.steps
    answered(ledger, plan, steps, before)
    return steps


def test_frames_of_a_layer_are_those_of_the_video_however_they_are_asked_for(clip: Path) -> None:
    frames = VideoFrames(clip)
    with open_video(clip) as video:
        every = np.stack([frame.image for frame in video])
    assert frames.shape == every.shape
    keys = (
        3, -1, slice(2, 5), slice(None, None, -2), [4, 0], (slice(1, 3), slice(0, 9), slice(3, 20, 2)),
        (2, slice(None), 5), (Ellipsis, 0), (slice(0, 0), 3), (4, Ellipsis, slice(0, 2)),
    )  # fmt: skip
    for key in keys:
        np.testing.assert_array_equal(frames[key], every[key])
    np.testing.assert_array_equal(np.asarray(frames), every)
    with pytest.raises(IndexError):
        frames[FRAMES]


def test_a_layer_decodes_only_what_is_looked_at(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = VideoFrames(clip)
    asked = []
    at = frames.video.at
    monkeypatch.setattr(frames.video, "at", lambda index: asked.append(index) or at(index))
    for index in (4, 4, 5):
        np.asarray(frames[index, 0:10, 0:10])
    assert asked == [4, 5]


def test_a_grey_stack_is_followed_as_its_contrast_limits_show_it() -> None:
    stack = np.linspace(1000, 3000, FRAMES * 12, dtype=np.uint16).reshape(FRAMES, 3, 4)
    video = video_of(layer_of(stack, rgb=False, limits=(1000, 2000)), start=2, end=5)
    images = {frame.index: frame.image for frame in video}
    assert list(images) == [2, 3, 4]
    expected = np.round(np.clip((stack[3] - 1000.0) / 1000, 0, 1) * 255)
    np.testing.assert_array_equal(images[3], np.repeat(expected[..., None], 3, axis=2))


def test_a_frame_is_given_when_it_differs_from_what_a_run_wrote() -> None:
    ledger = ledger_of(3)
    assert ledger.prompted() == [3]
    ledger.put(4, np.full(SIZE[::-1], 2), (1, 2), ledger.code(4))
    assert ledger.prompted() == [3]
    ledger.labels[4, :10] = 1
    assert ledger.prompted() == [3, 4]
    ledger.labels[4] = 0  # a person took away what was found: that object is not there
    assert ledger.prompted() == [3, 4]
    assert {i: bool(mask.any()) for i, mask in ledger.masks(4).items()} == {1: False, 2: False}


def test_what_was_painted_during_a_run_is_not_written_over() -> None:
    ledger = ledger_of(0)
    before = ledger.code(5)
    ledger.labels[5, 3] = 7
    assert not ledger.put(5, np.ones(SIZE[::-1]), (1,), before)
    assert set(np.unique(ledger.labels[5])) == {0, 7}


def test_an_id_that_the_labels_cannot_hold_is_refused() -> None:
    ledger = ledger_of(0)
    with pytest.raises(InputError, match="object 300 does not fit"):
        ledger.put(1, np.zeros(SIZE[::-1]), (300,), ledger.code(1))


@pytest.mark.parametrize(
    ("what", "here", "direction", "start", "end", "answers"),
    [
        ("forward", 3, "forward", 2, 9, range(3, 9)),
        ("back", 5, "backward", 0, 7, range(0, 6)),
        ("both", 4, "both", 0, 9, range(0, 9)),
        ("here", 4, "forward", 2, 5, range(4, 5)),
        ("here", 1, "backward", 1, 3, range(1, 2)),
        ("correct", 2, "forward", 2, 6, range(2, 6)),
        ("correct", 6, "forward", 6, 9, range(6, 9)),
    ],
)
def test_buttons_mean_runs(what: Any, here: int, direction: str, start: int, end: int, answers: range) -> None:
    plan = plan_run(what, here, ledger_of(2, 6))
    assert (plan.direction, plan.start, plan.end, plan.answers) == (direction, start, end, answers)
    assert list(plan.prompts) == [frame for frame in (2, 6) if start <= frame < end]


def test_a_run_begins_where_an_object_was_seen_that_is_hidden_on_the_frame_of_a_correction() -> None:
    ledger = ledger_of(1, 5)
    ledger.labels[5][ledger.labels[5] == 2] = 0
    plan = plan_run("correct", 5, ledger)
    assert (plan.start, plan.answers) == (1, range(5, 9))
    assert {frame: set(masks) for frame, masks in plan.prompts.items()} == {1: {1, 2}, 5: {1}}


@pytest.mark.parametrize(
    ("what", "here", "given", "message"),
    [
        ("forward", 0, (), "nothing is given to follow"),
        ("forward", 1, (4,), "nothing is given on frame 1 or before it"),
        ("forward", 8, (4,), "nothing comes after frame 8"),
        ("back", 0, (0,), "nothing comes before frame 0"),
        ("back", 5, (4,), "nothing is given on frame 5 or after it"),
        ("here", 4, (4,), "the masks of frame 4 are given"),
        ("correct", 3, (2,), "the labels of frame 3 are as they were found"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(what: Any, here: int, given: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_run(what, here, ledger_of(*given))


@pytest.mark.parametrize("what", ["back", "correct"])
def test_a_method_that_finds_objects_goes_forward_only(what: Any) -> None:
    with pytest.raises(InputError, match="forward only"):
        plan_run(what, 3, ledger_of(), finds=True)
    assert plan_run("forward", 3, ledger_of(), finds=True).answers == range(3, 9)


@pytest.mark.parametrize(("what", "direction"), [("forward", "forward"), ("both", "both")])
def test_answers_are_those_of_segment(what: Any, direction: Any, clip: Path, tiny_stcn: Method) -> None:
    ledger = ledger_of(0, 5)
    given = {frame: ledger.masks(frame) for frame in (0, 5)}
    run(ledger, layer_of(VideoFrames(clip)), tiny_stcn, what, 0)
    for prediction in rotoscope.segment(clip, given, tiny_stcn, direction=direction):
        np.testing.assert_array_equal(ledger.labels[prediction.index], prediction.labels)
    assert ledger.prompted() == [0, 5]


def test_a_correction_changes_what_comes_after_it_and_nothing_before(clip: Path, tiny_stcn: Method) -> None:
    ledger, layer = ledger_of(0), layer_of(VideoFrames(clip))
    run(ledger, layer, tiny_stcn, "forward", 0)
    before = ledger.labels.copy()
    ledger.labels[4] = np.roll(ledger.labels[4], 9, axis=1)
    corrected = ledger.labels[4].copy()
    steps = run(ledger, layer, tiny_stcn, "correct", 4)
    assert [found.frame for found in steps if found.labels is not None] == [5, 6, 7, 8]
    np.testing.assert_array_equal(ledger.labels[:4], before[:4])
    np.testing.assert_array_equal(ledger.labels[4], corrected)
    assert not np.array_equal(ledger.labels[5:], before[5:])


def test_a_run_that_is_stopped_keeps_what_it_answered(clip: Path, tiny_stcn: Method) -> None:
    ledger = ledger_of(0)
    plan = plan_run("forward", 0, ledger)
    taken: list[Found] = []
    for found in carry_out(plan, layer_of(VideoFrames(clip)), lambda: tiny_stcn, lambda: len(taken) >= 4):
        taken.append(found)
    assert [found.frame for found in taken] == [None, 0, 1, 2]


def test_a_fault_of_the_method_is_an_error_that_napari_shows(clip: Path, tiny_stcn: Method) -> None:
    def short_of_memory() -> Method:
        return tiny_stcn

    class Broken:
        def __call__(self) -> bool:
            raise RuntimeError("out of\nmemory")

    plan = plan_run("forward", 0, ledger_of(0))
    with pytest.raises(RotoscopeError, match="the method failed: out of memory"):
        list(carry_out(plan, layer_of(VideoFrames(clip)), short_of_memory, Broken()))
