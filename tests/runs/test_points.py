"""Points among the prompts of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rotoscope import InputError, Points, load_prompter, segment
from rotoscope.methods.base import Method
from rotoscope.methods.clicking import Clicked
from rotoscope.runs.job import Job
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video

ON_IT = Points((8, 20))


@pytest.fixture
def model(tiny_stcn: Method, monkeypatch: pytest.MonkeyPatch) -> Method:
    monkeypatch.setattr(tiny_stcn, "prompter", lambda: load_prompter("flood"))
    return tiny_stcn


@pytest.mark.parametrize("given", [ON_IT, {0: ON_IT}, {0: {1: ON_IT}}])
def test_points_stand_for_a_mask(given: Any, model: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    ours = [p.labels for p in segment(clip, given, model)]
    theirs = [p.labels for p in segment(clip, {0: mask}, model)]
    np.testing.assert_array_equal(ours, theirs)


def test_points_and_masks_side_by_side_in_all_directions(model: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    given = {0: {5: mask, 2: Points((50, 40))}, 3: {5: Points((14, 20))}}
    for direction in ("forward", "backward", "both"):
        found = list(segment(clip[:4], given, model, direction=direction))
        assert {i for p in found for i in p.object_ids} == {5, 2}


def test_pictures_of_what_points_gave_are_made_at_once_and_go_with_the_run(
    model: Method, clip: np.ndarray, tmp_path: Path
) -> None:
    out, told = tmp_path / "out", []

    def seen(clicked: Clicked, picture: Path) -> None:
        told.append((clicked.frame.index, clicked.object_id, picture.name, picture.exists()))
        assert not (out / "run.json").exists()

    with open_video(clip) as video:
        report = segment_to_folder(video, {0: {3: ON_IT}, 4: {3: Points((16, 20))}}, model, out, on_points=seen)
    assert told == [(0, 3, "00000-3.png", True), (4, 3, "00004-3.png", True)]
    assert sum("points give a mask" in note for note in report.notes) == 2
    (out / "points" / "mine.png").write_bytes(b"kept")
    with open_video(clip) as video:
        segment_to_folder(video, {0: {3: ON_IT}}, model, out, overwrite=True)
    assert sorted(path.name for path in (out / "points").iterdir()) == ["00000-3.png", "mine.png"]


def test_a_run_is_not_resumed_with_what_answers_points_otherwise(
    model: Method, clip: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def stop(prediction: Any) -> None:
        seen.append(prediction.index)
        if len(seen) == 4:
            raise KeyboardInterrupt

    given = {0: {1: ON_IT}, 6: {1: ON_IT}}
    with open_video(clip) as video, pytest.raises(KeyboardInterrupt):
        segment_to_folder(video, given, model, tmp_path, state_every=1, on_frame=stop)
    monkeypatch.setattr(model, "prompter", lambda: load_prompter("grabcut"))
    with open_video(clip) as video, pytest.raises(InputError, match="differs in its what answers points"):
        segment_to_folder(video, given, model, tmp_path, resume=True)
    monkeypatch.setattr(model, "prompter", lambda: load_prompter("flood"))
    with open_video(clip) as video:
        assert segment_to_folder(video, given, model, tmp_path, resume=True).resumed_at is not None


def test_an_unsure_beginning_is_warned_of(model: Method, clip: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "prompter", Empty)
    with pytest.warns(UserWarning, match="object 1 on frame 0: .* unsure, look at it"):
        list(segment(clip[:2], ON_IT, model))


class Empty:
    """Finds nothing."""

    code = "nothing"

    def open(self, image: np.ndarray) -> Empty:
        self.size = image.shape[:2]
        return self

    def answer(self, placed: Any, before: Any = None) -> Any:
        from rotoscope.masks.points import Answer

        return Answer(np.zeros(self.size, np.float32), 0.1)


@pytest.mark.parametrize(
    ("given", "direction", "words"),
    [
        ({0: Points((64, 0))}, "forward", "object 1 on frame 0: the point 64,0 is outside"),
        ({3: {2: Points(box=(3, 3, 3, 9))}}, "forward", "object 2 on frame 3: the box 3,3,3,9 has no area"),
        ({0: {1: ON_IT, 2: ON_IT}}, "forward", "objects 1 and 2 have the same point 8,20"),
        ({99: ON_IT}, "forward", "has frames 0 to 8"),
        ({0: {0: ON_IT}}, "forward", "object id 0"),
        ({0: Points((), (1, 1))}, "forward", "only says where it is not"),
        ({0: ON_IT, 4: Points((), (1, 1))}, "backward", "backward pass begins there"),
        ({0: ON_IT, 4: Points((), (1, 1))}, "both", "backward pass begins there"),
    ],
)
def test_wrong_points_are_refused_before_anything_is_touched(
    given: Any, direction: Any, words: str, model: Method, clip: np.ndarray, tmp_path: Path
) -> None:
    with open_video(clip) as video, pytest.raises(InputError, match=words):
        segment_to_folder(video, given, model, tmp_path / "out", direction=direction)
    assert not (tmp_path / "out").exists()


def test_without_a_prompter_and_with_broken_weights(
    model: Method, clip: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "prompter", None)
    with open_video(clip) as video, pytest.raises(InputError, match=r"rotoscope\.load"):
        Job.of(video, ON_IT, model)
    monkeypatch.setattr(model, "prompter", lambda: load_prompter("no/such/file"))
    with open_video(clip) as video, pytest.raises(InputError, match="neither a file"):
        Job.of(video, ON_IT, model)


def test_other_points_are_another_run(model: Method, clip: np.ndarray) -> None:
    with open_video(clip) as video:
        codes = [Job.of(video, given, model).identity()["masks"] for given in (ON_IT, Points((9, 20)), {0: {2: ON_IT}})]
        assert codes[0] == Job.of(video, {0: {1: Points((8, 20))}}, model).identity()["masks"]
    assert len(set(codes)) == 3
