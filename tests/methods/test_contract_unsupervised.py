"""What every method that finds objects by itself keeps to; these run over each of them by name."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch

from conftest import TINY, tiny
from drawn import clip_of
from rotoscope.errors import InputError, SessionError
from rotoscope.methods import METHODS, method_class
from rotoscope.methods.base import Method
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.segment import segment
from rotoscope.video import open_video

FINDERS = [name for name in METHODS if method_class(name).task == "unsupervised"]


@pytest.fixture(params=[*FINDERS, "rvos zero-shot"])
def finder(request: pytest.FixtureRequest) -> Method:
    if request.param in METHODS:
        return tiny(request.param)
    torch.manual_seed(7)
    cls = method_class("rvos")
    model = cls(cls.config_class(**TINY["rvos"], one_shot=False, slots=2, objectness=0.0)).eval()
    model.requires_grad_(False)
    return model


def same(ours: list[Prediction], theirs: list[Prediction]) -> bool:
    return len(ours) == len(theirs) and all(
        torch.equal(a.probabilities, b.probabilities) and np.array_equal(a.labels, b.labels) and a.index == b.index
        for a, b in zip(ours, theirs, strict=True)
    )


def test_each_frame_is_answered_once_and_in_order(finder: Method, clip: np.ndarray) -> None:
    found = list(segment(clip, None, finder))
    assert [prediction.index for prediction in found] == list(range(len(clip)))
    for prediction in found:
        count = len(prediction.object_ids)
        assert prediction.probabilities.shape == (1 + count, 48, 64)
        assert prediction.probabilities.dtype == torch.float32
        torch.testing.assert_close(prediction.probabilities.sum(0), torch.ones(48, 64), atol=1e-4, rtol=0)
        assert set(np.unique(prediction.labels)) <= {0, *prediction.object_ids}
        assert all(0 <= value <= 1 for value in prediction.confidence)
        assert not prediction.prompted
    for before, after in itertools.pairwise(found):
        assert set(before.object_ids) <= set(after.object_ids)  # ids stay
    assert same(found, list(segment(clip, None, finder)))


def test_interleaved_videos_do_not_mix_and_the_model_stays(finder: Method, clip: np.ndarray) -> None:
    before, config = copy.deepcopy(finder.state_dict()), finder.config
    alone = list(segment(clip, None, finder))
    pairs = zip(segment(clip, None, finder), segment(clip[::-1].copy(), None, finder), strict=True)
    assert same([ours for ours, _ in pairs], alone)
    assert all(torch.equal(tensor, before[name]) for name, tensor in finder.state_dict().items())
    assert finder.config == config
    assert dataclasses.is_dataclass(config)


@pytest.mark.parametrize("live", [False, True])
def test_a_restored_session_goes_on_with_the_same_bits(finder: Method, clip: np.ndarray, live: bool) -> None:
    with open_video(clip) as video:
        given = None if live else video
        whole_session = finder.session(given)
        whole = [prediction for frame in video for prediction in whole_session.push(frame)]
        for cut in (1, 5):
            first, second = finder.session(given), finder.session(given)
            found = [prediction for t in range(cut) for prediction in first.push(video[t])]
            second.restore({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in first.state().items()})
            found += [prediction for t in range(cut, len(clip)) for prediction in second.push(video[t])]
            assert same(found + second.finish(), whole)


def test_masks_and_what_is_wrong_are_refused(finder: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = finder.session()
    session.add({1: mask})
    with pytest.raises(InputError, match="finds objects by itself"):
        session.push(clip[0])
    with pytest.raises(InputError, match="finds objects by itself"):
        list(segment(clip, {0: {1: mask}}, finder))
    with pytest.raises(InputError, match="no option 'colour'"):
        finder.session(colour=3)
    session = finder.session()
    session.push(clip[0])
    with pytest.raises(InputError, match="but the first was"):
        session.push(clip[0, :-2])
    session.finish()
    with pytest.raises(SessionError, match="finished"):
        session.push(clip[0])


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (149, 101), (17, 300)])
def test_any_size_and_length(finder: Method, size: tuple[int, int]) -> None:
    for frames in (1, 2, 6):
        found = list(segment(clip_of(frames, size), None, finder))
        assert [prediction.labels.shape for prediction in found] == [size[::-1]] * frames
        assert all(torch.isfinite(prediction.probabilities).all() for prediction in found)


def test_what_a_session_keeps_does_not_grow(finder: Method) -> None:
    frames = clip_of(20, (32, 32))
    session = finder.session()
    sizes = []
    for number in range(60):
        session.push(frames[number % 20])
        kept = session.state()
        sizes.append(sum(v.numel() * v.element_size() for v in kept.values() if isinstance(v, torch.Tensor)))
    assert max(sizes) == max(sizes[:30])


def test_floats_and_4k(finder: Method, clip: np.ndarray) -> None:
    whole, floats = finder.session(), finder.session()
    for frame in clip[:3]:
        ours, theirs = whole.push(frame)[0], floats.push(frame.astype(np.float32) / 255)[0]
        torch.testing.assert_close(ours.probabilities, theirs.probabilities, atol=1e-3, rtol=0)
    assert finder.session().push(np.zeros((2160, 3840, 3), np.uint8))[0].labels.shape == (2160, 3840)
