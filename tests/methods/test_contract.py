"""What every method keeps to; these run over each of them by name."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.errors import InputError, SessionError
from rotoscope.methods.base import Method, Session
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.segment import segment


def answers(session: Session, frames: np.ndarray, masks: dict[int, np.ndarray]) -> list[Prediction]:
    session.add(masks)
    found = [prediction for frame in frames for prediction in session.push(frame)]
    return found + session.finish()


def same(ours: list[Prediction], theirs: list[Prediction]) -> bool:
    return len(ours) == len(theirs) and all(
        torch.equal(a.probabilities, b.probabilities) and np.array_equal(a.labels, b.labels) and a.index == b.index
        for a, b in zip(ours, theirs, strict=True)
    )


def test_each_frame_is_answered_once_and_in_order(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    found = answers(any_method.session(), clip, {7: mask, 300: ~mask})
    assert [prediction.index for prediction in found] == list(range(len(clip)))
    for prediction in found:
        assert prediction.object_ids == (7, 300)
        assert prediction.probabilities.shape == (3, 48, 64)
        assert prediction.probabilities.dtype == torch.float32
        torch.testing.assert_close(prediction.probabilities.sum(0), torch.ones(48, 64), atol=1e-4, rtol=0)
        assert prediction.labels.dtype == np.uint16
        assert set(np.unique(prediction.labels)) <= {0, 7, 300}
        assert all(0 <= value <= 1 for value in prediction.confidence)
    assert found[0].prompted
    assert not found[1].prompted
    assert np.array_equal(found[0].labels == 7, mask)


def test_the_same_inputs_give_the_same_bits(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    first = answers(any_method.session(), clip, {1: mask})
    assert same(first, answers(any_method.session(), clip, {1: mask}))


def test_interleaved_videos_do_not_mix(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    other = clip[::-1].copy()
    alone = list(segment(clip, {0: {1: mask}}, any_method))
    pairs = zip(segment(clip, {0: {1: mask}}, any_method), segment(other, {0: {2: ~mask}}, any_method), strict=True)
    assert same([ours for ours, _ in pairs], alone)


def test_the_model_is_unchanged_afterwards(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    before = copy.deepcopy(any_method.state_dict())
    config = any_method.config
    list(segment(clip, {0: {1: mask}}, any_method))
    after = any_method.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any_method.config == config


def test_frames_may_be_given_as_float(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    whole = answers(any_method.session(), clip, {1: mask})
    floats = answers(any_method.session(), clip.astype(np.float32) / 255, {1: mask})
    for ours, theirs in zip(whole, floats, strict=True):
        torch.testing.assert_close(ours.probabilities, theirs.probabilities, atol=1e-3, rtol=0)


def test_a_restored_session_goes_on_with_the_same_bits(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    whole = answers(any_method.session(), clip, {1: mask, 4: ~mask})
    for cut in (1, 2, 5):
        first = any_method.session()
        first.add({1: mask, 4: ~mask})
        found = [prediction for frame in clip[:cut] for prediction in first.push(frame)]
        second = any_method.session()
        second.restore({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in first.state().items()})
        found += [prediction for frame in clip[cut:] for prediction in second.push(frame)]
        assert same(found + second.finish(), whole)


def test_a_finished_session_says_so(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = any_method.session()
    answers(session, clip, {1: mask})
    with pytest.raises(SessionError, match="finished"):
        session.push(clip[0])
    with pytest.raises(SessionError, match="finished"):
        session.add({1: mask})
    with pytest.raises(SessionError, match="finished"):
        session.finish()


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, 70000, "1"])
def test_bad_ids(any_method: Method, mask: np.ndarray, bad: object) -> None:
    with pytest.raises(InputError, match="object id"):
        any_method.session().add({bad: mask})  # type: ignore[dict-item]


def test_the_mask_of_one_object_can_be_given_alone(any_method: Method, mask: np.ndarray) -> None:
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    for given in (mask, torch.from_numpy(mask), picture, {1: picture}):
        session = any_method.session()
        session.add(given)
        assert list(session.objects.pending) == [1]
        assert torch.equal(session.objects.pending[1], torch.from_numpy(mask).float())


def test_a_mask_that_does_not_fit_costs_no_other(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    """It alone is let go, so that another can be given in its place."""
    session = any_method.session()
    session.add({1: mask})
    session.add({2: np.ones((10, 12))})
    with pytest.raises(InputError, match="mask of object 2 is 12x10 but frame 0 is 64x48"):
        session.push(clip[0])
    session.add({2: ~mask})
    found = [*session.push(clip[0]), *session.finish()]
    assert found[0].object_ids == (1, 2)


def test_bad_masks_and_frames(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = any_method.session()
    with pytest.raises(InputError, match="from 0 to 255"):
        session.add({1: mask.astype(np.uint8) * 255})
    with pytest.raises(InputError, match="shape"):
        session.add({1: mask[None]})
    with pytest.raises(InputError, match="not tracked"):
        session.remove(5)
    with pytest.raises(InputError, match=r"RGB \[H, W, 3\]"):
        session.push(clip[0, ..., 0])
    with pytest.raises(TypeError):  # masks are added; beside a frame they would be taken for what was prepared of it
        session.push(clip[0], {1: mask})  # type: ignore[misc]
    session.add({1: mask[:-1]})
    with pytest.raises(InputError, match="mask of object 1 is 64x47 but frame 0 is 64x48"):
        session.push(clip[0])
    with pytest.raises(InputError, match="no option 'colour'"):
        any_method.session(colour=3)
    session = any_method.session()
    session.push(clip[0])
    with pytest.raises(InputError, match="but the first was"):
        session.push(clip[0, :-2])
