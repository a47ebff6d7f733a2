from __future__ import annotations

import numpy as np
import pytest
import torch

from rotoscope.errors import InputError
from rotoscope.methods.base import Method, Prediction


def clip_of(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    width, height = size
    back = rng.integers(0, 255, (height, width + 3 * count, 3), dtype=np.uint8)
    return np.stack([back[:, 3 * t : 3 * t + width] for t in range(count)])


def stripes(count: int, size: tuple[int, int]) -> dict[int, np.ndarray]:
    width, height = size
    masks = {}
    for number in range(count):
        mask = np.zeros((height, width), bool)
        mask[:, number * width // count : (number + 1) * width // count] = True
        masks[number + 1] = mask
    return masks


def run(model: Method, frames: np.ndarray, masks: dict[int, np.ndarray], **options: object) -> list[Prediction]:
    session = model.session(**options)
    session.add(masks)
    return [prediction for frame in frames for prediction in session.push(frame)]


@pytest.mark.parametrize("objects", [1, 2, 5, 40])
def test_any_number_of_objects(tiny_stcn: Method, objects: int) -> None:
    size = (160, 32)
    found = run(tiny_stcn, clip_of(4, size), stripes(objects, size))
    assert found[-1].probabilities.shape == (1 + objects, 32, 160)
    assert found[-1].object_ids == tuple(range(1, objects + 1))


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (149, 101), (101, 149), (17, 300)])
@pytest.mark.parametrize("frames", [1, 2, 6])
def test_any_size_and_length(tiny_stcn: Method, size: tuple[int, int], frames: int) -> None:
    found = run(tiny_stcn, clip_of(frames, size), {3: np.ones(size[::-1], bool)}, max_short_side=32)
    assert len(found) == frames
    assert all(prediction.labels.shape == size[::-1] for prediction in found)


def test_4k_is_worked_on_at_a_bounded_size(tiny_stcn: Method) -> None:
    size = (3840, 2160)
    session = tiny_stcn.session(max_short_side=256)
    mask = np.zeros(size[::-1], bool)
    mask[500:900, 500:900] = True
    session.add({1: mask})
    frame = np.zeros((*size[::-1], 3), np.uint8)
    assert session.push(frame)[0].labels.shape == (2160, 3840)
    assert session.canvas is not None  # type: ignore[attr-defined]
    assert session.canvas.padded == (464, 256)  # type: ignore[attr-defined]


def test_frames_before_the_first_mask_have_no_object(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = tiny_stcn.session()
    early = session.push(clip[0])[0]
    assert early.object_ids == ()
    assert not early.labels.any()
    assert early.probabilities.shape == (1, 48, 64)
    session.add({9: mask})
    assert session.push(clip[1])[0].object_ids == (9,)


def test_a_late_object_joins_and_keeps_its_mask(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = tiny_stcn.session()
    session.add({1: mask})
    for frame in clip[:3]:
        session.push(frame)
    session.add({300: ~mask})
    joined = session.push(clip[3])[0]
    assert joined.object_ids == (1, 300)
    assert np.array_equal(joined.labels == 300, ~mask)
    assert session.push(clip[4])[0].object_ids == (1, 300)


def test_a_correction_replaces_and_changes_what_follows(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    plain = run(tiny_stcn, clip, {1: mask})
    session = tiny_stcn.session()
    session.add({1: mask})
    found = [session.push(frame)[0] for frame in clip[:4]]
    other = np.roll(mask, 20, axis=1)
    session.add({1: other})
    found += [session.push(frame)[0] for frame in clip[4:]]
    assert torch.equal(found[3].probabilities, plain[3].probabilities)
    assert np.array_equal(found[4].labels == 1, other)
    assert not torch.equal(found[5].probabilities, plain[5].probabilities)
    assert session.object_ids == (1,)


def test_removing_an_object(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    session = tiny_stcn.session()
    session.add({1: mask, 2: ~mask})
    session.push(clip[0])
    session.push(clip[1])
    session.remove(2)
    assert session.push(clip[2])[0].object_ids == (1,)
    session.remove(1)
    assert session.push(clip[3])[0].object_ids == ()
    session.add({5: mask})
    assert session.push(clip[4])[0].object_ids == (5,)


def test_an_empty_and_a_one_pixel_mask(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    dot = np.zeros_like(mask)
    dot[10, 10] = True
    found = run(tiny_stcn, clip, {1: mask, 2: np.zeros_like(mask), 3: dot})
    assert not (found[0].labels == 2).any()
    assert (found[0].labels == 3).sum() == 1
    assert found[-1].confidence[1] >= 0


def test_soft_masks_enter_as_they_are(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    soft = mask * np.float32(0.9)
    found = run(tiny_stcn, clip[:1], {1: soft})
    torch.testing.assert_close(
        found[0].probabilities[1][torch.from_numpy(mask)],
        torch.full((int(mask.sum()),), 0.9**2 / (0.9**2 + 0.1**2)),
        atol=1e-4,
        rtol=0,
    )


@pytest.mark.parametrize("memory", ["lfu:1", "lfu:2", "lfu:4", "first-latest"])
@pytest.mark.parametrize("options", [{}, {"include_last": True}, {"top_k": None}, {"usage": "softmax"}])
def test_the_bank_keeps_to_its_capacity(tiny_stcn: Method, memory: str, options: dict[str, object]) -> None:
    size = (64, 48)
    frames = clip_of(12, size)
    session = tiny_stcn.session(memory=memory, **options)
    session.add(stripes(2, size))
    bank = session.bank  # type: ignore[attr-defined]
    capacity = {"lfu:1": 12, "lfu:2": 24, "lfu:4": 48, "first-latest": 24}[memory]
    for t, frame in enumerate(frames):
        if t == 5:
            session.add({8: stripes(3, size)[1]})
        session.push(frame)
        assert len(bank) <= capacity
    assert len(bank) == capacity


def test_given_features_are_protected_unless_told_otherwise(tiny_stcn: Method) -> None:
    size = (64, 48)
    frames = clip_of(30, size)
    kept, free = tiny_stcn.session(memory="lfu:2"), tiny_stcn.session(memory="lfu:2", protect_first=False)
    mask = np.zeros((48, 64), bool)
    mask[16:32, 16:48] = True  # two features of twelve
    for session in (kept, free):
        session.add({1: mask})
        for frame in frames:
            session.push(frame)
    assert {5, 6} <= set(kept.bank.serials.tolist())  # type: ignore[attr-defined]
    assert kept.bank.pinned.sum() == 2  # type: ignore[attr-defined]
    assert free.bank.pinned.sum() == 0  # type: ignore[attr-defined]


def test_a_permanent_frame_stays(tiny_stcn: Method) -> None:
    size = (64, 48)
    session = tiny_stcn.session(memory="lfu:3", mem_every=4)
    session.add(stripes(1, size))
    for number, frame in enumerate(clip_of(40, size)):
        if number == 2:  # not due
            session.keep_next()  # type: ignore[attr-defined]
        session.push(frame)
    held = set(session.bank.serials.tolist())  # type: ignore[attr-defined]
    assert set(range(12, 24)) <= held


def test_a_byte_budget_chooses_the_capacity(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    each = 4 * (16 + 16) + 32  # bytes of one feature of one object
    session = tiny_stcn.session(memory_budget=each * 12 * 3 + 5)
    session.add({1: mask})
    for frame in clip:
        session.push(frame)
    assert session.bank.capacity == 36  # type: ignore[attr-defined]
    session.add({2: ~mask})
    session.push(clip[0])
    assert session.bank.capacity == 24  # type: ignore[attr-defined]
    small = tiny_stcn.session(memory_budget=100)
    small.add({1: mask})
    with pytest.raises(InputError, match="not even one frame"):
        small.push(clip[0])
    with pytest.raises(InputError, match="has no M"):
        tiny_stcn.session(memory="every:5", memory_budget=100)


def test_bad_options(tiny_stcn: Method) -> None:
    with pytest.raises(InputError, match="memory policy"):
        tiny_stcn.session(memory="lru:3")
    with pytest.raises(InputError, match="mem_every"):
        tiny_stcn.session(mem_every=0)
    with pytest.raises(InputError, match="top_k"):
        tiny_stcn.session(top_k=0)


def test_what_a_session_keeps_does_not_grow(tiny_stcn: Method) -> None:
    size = (32, 32)
    frames = clip_of(40, size)
    session = tiny_stcn.session(memory="lfu:2")
    session.add(stripes(2, size))
    sizes = []
    for number in range(400):
        session.push(frames[number % 40])
        kept = session.state()
        sizes.append(sum(v.numel() * v.element_size() for v in kept.values() if isinstance(v, torch.Tensor)))
    assert max(sizes) == max(sizes[:20])
