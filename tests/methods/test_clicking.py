"""Sessions that are pointed at: every method that is given masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rotoscope import InputError, Points, SessionError, load_prompter
from rotoscope.masks.points import Answer, Placed
from rotoscope.methods.base import Method, Session


class Told:
    """A prompter that answers with one mask and remembers what it was asked."""

    code = "told"

    def __init__(self, mask: np.ndarray, confidence: float | None = 0.9) -> None:
        self.answer_with = mask
        self.confidence = confidence
        self.asked: list[tuple[Placed, np.ndarray | None]] = []

    def open(self, image: np.ndarray) -> Told:
        return self

    def answer(self, placed: Placed, before: Any = None) -> Answer:
        self.asked.append((placed, before))
        return Answer(self.answer_with.astype(np.float32), self.confidence)


def pointed(model: Method, prompter: Told) -> Session:
    session = model.session()
    session.clicks.prompter = lambda: prompter
    return session


def run(session: Session, clip: np.ndarray, given: dict[int, dict[int, Any]]) -> list[torch.Tensor]:
    found = []
    for index, frame in enumerate(clip):
        session.add(given.get(index, {}))
        found += session.push(frame)
    return [prediction.probabilities for prediction in [*found, *session.finish()]]


def test_points_are_as_good_as_the_mask_they_give_and_leave_no_other_trace(
    any_method: Method, clip: np.ndarray, mask: np.ndarray
) -> None:
    """Also on a later frame, where the mask that the object would have is looked at first."""
    other = np.roll(mask, 5, axis=1)
    told = Told(mask)
    session = pointed(any_method, told)
    plain = any_method.session()
    for index, frame in enumerate(clip):
        told.answer_with = mask if index == 0 else other
        if index in (0, 4):
            session.add_points({3: Points((5, 14))})
            plain.add({3: told.answer_with})
        for ours, theirs in zip(session.push(frame), plain.push(frame), strict=True):
            assert torch.equal(ours.probabilities, theirs.probabilities)
    for ours, theirs in zip(session.finish(), plain.finish(), strict=True):
        assert torch.equal(ours.probabilities, theirs.probabilities)
    assert [placed.places.tolist() for placed, _ in told.asked] == [[[5, 14]]] * 2
    assert told.asked[0][1] is None


def test_points_on_a_followed_object_correct_the_mask_it_would_have(
    tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray
) -> None:
    told = Told(mask)
    expected = run(tiny_stcn.session(), clip[:4], {0: {2: mask}})[3][1]
    run(pointed(tiny_stcn, told), clip[:4], {0: {2: mask}, 3: {2: Points((), (1, 1))}})
    (placed, before) = told.asked[0]
    assert not placed.wanted.any()
    np.testing.assert_array_equal(before, expected)


def test_a_mask_and_points_of_one_object_on_one_frame_correct_the_mask(
    tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray
) -> None:
    told = Told(mask)
    session = pointed(tiny_stcn, told)
    session.add({1: mask})
    session.add_points({1: Points((), (1, 1))})
    session.push(clip[0])
    np.testing.assert_array_equal(told.asked[0][1], mask.astype(np.float32))


def test_overlapping_answers_are_shared_out_by_probability(tiny_stcn: Method, clip: np.ndarray) -> None:
    class Two(Told):
        def answer(self, placed: Placed, before: Any = None) -> Answer:
            strength = 0.9 if placed.places[0, 0] == 20 else 0.7
            return Answer(np.full(clip.shape[1:3], strength, np.float32))

    session = pointed(tiny_stcn, Two(clip[0, ..., 0]))
    session.keeps_prompts = True
    session.add_points({1: Points((5, 5)), 2: Points((20, 5))})
    assert set(np.unique(session.push(clip[0])[0].labels)) == {2}


def test_unsure_and_empty_masks_are_told(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    for given, confidence, words in ((mask, 0.4, "confidence 0.40; unsure"), (mask & False, None, "0.0 % of the")):
        session = pointed(tiny_stcn, Told(given, confidence))
        session.add_points({1: Points((5, 14))})
        session.push(clip[0])
        assert words in session.clicks.notes[0]
        assert "unsure, look at it" in session.clicks.notes[0]
    session = pointed(tiny_stcn, Told(mask))
    session.add_points({1: Points((5, 14))})
    session.push(clip[0])
    assert "unsure" not in session.clicks.notes[0]


def test_points_wait_in_a_saved_state_and_can_be_taken_back(
    tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray
) -> None:
    session = pointed(tiny_stcn, Told(mask))
    session.add_points({1: Points((5, 14), box=(1, 2, 30, 40)), 2: Points((30, 14))})
    session.remove(2)
    again = pointed(tiny_stcn, told := Told(mask))
    again.restore(session.state())
    again.push(clip[0])
    assert [(placed.places.tolist(), placed.box) for placed, _ in told.asked] == [([[5, 14]], (1, 2, 30, 40))]


def test_what_is_wrong_with_points_loses_nothing(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(SessionError, match=r"rotoscope\.load"):
        tiny_stcn.session().add_points({1: Points((1, 1))})
    session = pointed(tiny_stcn, Told(mask))
    with pytest.raises(InputError, match="object id 0"):
        session.add_points({0: Points((1, 1))})
    for wrong, words in (
        ({1: Points((64, 1))}, "outside the picture"),
        ({1: Points((), (1, 1))}, "only says where it is not"),
        ({1: Points((1, 1)), 2: Points((1, 1))}, "the same point"),
    ):
        session = pointed(tiny_stcn, Told(mask))
        session.add_points(wrong)
        with pytest.raises(InputError, match=words):
            session.push(clip[0])
        for object_id in wrong:
            session.remove(object_id)
        session.add({1: mask})
        assert session.push(clip[0])[0].object_ids == (1,)


def test_the_ways_without_a_network_answer_sessions_too(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = tiny_stcn.session()
    session.clicks.prompter = lambda: load_prompter("flood")
    session.keeps_prompts = True
    session.add_points({4: Points((8, 20))})
    found = session.push(clip[0])[0].labels == 4
    np.testing.assert_array_equal(found, mask)
