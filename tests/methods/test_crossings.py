"""Look-alikes that cross: a made-up network takes them to bounce off each other, or has them right."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.methods.crossings import Crossings
from rotoscope.methods.likeness import colours

HEIGHT, WIDTH, RADIUS, LENGTH = 160, 240, 20, 34
IDS = [5, 9]


def disc(x: float, y: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (rows - y) ** 2 + (columns - x) ** 2 <= RADIUS**2


def ways(t: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two centres that pass each other in the middle of the clip."""
    return (30 + 5.4 * t, 76), (210 - 5.4 * t, 84)


def picture(colour: tuple[int, int, int], other: tuple[int, int, int]) -> NDArray[np.uint8]:
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for (x, y), paint in zip(ways(0), (colour, other), strict=True):
        image[disc(x, y)] = paint
    return image


def soft(masks: list[NDArray[np.bool_]]) -> Tensor:
    """Probabilities ``[1 + N, H, W]``; the first in front."""
    out, free = [], np.ones((HEIGHT, WIDTH), bool)
    for mask in masks:
        out.append(mask & free)
        free &= ~mask
    return 0.02 + 0.9 * torch.from_numpy(np.stack([free, *out])).float()


def begun(colour: tuple[int, int, int] = (200, 40, 40), other: tuple[int, int, int] = (200, 40, 40)) -> Crossings:
    crossings = Crossings()
    first, second = (torch.from_numpy(disc(x, y)).float() for x, y in ways(0))
    crossings.look(picture(colour, other), {5: first, 9: second})
    return crossings


def flickering() -> NDArray[np.uint8]:
    """A frame on which no picture of an object fits: what is left are the masks."""
    blocks = np.random.default_rng().integers(0, 2, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8) * np.uint8(255)
    return np.asarray(blocks.repeat(8, axis=0).repeat(8, axis=1), np.uint8)


def drawn(t: int) -> NDArray[np.uint8]:
    """A frame of the two discs, of one texture, the first in front."""
    rng = np.random.default_rng(4)
    image = cv2.resize(rng.integers(0, 90, (20, 30, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    paint = cv2.resize(rng.integers(90, 256, (16, 16, 3), dtype=np.uint8), (64, 64))
    for x, y in ways(t)[::-1]:
        moved = cv2.warpAffine(paint, np.array([[1, 0, x - 31.5], [0, 1, y - 31.5]]), (WIDTH, HEIGHT))
        image[disc(x, y)] = moved[disc(x, y)]
    return np.asarray(image, np.uint8)


def bouncing(crossings: Crossings, frames: range, memory: dict[int, int], pictures: bool = False) -> list[Tensor]:
    """A network that remembers who was on the left: it gives the left thing to that one, for ever."""
    answers = []
    for t in frames:
        left, right = sorted(ways(t))
        by_id = {memory[5]: disc(*left), memory[9]: disc(*right)}
        probabilities, taken = crossings.step(
            soft([by_id[5], by_id[9]]),
            IDS,
            lambda: drawn(t) if pictures else flickering(),  # noqa: B023
        )
        if taken:
            assert taken == {5: 9, 9: 5}
            memory.update({5: memory[9], 9: memory[5]})
        answers.append(probabilities)
    return answers


def right(answer: Tensor, t: int) -> tuple[float, float]:
    """Share of each object's visible pixels that have its label."""
    labels = answer.argmax(dim=0).numpy()
    masks = [disc(x, y) for x, y in ways(t)]
    alone = [masks[0] & ~masks[1], masks[1] & ~masks[0]]
    return tuple(float((labels[mask] == 1 + slot).mean()) for slot, mask in enumerate(alone))  # type: ignore[return-value]


def test_what_seems_to_bounce_has_crossed() -> None:
    memory = {5: 5, 9: 9}
    answers = bouncing(begun(), range(LENGTH), memory)
    assert memory == {5: 9, 9: 5}  # once, and for good
    for t in (*range(10), *range(24, LENGTH)):
        assert min(right(answers[t], t)) > 0.99, t
    assert np.mean([right(answers[t], t) for t in range(10, 24)]) > 0.7


def test_pictures_tell_them_apart_also_while_they_overlap() -> None:
    memory, crossings = {5: 5, 9: 9}, begun()
    crossings.portray(soft([disc(*way) for way in ways(0)]), IDS, IDS, lambda: drawn(0))
    answers = bouncing(crossings, range(LENGTH), memory, pictures=True)
    assert memory == {5: 9, 9: 5}
    for t in range(1, LENGTH):
        assert min(right(answers[t], t)) > 0.9 or min(right(answers[t], t)) != min(right(answers[t], t)), t


def test_a_network_that_has_them_right_is_left_alone() -> None:
    crossings = begun()
    for t in range(LENGTH):
        given = soft([disc(*way) for way in ways(t)])
        answer, taken = crossings.step(given, IDS, flickering)
        assert not taken
        if t < 10 or t > 26:
            assert torch.equal(answer.argmax(dim=0), given.argmax(dim=0))


def test_while_watched_each_part_is_of_one_object_whatever_the_network_mixes() -> None:
    crossings, apart, seen = begun(), 0, 0
    for t in range(LENGTH):
        first, second = (disc(*way) for way in ways(t))
        mixed = soft([first | second, np.zeros_like(first)]) if apart >= 3 else soft([first, second])
        answer, taken = crossings.step(mixed, IDS, flickering)
        apart = max((meeting.apart for meeting in crossings.meetings), default=0)
        if 3 <= apart < 8:
            assert not taken
            assert min(right(answer, t)) > 0.99, t
            seen += 1
    assert seen == 5


@pytest.mark.parametrize("colour", [(40, 40, 200), (60, 200, 60)])
def test_things_of_other_colours_are_the_networks(colour: tuple[int, int, int]) -> None:
    memory = {5: 5, 9: 9}
    bouncing(begun(other=colour), range(LENGTH), memory)
    assert memory == {5: 5, 9: 9}


def test_things_that_stand_side_by_side_stay_as_they_are() -> None:
    crossings = begun()
    for _ in range(30):
        given = soft([disc(100, 80), disc(143, 80)])
        answer, taken = crossings.step(given, IDS, flickering)
        assert not taken
        assert torch.equal(answer, given)


@pytest.mark.parametrize("moment", [5, 14, 17, 22])
def test_a_restored_one_goes_on_alike(moment: int) -> None:
    memory = {5: 5, 9: 9}
    crossings = begun()
    bouncing(crossings, range(moment), memory)
    again, same = Crossings(), dict(memory)
    again.restore(crossings.state())
    assert json.loads(again.state()["facts"]) == json.loads(crossings.state()["facts"])
    rest = range(moment, LENGTH)
    for one, other in zip(bouncing(crossings, rest, memory), bouncing(again, rest, same), strict=True):
        assert torch.equal(one, other)
    assert memory == same


def test_what_was_shown_and_not_looked_at_yet_is_kept_and_restored() -> None:
    one, again = begun(), Crossings()
    assert one.looks.shown
    again.restore(one.state())
    assert one.looks.shown  # being saved is no reason to look
    assert not one.looks.known
    assert again.looks.alike(5, 9)
    assert one.looks.alike(5, 9)
    assert not again.looks.shown
    assert torch.equal(again.looks.known[5], one.looks.known[5])
    assert {key for key in one.state() if key.startswith("look.")} == {"look.5", "look.9"}


def test_an_empty_mask_leaves_the_look_that_was_known() -> None:
    crossings = begun()
    assert crossings.looks.alike(5, 9)
    before = crossings.looks.known[5]
    crossings.look(picture((0, 90, 0), (0, 0, 90)), {5: torch.zeros(HEIGHT, WIDTH)})
    assert crossings.looks.alike(5, 9)
    assert torch.equal(crossings.looks.known[5], before)


def test_a_mask_given_in_a_meeting_ends_it() -> None:
    crossings, memory = begun(), {5: 5, 9: 9}
    bouncing(crossings, range(18), memory)
    assert crossings.merged
    crossings.look(picture((200, 40, 40), (200, 40, 40)), {5: torch.from_numpy(disc(*ways(18)[0])).float()})
    assert not crossings.merged


def test_one_that_is_removed_is_in_no_meeting() -> None:
    crossings = begun()
    bouncing(crossings, range(18), {5: 5, 9: 9})
    crossings.forget(9)
    assert not crossings.meetings
    crossings.step(soft([disc(100, 80)]), [5], flickering)
    assert set(crossings.looks.known) == {5}


def test_colours_are_compared_by_shares() -> None:
    image = picture((200, 40, 40), (40, 40, 200))
    masks = [disc(*way).astype(np.float32) for way in ways(0)]
    one, other = (colours(image, mask) for mask in masks)
    assert one is not None
    assert other is not None
    assert float(one @ one) == pytest.approx(1, abs=1e-5)
    assert float(one @ other) < 0.2
    assert colours(image, np.zeros((HEIGHT, WIDTH), np.float32)) is None
