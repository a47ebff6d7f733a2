"""What every method does with objects, sizes and lengths of all kinds; these run over each of them by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drawn import clip_of, run, stripes
from rotoscope.methods.base import Method


@pytest.mark.parametrize("objects", [1, 2, 5, 40])
def test_any_number_of_objects(any_method: Method, objects: int) -> None:
    size = (160, 32)
    found = run(any_method, clip_of(4, size), stripes(objects, size))
    assert found[-1].probabilities.shape == (1 + objects, 32, 160)
    assert found[-1].object_ids == tuple(range(1, objects + 1))


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (149, 101), (101, 149), (17, 300)])
@pytest.mark.parametrize("frames", [1, 2, 6])
def test_any_size_and_length(any_method: Method, size: tuple[int, int], frames: int) -> None:
    found = run(any_method, clip_of(frames, size), {3: np.ones(size[::-1], bool)})
    assert len(found) == frames
    assert all(prediction.labels.shape == size[::-1] for prediction in found)


def test_frames_before_the_first_mask_have_no_object(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = any_method.session()
    early = session.push(clip[0])[0]
    assert early.object_ids == ()
    assert not early.labels.any()
    assert early.probabilities.shape == (1, 48, 64)
    session.add({9: mask})
    assert (session.push(clip[1]) + session.finish())[0].object_ids == (9,)


def test_a_late_object_joins_and_keeps_its_mask(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = any_method.session()
    session.add({1: mask})
    found = [prediction for frame in clip[:3] for prediction in session.push(frame)]
    session.add({300: ~mask})
    found += session.push(clip[3]) + session.push(clip[4]) + session.finish()
    assert [prediction.object_ids for prediction in found] == [(1,)] * 3 + [(1, 300)] * 2
    assert np.array_equal(found[3].labels == 300, ~mask)


def test_a_correction_replaces_and_changes_what_follows(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    plain = run(any_method, clip, {1: mask})
    session = any_method.session()
    session.add({1: mask})
    found = [prediction for frame in clip[:4] for prediction in session.push(frame)]
    other = np.roll(mask, 20, axis=1)
    session.add({1: other})
    found += [prediction for frame in clip[4:] for prediction in session.push(frame)] + session.finish()
    assert torch.equal(found[3].probabilities, plain[3].probabilities)
    assert np.array_equal(found[4].labels == 1, other)
    assert not torch.equal(found[5].probabilities, plain[5].probabilities)
    assert session.object_ids == (1,)


def test_removing_an_object(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = any_method.session()
    session.add({1: mask, 2: ~mask})
    found = session.push(clip[0]) + session.push(clip[1])
    session.remove(2)
    found += session.push(clip[2])
    session.remove(1)
    found += session.push(clip[3])
    session.add({5: mask})
    found += session.push(clip[4]) + session.finish()
    assert [prediction.object_ids for prediction in found] == [(1, 2), (1, 2), (1,), (), (5,)]


def test_an_empty_and_a_one_pixel_mask(any_method: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    dot = np.zeros_like(mask)
    dot[10, 10] = True
    found = run(any_method, clip, {1: mask, 2: np.zeros_like(mask), 3: dot})
    assert not (found[0].labels == 2).any()
    assert (found[0].labels == 3).sum() == 1
    assert found[-1].confidence[1] >= 0


def test_what_a_session_keeps_does_not_grow(any_method: Method) -> None:
    size = (32, 32)
    frames = clip_of(40, size)
    # Look-alikes that touch keep frames out of memory for a while, which then is full only later.
    options = {"crossings": False} if "crossings" in any_method.inference_options else {}
    session = any_method.session(**options)
    session.add(stripes(2, size))
    sizes = []
    for number in range(120):
        session.push(frames[number % 40])
        kept = session.state()
        sizes.append(sum(v.numel() * v.element_size() for v in kept.values() if isinstance(v, torch.Tensor)))
    assert max(sizes) == max(sizes[:40])


def test_4k_is_answered_at_its_own_size(any_method: Method) -> None:
    size = (3840, 2160)
    mask = np.zeros(size[::-1], bool)
    mask[500:900, 500:900] = True
    bounded = {"max_short_side": 256} if "max_short_side" in any_method.inference_options else {}
    found = run(any_method, np.zeros((2, *size[::-1], 3), np.uint8), {1: mask}, **bounded)
    assert all(prediction.labels.shape == size[::-1] for prediction in found)
