"""The colours that a person gives to objects: in the overlay, in a run's record, and when it is resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import first_mask, moving
from rotoscope.errors import InputError
from rotoscope.masks.drawing import overlay
from rotoscope.masks.mattes import Delivery
from rotoscope.masks.palette import colour, parse_colour
from rotoscope.methods.base import Method
from rotoscope.runs.report import Report
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video

ORANGE = {1: "#ff8800"}
byte = st.integers(0, 255)
TWO = np.repeat(np.array([0, 1, 2, 300], np.uint16), 16).reshape(8, 8)


def run(
    out: Path, model: Method, colours: dict[int, str] | None = None, formats: str = "overlay", **more: bool
) -> Report:
    with open_video(moving(4, (128, 96))) as video:
        masks = {0: {1: first_mask((128, 96))}}
        delivery = Delivery.of(colours=colours)
        return segment_to_folder(video, masks, model, out, output_formats=formats, delivery=delivery, **more)


@given(red=byte, green=byte, blue=byte)
@settings(max_examples=50)
def test_an_object_has_its_own_colour_and_the_others_those_of_the_palette(red: int, green: int, blue: int) -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    text = f"#{red:02x}{green:02x}{blue:02x}"
    assert parse_colour(text) == (red, green, blue)
    drawn = overlay(image, TWO, alpha=1, contours=False, colours=Delivery.of(colours={2: text}).paints())
    for object_id, paint in {0: (100, 100, 100), 1: colour(1), 2: (red, green, blue), 300: colour(300)}.items():
        assert (drawn[object_id == TWO] == paint).all()


def test_the_overlay_shows_what_was_given_and_nothing_else_changes(tmp_path: Path, tiny_stcn: Method) -> None:
    run(tmp_path / "plain", tiny_stcn)
    run(tmp_path / "orange", tiny_stcn, ORANGE)
    run(tmp_path / "same", tiny_stcn, {1: "#{:02x}{:02x}{:02x}".format(*colour(1))})
    plain, orange, same = ({p.name: p for p in (tmp_path / n).iterdir()} for n in ("plain", "orange", "same"))
    for name in plain:
        if name != "run.json":
            assert plain[name].read_bytes() == same[name].read_bytes()
            assert (plain[name].read_bytes() == orange[name].read_bytes()) == (name != "overlay.mp4")
    with open_video(plain["overlay.mp4"]) as before, open_video(orange["overlay.mp4"]) as after:
        inside = first_mask((128, 96))
        change = after[0].image[inside].mean(axis=0) - before[0].image[inside].mean(axis=0)
    wanted = 0.45 * (np.array(parse_colour("#ff8800")) - np.array(colour(1)))
    np.testing.assert_allclose(change, wanted, atol=12)  # of a video with a quarter of the colours


def test_a_run_is_resumed_with_the_same_colours_only(tmp_path: Path, tiny_stcn: Method) -> None:
    run(tmp_path, tiny_stcn, ORANGE)
    assert json.loads((tmp_path / "run.json").read_text())["run"]["colours"] == {"1": "#ff8800"}
    for colours in (None, {1: "#ff8801"}):
        with pytest.raises(InputError, match="differs in its colours"):
            run(tmp_path, tiny_stcn, colours, resume=True)
    assert run(tmp_path, tiny_stcn, {1: "#FF8800"}, resume=True).frames == 0
    run(tmp_path, tiny_stcn, overwrite=True)
    with pytest.raises(InputError, match="differs in its colours"):
        run(tmp_path, tiny_stcn, ORANGE, resume=True)


def test_colours_say_nothing_where_no_format_has_them(tmp_path: Path, tiny_stcn: Method) -> None:
    run(tmp_path, tiny_stcn, ORANGE, "palette")
    assert "colours" not in json.loads((tmp_path / "run.json").read_text())["run"]
    assert run(tmp_path, tiny_stcn, None, "palette", resume=True).frames == 0


@pytest.mark.parametrize("text", ["#f80", "ORANGE", "rgb(255, 165, 0)", "#ffa500"])
def test_colours_are_written_as_in_the_web(text: str) -> None:
    ((_, kept),) = Delivery.of(colours={1: text}).colours
    assert kept in ("#ff8800", "#ffa500")


@pytest.mark.parametrize("text", ["", "#ff880", "ff8800", "#ff880080", "rgb(300,0,0)", "rgba(1,2,3,4)", "reddish"])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not understood as a colour"):
        Delivery.of(colours={1: text})


@pytest.mark.parametrize("object_id", [0, -1, 65536])
def test_what_is_no_id_is_refused(object_id: int) -> None:
    with pytest.raises(InputError, match="ids are 1 to 65535"):
        Delivery.of(colours={object_id: "orange"})
    with pytest.raises(InputError, match="object 2 is to be coloured, but the objects given are 1"):
        Delivery.of(colours={2: "orange"}).check_objects({1})
