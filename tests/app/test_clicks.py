"""Clicks on the page: what answers them is what answers them elsewhere, and sees a frame once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rotoscope import Points, load, load_prompter
from rotoscope.cli import main
from rotoscope.masks.reading import read_masks
from rotoscope.prompts.answering import NetworkPrompter
from served import MASK, SIZE, Served

CLICKS = [[14, 20, True], [40, 40, False], [10, 24, True]]


def clicked(served: Served, frame: int, object_id: int, clicks: list[list[object]], begin: bool = True) -> np.ndarray:
    asked = {"frame": frame, "object": object_id, "points": clicks, "begin": begin}
    served.client.post(f"{served.api}/click", json=asked).raise_for_status()
    return served.launch.service.project(served.key).mask(frame, object_id)


def new_object(served: Served) -> int:
    return int(served.client.post(f"{served.api}/objects", json={}).json()["id"])


def test_page_command_line_and_python_give_the_same_mask(served: Served, tmp_path: Path) -> None:
    image = served.launch.service.image(served.key, 3)
    by_page = clicked(served, 3, new_object(served), CLICKS) > 127

    Image.fromarray(image).save(tmp_path / "frame.png")
    options = [word for x, y, yes in CLICKS for word in ("--point" if yes else "--not-point", f"{x},{y}")]
    assert main(["prompt", str(tmp_path / "frame.png"), "-o", str(tmp_path / "mask.png"), *options]) == 0
    by_command_line = read_masks(tmp_path / "mask.png").masks[1] > 0.5

    points = Points([(14, 20), (10, 24)], [(40, 40)])
    by_prompter = load_prompter().open(image).answer(points.placed(SIZE)).chosen
    session = load("stcn-small", device="cpu").session(SIZE)
    session.add_points({1: points})
    by_session = session.push(image)[0].labels == 1

    assert by_prompter.any()
    for mask in (by_command_line, by_session):
        np.testing.assert_array_equal(mask, by_prompter)
    # The page answers clicks in the order in which they were made; the others take the wanted ones first.
    ordered = (
        load_prompter()
        .open(image)
        .answer(
            points.placed(SIZE)._replace(
                places=np.array([c[:2] for c in CLICKS]), wanted=np.array([c[2] for c in CLICKS])
            )
        )
    )
    np.testing.assert_array_equal(by_page, ordered.chosen)


def test_a_frame_is_encoded_once_for_all_clicks_on_it(served: Served) -> None:
    prompter = load_prompter()
    assert isinstance(prompter, NetworkPrompter)
    seen: list[int] = []
    hook = prompter.model.network.trunk.register_forward_hook(lambda *_: seen.append(1))
    one, two = new_object(served), new_object(served)
    for count in range(1, 4):
        clicked(served, 5, one, CLICKS[:count], begin=count == 1)
    clicked(served, 5, two, [[50, 10, True]])
    hook.remove()
    assert len(seen) == 1


def test_an_unwanted_click_on_a_detached_part_leaves_the_rest_of_a_painted_mask_bit_for_bit(served: Served) -> None:
    one = new_object(served)
    painted = np.where(MASK > 0, np.linspace(140, 255, SIZE[0]).astype(np.uint8), np.uint8(0))
    painted[2:5, 58:62] = 200
    served.client.post(f"{served.api}/mask/7/{one}", content=painted.tobytes()).raise_for_status()
    before = served.launch.service.project(served.key).mask(7, one)
    after = clicked(served, 7, one, [[60, 3, False]])
    assert before[2:5, 58:62].all()
    assert not after[2:5, 58:62].any()
    before[2:5, 58:62] = 0
    np.testing.assert_array_equal(after, before)
