"""Pieces of a mask that stay behind are left out; parts of the object are not."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from conftest import first_mask, moving, tiny
from rotoscope.methods.strays import KEPT, Strays

ROWS, COLUMNS = 6, 10
OBJECT, BACKGROUND, OTHER = 0, 1, 2
"""What cells show, which is the direction of their keys."""
ID = 7


def keys(shown: Tensor) -> Tensor:
    """Keys ``[4, ROWS, COLUMNS]`` of cells that show one thing each, and hardly differ among themselves."""
    noise = 0.05 * torch.randn(4, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))
    return 4 * torch.eye(4)[shown].permute(2, 0, 1) + noise


def cells(*spans: tuple[slice, slice]) -> Tensor:
    """Which cells lie in some rectangles, bool ``[ROWS, COLUMNS]``."""
    inside = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
    for span in spans:
        inside[span] = True
    return inside


def pixels(inside: Tensor) -> Tensor:
    """The same as a mask in pixels, 0 or 1."""
    return inside.float().repeat_interleave(16, 0).repeat_interleave(16, 1)


def answer(*masks: Tensor) -> Tensor:
    """Probabilities of background and objects that are all but sure."""
    own = 0.01 + 0.9 * torch.stack(masks)
    return torch.cat([1 - own.sum(dim=0, keepdim=True), own])


FIRST, APART = (slice(1, 4), slice(1, 4)), (slice(2, 5), slice(6, 9))
WHERE = cells(FIRST)
"""Where the object was given."""


def knowing(thing: Tensor = WHERE) -> Strays:
    strays = Strays(0.2)
    strays.give(keys(torch.where(thing, OBJECT, BACKGROUND)), {ID: pixels(thing)})
    return strays


def test_background_that_came_to_light_is_left_out() -> None:
    both = cells(FIRST, APART)
    found = knowing().step(answer(pixels(both)), [ID], keys(torch.where(cells(APART), OBJECT, BACKGROUND)))
    assert torch.equal(found[1] > 0.5, pixels(cells(APART)) > 0.5)
    assert found[1][pixels(WHERE) > 0.5].max() == 0
    assert torch.allclose(found.sum(dim=0), torch.ones(()))


def test_a_part_that_an_obstacle_cuts_off_stays() -> None:
    both = cells(FIRST, APART)
    before = answer(pixels(both))
    assert torch.equal(knowing().step(before, [ID], keys(torch.where(both, OBJECT, BACKGROUND))), before)


def test_what_is_in_one_piece_stays_whatever_it_looks_like() -> None:
    before = answer(pixels(WHERE))
    assert torch.equal(knowing().step(before, [ID], keys(torch.full((ROWS, COLUMNS), OTHER))), before)


def test_a_thin_part_is_compared_with_how_much_it_covers() -> None:
    thin = torch.zeros(16 * ROWS, 16 * COLUMNS)
    thin[16:64, 16:64] = 1
    thin[40:43, 96:144] = 1  # a rope, a fifth of its cells
    strays, shown = Strays(0.2), torch.where(WHERE, OBJECT, BACKGROUND)
    shown[2, 6:9] = OTHER  # what such a rope looks like
    strays.give(keys(shown), {ID: thin})
    before = answer(thin)
    assert torch.equal(strays.step(before, [ID], keys(shown)), before)


def test_what_is_left_out_goes_to_another_object_that_was_thought_of() -> None:
    strays, other = knowing(), cells((slice(0, 1), slice(9, 10)))
    strays.give(keys(torch.full((ROWS, COLUMNS), BACKGROUND)), {9: pixels(other)})
    before = answer(pixels(cells(FIRST, APART)), pixels(other))
    before[2][pixels(WHERE) > 0.5] = 0.2
    before = before / before.sum(dim=0)
    found = strays.step(before, [ID, 9], keys(torch.where(cells(APART), OBJECT, BACKGROUND)))
    assert (found.argmax(dim=0)[pixels(WHERE) > 0.5] == 2).all()
    assert torch.equal(found[:, pixels(cells(APART)) > 0.5], before[:, pixels(cells(APART)) > 0.5])


def test_nothing_else_thought_of_is_background() -> None:
    sure = torch.zeros(2, 16 * ROWS, 16 * COLUMNS)
    sure[1] = pixels(cells(FIRST, APART))
    sure[0] = 1 - sure[1]
    found = knowing().step(sure, [ID], keys(torch.where(cells(APART), OBJECT, BACKGROUND)))
    assert found.isfinite().all()
    assert (found[0][pixels(WHERE) > 0.5] == 1).all()


def test_an_object_is_what_it_was_on_any_frame_where_it_was_given() -> None:
    strays, later = knowing(), keys(torch.where(WHERE, BACKGROUND, OTHER))
    before = answer(pixels(cells(FIRST, APART)))
    now = keys(torch.where(cells(APART), OBJECT, BACKGROUND))
    assert not torch.equal(strays.step(before, [ID], now), before)
    strays.give(later, {ID: pixels(WHERE)})
    assert torch.equal(strays.step(before, [ID], now), before)


def test_the_first_frame_and_the_latest_are_kept() -> None:
    strays = knowing()
    for number in range(1, 9):
        strays.give(torch.full((4, ROWS, COLUMNS), float(number)), {ID: pixels(WHERE)})
    kept = [float(frame.key[0, 0].round()) for frame in strays.given[ID]]
    assert kept == [0.0, 6.0, 7.0, 8.0]
    assert len(kept) == KEPT


def test_a_mask_of_very_many_pieces_takes_little_memory() -> None:
    specks = torch.zeros(16 * 100, 16 * 100)
    specks[::4, ::4] = 1
    key = torch.randn(4, 100, 100, generator=torch.Generator().manual_seed(1))
    strays = Strays(0.2)
    strays.give(key, {ID: specks})
    tracemalloc.start()
    found = strays.step(answer(specks), [ID], key)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.isfinite().all()
    assert peak < 300 * 2**20  # 160,000 pieces by 10,000 cells would be 12 GiB


def test_who_is_not_known_or_forgotten_keeps_all_pieces() -> None:
    strays = knowing()
    before = answer(pixels(cells(FIRST, APART)))
    now = keys(torch.where(cells(APART), OBJECT, BACKGROUND))
    assert torch.equal(strays.step(before, [3], now), before)
    strays.forget(ID)
    assert torch.equal(strays.step(before, [ID], now), before)


def test_saved_and_restored_it_answers_alike() -> None:
    strays, again = knowing(), Strays(0.2)
    strays.give(keys(torch.full((ROWS, COLUMNS), OTHER)), {ID: pixels(cells(APART)), 9: pixels(WHERE)})
    again.restore(strays.state())
    assert {i: len(frames) for i, frames in again.given.items()} == {ID: 2, 9: 1}
    before = answer(pixels(cells(FIRST, APART)))
    now = keys(torch.where(cells(APART), OBJECT, BACKGROUND))
    assert torch.equal(strays.step(before, [ID], now), again.step(before, [ID], now))


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_a_session_asks_only_where_told_to(least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def step(self: Strays, probabilities: Tensor, ids: Sequence[int], key: Tensor) -> Tensor:
        asked.append(tuple(ids))
        return probabilities

    monkeypatch.setattr(Strays, "step", step)
    session = tiny("stcn:light").session(strays=least)
    session.add({1: first_mask() > 0})
    for frame in moving(3):
        session.push(frame)
    assert asked == ([(1,)] * 2 if least else [])


def test_a_session_goes_on_after_a_restore_as_without() -> None:
    model, clip = tiny("stcn:light"), moving(6)
    whole, begun, again = (model.session(strays=1.0) for _ in range(3))
    for session in (whole, begun):
        session.add(first_mask())
    expected = [whole.push(frame)[0].labels for frame in clip]
    for frame in clip[:3]:
        begun.push(frame)
    again.restore(begun.state())
    assert any("strays." in name for name in begun.state())
    for frame, labels in zip(clip[3:], expected[3:], strict=True):
        assert (again.push(frame)[0].labels == labels).all()
