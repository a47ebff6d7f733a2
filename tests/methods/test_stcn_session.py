from __future__ import annotations

import numpy as np
import pytest
import torch

from drawn import clip_of, run, stripes
from rotoscope.errors import InputError
from rotoscope.methods.base import Method


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


def test_a_byte_budget_chooses_the_capacity(
    tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = 4 * (16 + 16) + 32  # bytes of one feature of one object
    session = tiny_stcn.session(memory_budget=each * 12 * 3 + 5)
    session.add({1: mask})
    for frame in clip:
        session.push(frame)
    assert session.bank.capacity == 36  # type: ignore[attr-defined]
    session.add({2: ~mask})
    session.push(clip[0])
    assert session.bank.capacity == 24  # type: ignore[attr-defined]
    monkeypatch.setattr("rotoscope.methods.stcn.session.LARGE", 23)
    monkeypatch.setattr("rotoscope.memory.storage.LARGE", 23)
    halved = tiny_stcn.session(memory_budget=(each - 2 * 16) * 12 * 3)
    halved.add({1: mask})
    halved.push(clip[0])
    assert halved.bank.capacity == 36  # type: ignore[attr-defined]
    assert halved.bank._keys.dtype == torch.float16  # type: ignore[attr-defined]
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
