"""What is done on frames ahead of their turn changes no answer, and lets go of everything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from conftest import SEMI, first_mask, moving, tiny
from rotoscope.errors import InputError
from rotoscope.methods.base import Session
from rotoscope.runs.ahead import Ahead
from rotoscope.runs.segment import segment
from rotoscope.video import Frame

PREPARING = [name for name in (*SEMI, "stcn:light") if tiny(name).session().prepares]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("rotoscope")}


def in_order(session: Session, video: np.ndarray[Any, Any], masks: dict[int, dict[int, Any]]) -> list[Any]:
    """Frames pushed one by one with the threads that each half has in a run."""
    torch.set_num_threads(1)
    answers = []
    for index, image in enumerate(video):
        if index in masks:
            session.add(masks[index])
        answers += session.push(image)
    torch.set_num_threads(2)
    return answers + session.finish()


@pytest.mark.parametrize("name", PREPARING)
def test_answers_are_those_of_frames_pushed_in_order(name: str) -> None:
    model, video, masks = tiny(name), moving(9), {2: {1: first_mask()}}
    prepared = list(segment(video, masks, model))
    plain = in_order(model.session(), video, masks)
    assert [p.index for p in prepared] == [p.index for p in plain] == list(range(9))
    assert all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(prepared, plain, strict=True))


@pytest.mark.parametrize("objects", [2, 3, 5])
@pytest.mark.parametrize("name", ["stcn", "stcn:light"])
def test_a_helper_takes_every_other_batch_of_objects_and_changes_no_bit(name: str, objects: int) -> None:
    model, video = tiny(name), moving(7)
    masks = {0: {number + 1: np.roll(first_mask(), 3 * number, axis=1) for number in range(objects)}}
    helped: list[str] = []
    plain = model.network.decode

    def decode(*args: Any) -> Any:
        helped.append(threading.current_thread().name)
        return plain(*args)

    model.network.decode = decode
    prepared = list(segment(video, masks, model))
    assert {number.split("_")[0] for number in helped} == {"MainThread", "rotoscope-helper"}
    assert not threads()
    helped.clear()
    alone = in_order(model.session(), video, masks)
    assert set(helped) == {"MainThread"}
    assert all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(prepared, alone, strict=True))


def test_what_goes_wrong_in_the_helper_is_raised_in_its_turn(tiny_stcn: Any) -> None:
    plain = tiny_stcn.network.decode

    def decode(*args: Any) -> Any:
        if threading.current_thread().name != "MainThread":
            raise InputError("the helper broke")
        return plain(*args)

    tiny_stcn.network.decode = decode
    with pytest.raises(InputError, match="the helper broke"):
        list(segment(moving(4), {0: {1: first_mask(), 2: np.roll(first_mask(), 3)}}, tiny_stcn))
    assert not threads()


def test_frames_are_prepared_in_another_thread_and_threads_given_back(tiny_stcn: Any) -> None:
    session, seen = tiny_stcn.session(), []
    plain = session.encode

    def encode(frame: Frame) -> Any:
        seen.append((threading.current_thread().name, torch.get_num_threads(), frame.index))
        return plain(frame)

    session.encode = encode
    session.add({1: first_mask()})
    frames = (Frame(number, image) for number, image in enumerate(moving(5)))
    ahead = Ahead(session, frames, lambda frame: frame.index > 0)
    for frame, ready in ahead:
        assert (ready is None) == (frame.index == 0)
        with ahead.turn():
            assert torch.get_num_threads() == 1
            session.push(frame, prepared=ready)
        assert torch.get_num_threads() == 2
    assert sorted(index for *_, index in seen) == [0, 1, 2, 3, 4]
    assert [index for name, _, index in seen if name == "MainThread"] == [0]
    assert {count for _, count, _ in seen} == {1}
    assert not threads()


def test_nothing_is_prepared_with_one_thread(tiny_stcn: Any) -> None:
    torch.set_num_threads(1)
    session = tiny_stcn.session()
    frames = (Frame(number, image) for number, image in enumerate(moving(3)))
    assert [ready for _, ready in Ahead(session, frames, lambda _: True)] == [None] * 3


def test_what_goes_wrong_ahead_is_raised_in_its_turn(tiny_stcn: Any) -> None:
    def source() -> Iterator[np.ndarray[Any, Any]]:
        yield from moving(4)
        raise InputError("the source broke")

    answered = []
    with pytest.raises(InputError, match="the source broke"):
        answered += [p.index for p in segment(source(), first_mask(), tiny_stcn)]
    generator = segment(source(), first_mask(), tiny_stcn)
    assert [next(generator).index for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="the source broke"):
        next(generator)
    assert not threads()


def test_a_run_that_is_left_leaves_no_thread(tiny_stcn: Any) -> None:
    generator = segment(moving(30), first_mask(), tiny_stcn)
    next(generator)
    generator.close()
    assert not threads()
    assert torch.get_num_threads() == 2
