"""Large banks keep keys in float16: half the bytes, the same features kept, the same masks, the same when resumed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from rotoscope import load
from rotoscope.datasets.demo import demo_clip
from rotoscope.memory import MemoryBank, parse_policy, storage

CK, CV, CELLS = 16, 6, 12
POLICIES = ["every:1", "first-latest", "lfu:3", "support:3"]


def walk(count: int) -> list[torch.Tensor]:
    """Keys of frames that resemble each other, ``[Ck, n]`` each."""
    generator = torch.Generator().manual_seed(0)
    keys = [torch.randn(CK, CELLS, generator=generator)]
    for _ in range(count - 1):
        keys.append(0.95 * keys[-1] + 0.3 * torch.randn(CK, CELLS, generator=generator))
    return keys


def fed(bank: MemoryBank, keys: list[torch.Tensor]) -> list[list[int]]:
    """Store and read each; what the bank holds after each."""
    held = []
    for number, key in enumerate(keys):
        if number:
            bank.read(key, 4)
        bank.store(key, {1: key[:CV] + number})
        held.append(bank.serials.tolist())
    return held


@pytest.mark.parametrize("name", POLICIES)
def test_the_same_features_stay_and_reads_are_close(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = walk(16)
    whole, half = (MemoryBank(parse_policy(name)) for _ in range(2))
    held = fed(whole, keys)
    monkeypatch.setattr(storage, "LARGE", 0)
    assert fed(half, keys) == held
    assert half._keys.dtype == torch.float16
    ours, theirs = half.read(keys[3], 4)[1], whole.read(keys[3], 4)[1]
    assert not torch.equal(ours, theirs)
    torch.testing.assert_close(ours, theirs, atol=0.01, rtol=0)
    dense = half.read(keys[5], None)[1], whole.read(keys[5], None)[1]
    torch.testing.assert_close(*dense, atol=0.01, rtol=0)


def test_keys_of_a_large_bank_take_half_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGE", 5 * CELLS)
    small, large = MemoryBank(parse_policy("lfu:5")), MemoryBank(parse_policy("lfu:6"))
    for bank in (small, large):
        fed(bank, walk(8))
    each = 4 * CV + 4 + 8 + 8 + 1 + 8  # of everything but the key
    assert small.nbytes == 5 * CELLS * (each + 4 * CK)
    assert large.nbytes == 6 * CELLS * (each + 2 * CK)


def test_a_bank_that_grows_large_goes_on_from_what_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGE", 5 * CELLS)
    keys, plain = walk(12), MemoryBank(parse_policy("every:1"))
    for until, kind in ((4, torch.float32), (12, torch.float16)):
        bank = MemoryBank(parse_policy("every:1"))
        fed(bank, keys[:until])
        assert bank._keys.dtype == kind
        size = until * CELLS
        stored = torch.cat(keys[:until], dim=1)
        assert torch.equal(bank._keys[:, :size], stored.to(kind))
        own = bank._keys[:, :size].float().square().sum(dim=0)
        torch.testing.assert_close(bank._norms[:size], own, atol=1e-5, rtol=0)
    monkeypatch.setattr(storage, "LARGE", 10**9)
    assert fed(plain, keys)[-1] == bank.serials.tolist()


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("until", [3, 6])
def test_what_is_saved_before_or_after_that_goes_on_to_the_same_bits(
    name: str, until: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "LARGE", (2 if name == "lfu:3" else 5) * CELLS)
    keys, bank, other = walk(12), MemoryBank(parse_policy(name)), MemoryBank(parse_policy(name))
    fed(bank, keys[:until])
    other.restore(bank.state())
    assert other._keys.dtype == bank._keys.dtype
    for each in (bank, other):
        fed(each, keys[until:])
    assert torch.equal(bank.read(keys[2], 4)[1], other.read(keys[2], 4)[1])
    ours, theirs = bank.state(), other.state()
    assert ours.keys() == theirs.keys()
    for field, value in ours.items():
        assert torch.equal(value, theirs[field]) if isinstance(value, torch.Tensor) else value == theirs[field]


def test_products_are_of_the_keys_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGE", 0)
    bank = MemoryBank(parse_policy("every:1"), similarity="dot")
    fed(bank, walk(3))
    assert bank._keys.dtype == torch.float32


def test_keys_beyond_float16_stay_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGE", 0)
    bank = MemoryBank(parse_policy("every:1"))
    key = torch.ones(CK, 2)
    key[0] = torch.tensor([1e6, -1e6])
    bank.store(key, {1: torch.tensor([[1.0, 2.0]])})
    assert bank.read(key, 1)[1].tolist() == [[1.0, 2.0]]


@pytest.fixture(scope="module")
def shrunk() -> tuple[np.ndarray, np.ndarray]:
    """The demonstration's frames ``[T, 160, 284, 3]`` and the first one's labels."""
    clip = demo_clip(12)
    frames = np.stack([cv2.resize(frame, (284, 160), interpolation=cv2.INTER_AREA) for frame in clip.frames])
    return frames, cv2.resize(clip.labels[0], (284, 160), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("memory", ["lfu:2", "every:2"])
def test_masks_and_kept_features_of_a_session_are_the_same(
    memory: str, shrunk: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, first = shrunk
    model = load("stcn-small")

    def run() -> tuple[np.ndarray, list[list[int]], Any]:
        session: Any = model.session(memory=memory, mem_every=2)
        session.add({1: first == 1, 2: first == 2})
        labels, kept = [], []
        for frame in frames:
            labels += [prediction.labels for prediction in session.push(frame)]
            kept.append(session.bank.serials.tolist())
        return np.stack(labels), kept, session.bank

    theirs, kept, whole = run()
    monkeypatch.setattr(storage, "LARGE", 0)
    ours, own, half = run()
    assert (whole._keys.dtype, half._keys.dtype) == (torch.float32, torch.float16)
    assert own == kept
    for i in (1, 2):
        assert ((ours == i) & (theirs == i)).sum() >= 0.999 * ((ours == i) | (theirs == i)).sum()
        assert (theirs[-1] == i).any()
