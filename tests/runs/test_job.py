"""Everything that can be wrong with a request is found before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from conftest import first_mask, moving, tiny
from drawn import contents
from rotoscope.errors import InputError
from rotoscope.methods import METHODS
from rotoscope.methods.base import Method, Session
from rotoscope.runs.job import Job, Outputs
from rotoscope.runs.options import check_options
from rotoscope.runs.prompts import Prompt
from rotoscope.runs.segment import segment, segment_to_folder
from rotoscope.video import open_video

MASK = first_mask()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a direction that there is not": ({"direction": "sideways"}, "direction 'sideways' is not known"),
    "both ways without masks": ({"method": "cosnet", "masks": None, "direction": "both"}, "Use direction forward"),
    "backward without masks": ({"method": "cosnet", "masks": None, "direction": "backward"}, "Use direction forward"),
    "no masks for a method that needs them": ({"masks": None}, "needs the masks of at least one frame"),
    "an empty set of masks": ({"masks": {}}, "no mask is given"),
    "masks for a method that finds": ({"method": "cosnet"}, "finds objects by itself"),
    "a number that is none": ({"top_k": "many"}, "top_k 'many' is not known; use a whole number or none"),
    "a number out of range": ({"top_k": 0}, "top_k is 0"),
    "a word that there is not": ({"usage": "nonsense"}, "usage 'nonsense' is not known; use topk or softmax"),
    "neither true nor false": ({"include_last": "perhaps"}, "use true or false"),
    "an unknown option": ({"colour": 3}, "no option 'colour'"),
    "an unknown policy": ({"memory": "lru:4"}, "memory policy 'lru:4'"),
    "a budget that is no number": ({"memory_budget": "lots"}, "memory_budget 'lots'"),
    "a budget too small": ({"memory_budget": 1000}, "not even one frame"),
    "a mask beyond the end": ({"masks": {9: {1: MASK}}}, "mask for frame 9, but array has frames 0 to 8"),
    "a mask before the start": ({"masks": {-1: {1: MASK}}}, "mask for frame -1"),
    "a frame that is no number": ({"masks": {"a": {1: MASK}}}, "mask for frame 'a'"),
    "a frame that is true": ({"masks": {True: MASK}}, "mask for frame True"),
    "two masks of one object": ({"masks": [Prompt(MASK), Prompt({1: MASK}, 0)]}, "two masks on frame 0"),
    "one id for two objects": ({"masks": [Prompt({1: MASK, 2: MASK}, object_id=4)]}, "holds 2 objects"),
    "an id out of range for one object": ({"masks": [Prompt(MASK, object_id=0)]}, "object id 0 is not allowed"),
    "a mask of another size": ({"masks": {1: MASK[:-1]}}, "mask is 64x47 but the video is 64x48"),
    "a mask of other values": ({"masks": {1: MASK - 1.5}}, "must lie in"),
    "an object's mask of another shape": ({"masks": {1: {1: MASK[None]}}}, "has shape"),
    "an id that is not allowed": ({"masks": {0: {0: MASK}}}, "object id 0"),
    "a mask file that is not there": ({"masks": "nothing.png"}, "no such mask file"),
    "an unknown format": ({"output_formats": "gif"}, "format 'gif' is not known"),
    "no format": ({"output_formats": []}, "no output format is given"),
    "states that never come": ({"state_every": 0}, "a state every 0 frames"),
    "a stream backwards": ({"stream": True, "direction": "backward"}, "cannot be read backwards"),
    "an overlay over a stream": ({"stream": True, "output_formats": "overlay"}, "reads the source twice"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_loses_nothing(case: str, earlier: Path, tiny_stcn: Method) -> None:
    changes, message = WRONG[case]
    more = dict(changes)
    clip = moving(9)
    source = iter(clip) if more.pop("stream", False) else clip
    method = more.pop("method", None)
    model = tiny(method) if method else tiny_stcn
    masks = more.pop("masks", {0: {1: MASK}})
    before = contents(earlier)
    with open_video(source) as video, pytest.raises(InputError, match=message) as raised:
        segment_to_folder(video, masks, model, earlier, overwrite=True, **more)
    assert "\n" not in str(raised.value)
    assert contents(earlier) == before


def test_places_that_cannot_be_written_to_lose_nothing(earlier: Path, tiny_stcn: Method) -> None:
    (earlier / "soft").write_text("of somebody else")
    before = contents(earlier)
    for place, formats in ((earlier, "palette,soft"), (earlier / "run.json", "palette")):
        with open_video(moving(9)) as video, pytest.raises(InputError, match="cannot be written to"):
            segment_to_folder(video, {0: {1: MASK}}, tiny_stcn, place, output_formats=formats, overwrite=True)
        assert contents(earlier) == before


def test_a_frame_that_cannot_be_read_has_no_mask(earlier: Path, tiny_stcn: Method, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(moving(4)):
        Image.fromarray(image).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes(b"broken")
    before = contents(earlier)
    with open_video(folder) as video, pytest.raises(InputError, match="mask for frame 2, but that frame of frames"):
        segment_to_folder(video, {2: {1: MASK}}, tiny_stcn, earlier, overwrite=True)
    assert contents(earlier) == before


def test_a_mask_beyond_the_end_of_a_file_that_does_not_say_its_length(
    earlier: Path, tiny_stcn: Method, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for image in moving(9):
            container.mux(stream.encode(VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    before = contents(earlier)
    with open_video(path) as video:
        assert not video.length_is_exact
        with pytest.raises(InputError, match="mask for frame 40, but that frame of clip cannot be read"):
            segment_to_folder(video, {40: {1: MASK}}, tiny_stcn, earlier, overwrite=True)
    assert contents(earlier) == before


class BreaksError(Exception):
    """A fault of ours, in the middle of a method."""


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_a_method_that_fails_on_its_first_frame_loses_nothing(
    earlier: Path, tiny_stcn: Method, monkeypatch: pytest.MonkeyPatch, direction: Literal["forward", "both"]
) -> None:
    """What no check can know is found on the first frame, and nothing of an earlier run goes before its answer."""

    def breaks(*_: object) -> None:
        raise BreaksError

    monkeypatch.setattr("rotoscope.methods.stcn.session.STCNSession.advance", breaks)
    before = contents(earlier)
    with open_video(moving(9)) as video, pytest.raises(BreaksError):
        segment_to_folder(video, {0: {1: MASK}}, tiny_stcn, earlier, overwrite=True, direction=direction, state_every=1)
    assert contents(earlier) == before


@pytest.mark.parametrize("name", sorted(METHODS))
def test_nonsense_for_any_option_of_any_method_is_refused(name: str) -> None:
    model = tiny(name)
    masks = {0: {1: MASK}} if model.task == "semi" else {}
    with open_video(moving(2)) as video:
        for option in model.inference_options:
            for nonsense in ("nonsense", object(), float("nan")):
                with pytest.raises(InputError, match=option.split("_")[0]):
                    Job(video, masks, model, options={option: nonsense})  # type: ignore[arg-type]
        Job(video, masks, model)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Choices:
    word: Literal["soft", "hard"] = "soft"
    whole: int = 1
    number: float = 0.5
    truth: bool = False
    side: int | None = None
    pair: tuple[int, int] = (1, 2)
    several: tuple[float, ...] = ()
    text: str = ""


class Chooser(Method):
    config_class = Choices
    inference_options = ("word", "whole", "number", "truth", "side", "pair", "several", "text")

    def session(self, video: Any = None, *, budget: int | None = None, **options: Any) -> Session:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("word", ["soft", "hard"], ["medium", True, None]),
        ("whole", [0, np.int64(3)], [1.5, True, "1", None]),
        ("number", [0.5, 1, np.float32(2)], [True, "1", float("inf")]),
        ("truth", [True, False], [1, "true", None]),
        ("side", [None, 480], [0.5, "native"]),
        ("pair", [(3, 4)], [(3,), (3, 4, 5), [3, 4], (3, 4.5), 3]),
        ("several", [(), (1, 2.5)], [("a",), 1]),
        ("text", ["", "x"], [1, None]),
        ("budget", [None, 1000], ["2GB", 0.5]),
    ],
)
def test_options_are_of_the_kind_that_is_declared(name: str, right: list[Any], wrong: list[Any]) -> None:
    model = Chooser()
    for value in right:
        check_options(model, {name: value})
    for value in wrong:
        with pytest.raises(InputError, match=f"{name} "):
            check_options(model, {name: value})


@pytest.fixture
def identity(tiny_stcn: Method, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def of(length: int = 5, seed: int = 0, mask: np.ndarray = MASK, formats: str = "palette", **more: Any) -> Any:
        options = more.pop("options", {})
        outputs = Outputs.of(tmp_path / "out", formats)
        with open_video(moving(length, seed=seed)) as video:
            return Job.of(video, {0: {1: mask}}, tiny_stcn, options=options, outputs=outputs, **more).identity()

    return of


def test_the_identity_tells_runs_apart_that_would_write_other_masks(identity: Callable[..., dict[str, Any]]) -> None:
    plain = identity()
    assert identity() == plain
    changes: list[tuple[str, dict[str, Any]]] = [
        ("video", {"seed": 1}),
        ("video", {"length": 6}),
        ("masks", {"mask": np.roll(MASK, 1)}),
        ("direction", {"direction": "both"}),
        ("options", {"options": {"top_k": 3}}),
        ("formats", {"formats": "palette,npz"}),
    ]
    for name, change in changes:
        other = identity(**change)
        assert [key for key in plain if plain[key] != other[key]] == [name]


def test_numbers_of_numpy_are_numbers(identity: Callable[..., dict[str, Any]]) -> None:
    assert identity(options={"top_k": np.int64(3)}) == identity(options={"top_k": 3})


def test_nothing_is_touched_by_a_job(tiny_stcn: Method, tmp_path: Path) -> None:
    outputs = Outputs.of(tmp_path / "a" / "out", ["palette", "overlay"])
    with open_video(moving(3)) as video:
        Job.of(video, {0: {1: MASK}}, tiny_stcn, outputs=outputs).identity()
    assert not list(tmp_path.iterdir())


def test_the_generator_checks_the_same(tiny_stcn: Method) -> None:
    for changes, message in (({"top_k": "many"}, "top_k 'many'"), ({"direction": "up"}, "direction 'up'")):
        with pytest.raises(InputError, match=message):
            next(segment(moving(3), {0: {1: MASK}}, tiny_stcn, **changes))  # type: ignore[arg-type]
