"""Which frames are listed to look at, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from conftest import first_mask
from rotoscope.cli.tables import report_table, spans
from rotoscope.methods.base import Method
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.job import Job
from rotoscope.runs.passes import Passes
from rotoscope.runs.report import Report
from rotoscope.runs.segment import segment_to_folder
from rotoscope.runs.watch import REASONS, Shape, Watch, agreement
from rotoscope.video import Frame, open_video

SIZE = (48, 64)
Box = tuple[int, int, int, int]


def boxes(*given: Box) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    for top, left, height, width in given:
        mask[top : top + height, left : left + width] = True
    return mask


def answer(index: int, *masks: np.ndarray, sure: float = 0.98, confidence: Sequence[float] | None = None) -> Prediction:
    own = torch.stack([torch.from_numpy(m).float() * (2 * sure - 1) for m in masks])
    own = own + (1 - sure)
    rest = (1 - own.sum(0, keepdim=True)).clamp(min=0)
    frame = Frame(index, np.zeros((*SIZE, 3), np.uint8))
    ids = tuple(range(1, 1 + len(masks)))
    return Prediction.from_probabilities(frame, ids, torch.cat([rest, own]), confidence=confidence)


def watched(*answers: Prediction, given: Any = (1,)) -> dict[str, list[int]]:
    watch = Watch()
    for number, one in enumerate(answers):
        watch.see(one, given if number == 0 else ())
    return watch.listed.get(1, {})


START = boxes((10, 10, 16, 16))
LATER: dict[str, tuple[Prediction, list[str]]] = {
    "the same": (answer(1, START), []),
    "a little on": (answer(1, boxes((11, 14, 16, 16))), []),
    "a little larger": (answer(1, boxes((10, 10, 18, 18))), []),
    "with a crumb beside it": (answer(1, boxes((10, 10, 16, 16), (40, 60, 3, 3))), []),
    "nothing": (answer(1, boxes()), ["disappears"]),
    "much larger": (answer(1, boxes((6, 6, 24, 24))), ["area jumps"]),
    "much smaller": (answer(1, boxes((14, 14, 8, 8))), ["area jumps"]),
    "far off": (answer(1, boxes((10, 30, 16, 16))), ["centre jumps"]),
    "in two": (answer(1, boxes((10, 8, 16, 8), (10, 20, 16, 8))), ["detached parts"]),
    "doubted by the network": (answer(1, START, confidence=[0.6]), ["unsure"]),
    "nearly the background": (answer(1, START, sure=0.8, confidence=[0.9]), ["small margin"]),
    "all of it": (
        answer(1, boxes((10, 30, 40, 12), (2, 50, 40, 12)), sure=0.6),
        ["unsure", "area jumps", "centre jumps", "detached parts", "small margin"],
    ),
}


@pytest.mark.parametrize("case", LATER)
def test_what_a_frame_is_listed_for(case: str) -> None:
    later, reasons = LATER[case]
    found = watched(answer(0, START), later)
    assert found == {reason: [1] for reason in reasons}
    assert set(reasons) <= set(REASONS)


def test_an_object_of_two_parts_is_no_object_that_fell_apart() -> None:
    pair = boxes((10, 8, 16, 8), (10, 20, 16, 8))
    assert watched(answer(0, pair), answer(1, pair)) == {}


def test_what_is_given_is_not_listed() -> None:
    watch = Watch()
    watch.see(answer(0, START), prompted=(1,))
    watch.see(answer(1, boxes((10, 30, 30, 30)), confidence=[0.1]), prompted=(1,))
    watch.see(answer(2, boxes()), prompted=(1,))
    assert watch.listed == {}
    assert watch.absent == {1: [2]}


def test_absent_is_not_unsure() -> None:
    watch = Watch()
    for index, mask in enumerate((START, boxes(), boxes(), START)):
        watch.see(answer(index, mask, confidence=[0.9 if mask.any() else 0.0]), prompted=(1,) if index == 0 else ())
    assert watch.absent == {1: [1, 2]}
    assert watch.listed == {1: {"disappears": [1]}}


def test_each_object_has_a_list_of_its_own() -> None:
    other = boxes((30, 40, 10, 10))
    watch = Watch()
    watch.see(answer(0, START, other), prompted=(1, 2))
    watch.see(answer(1, START, boxes((30, 10, 10, 10))))
    assert watch.listed == {2: {"centre jumps": [1]}}


def test_passes_that_disagree_are_listed() -> None:
    watch = Watch()
    watch.see(answer(0, START), prompted=(1,))
    watch.see(answer(1, START), agreement={1: 0.4})
    watch.see(answer(2, START), agreement={1: 0.6})
    assert watch.listed == {1: {"passes disagree": [1]}}


def test_agreement_is_the_overlap_of_what_both_know() -> None:
    half = boxes((10, 10, 16, 8))
    assert agreement(answer(0, START, boxes()), answer(0, half, boxes())) == {1: 0.5, 2: 1.0}
    assert agreement(answer(0, START), answer(0, boxes(), START)) == {1: 0.0}


def test_a_shape_is_measured_on_the_whole_picture() -> None:
    shape = Shape.of(answer(0, boxes((10, 20, 4, 4), (30, 40, 2, 2)), sure=0.9), 1)
    assert shape is not None
    assert shape.area == 20
    assert (shape.x, shape.y) == pytest.approx(((16 * 21.5 + 4 * 40.5) / 20, (16 * 11.5 + 4 * 30.5) / 20))
    assert shape.whole == pytest.approx(0.8)
    assert shape.margin == pytest.approx(0.8, abs=1e-5)
    assert Shape.of(answer(0, boxes()), 1) is None


def test_a_watch_goes_on_where_it_was_saved() -> None:
    answers = [answer(t, boxes((10, 10 + 3 * t * t, 16, 16)), confidence=[0.9 - 0.1 * t]) for t in range(4)]
    whole, first = Watch(), Watch()
    for one in answers:
        whole.see(one)
    for one in answers[:2]:
        first.see(one)
    again = Watch.from_json(json.loads(json.dumps(asdict(first))))
    for one in answers[2:]:
        again.see(one)
    assert again == whole
    assert whole.listed


def test_a_run_lists_them_and_the_table_shows_them(tiny_stcn: Method, clip: np.ndarray, tmp_path: Any) -> None:
    given = {0: {1: first_mask()}, 8: {1: np.roll(first_mask(), 16, 1)}}
    with open_video(clip) as video:
        report = segment_to_folder(video, given, tiny_stcn, tmp_path, direction="both")
        seen = Watch()
        for step in Passes(Job(video, given, tiny_stcn, "both")):  # type: ignore[arg-type]
            if not step.hidden:
                seen.see(step.prediction, given.get(step.prediction.index, {}), step.agreement)
        again = segment_to_folder(video, given, tiny_stcn, tmp_path, direction="both", resume=True)
    assert report.look == seen.listed
    assert (again.look, again.absent) == (report.look, report.absent)
    assert report.look, "a network that has learnt nothing gives something to look at"
    assert 0 not in [frame for by in report.look.values() for frames in by.values() for frame in frames]


def test_the_table_names_frames_in_spans() -> None:
    report = Report(objects=(1, 2), confidence={1: 0.8, 2: 0.0}, look={1: {"unsure": [3, 7, 8, 9], "area jumps": [3]}})
    report.absent = {2: [*range(5), *range(6, 40, 2)]}
    console = Console(width=200, record=True)
    with console.capture() as shown:
        console.print(report_table(report))
    text = shown.get()
    assert "object 1: unsure on 3, 7 to 9; area jumps on 3" in text
    assert "object 2 on 22 frame(s): 0 to 4, 6, 8, 10, 12, 14 and 12 more, see run.json" in text


@pytest.mark.parametrize(
    ("frames", "expected"), [([], []), ([4], ["4"]), ([1, 2, 3, 9, 7, 8], ["1 to 3", "7 to 9"]), ([2, 4], ["2", "4"])]
)
def test_spans(frames: list[int], expected: list[str]) -> None:
    assert spans(frames) == expected
