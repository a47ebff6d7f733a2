from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rotoscope.errors import InputError
from rotoscope.memory import parse_policy, read


@given(rows=st.integers(1, 9), count=st.integers(1, 4000), k=st.integers(1, 20), seed=st.integers(0, 99))
def test_largest_equals_a_full_sort(rows: int, count: int, k: int, seed: int) -> None:
    scores = torch.randn(rows, count, generator=torch.Generator().manual_seed(seed))
    k = min(k, count)
    values, indices = read.largest(scores, k)
    expected = scores.sort(dim=1, descending=True)
    assert torch.equal(values.sort(dim=1, descending=True).values, expected.values[:, :k])
    assert torch.equal(scores.gather(1, indices), values)
    assert all(len(set(row.tolist())) == k for row in indices)


def test_a_read_in_parts_equals_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    keys, query = torch.randn(8, 900, generator=generator), torch.randn(8, 100, generator=generator)
    values = torch.randn(900, 5, generator=generator)
    norms = keys.square().sum(0)
    whole = read.weighted_sum(values, *read.top_features(keys, norms, query, 20))
    dense, usage = read.dense_read(keys, norms, query, [values])
    monkeypatch.setattr(read, "CHUNK", 9000)
    torch.testing.assert_close(read.weighted_sum(values, *read.top_features(keys, norms, query, 20)), whole)
    again, used = read.dense_read(keys, norms, query, [values])
    torch.testing.assert_close(again[0], dense[0])
    torch.testing.assert_close(used, usage)
    assert usage.sum().item() == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize("k", [1, 20, 300, 901])
@pytest.mark.parametrize("block", [37, 200, 451])
def test_a_read_by_blocks_of_the_memory_finds_the_same(monkeypatch: pytest.MonkeyPatch, block: int, k: int) -> None:
    generator = torch.Generator().manual_seed(2)
    keys, query = torch.randn(8, 901, generator=generator), torch.randn(8, 60, generator=generator)
    norms, values = keys.square().sum(0), torch.randn(901, 5, generator=generator)
    whole, weights = read.top_features(keys, norms, query, k)
    blocks: list[int] = []
    plain = read.largest
    monkeypatch.setattr(read, "BLOCK", block)
    monkeypatch.setattr(read, "largest", lambda scores, k: blocks.append(scores.shape[1]) or plain(scores, k))
    indices, again = read.top_features(keys, norms, query, k)
    assert (max(blocks) == block) == (block < 451)  # up to two blocks are read as one
    assert torch.equal(indices.sort(dim=1).values, whole.sort(dim=1).values)
    ours, theirs = read.weighted_sum(values, indices, again), read.weighted_sum(values, whole, weights)
    torch.testing.assert_close(ours, theirs)


def test_large_keys_do_not_overflow() -> None:
    keys = torch.tensor([[300.0, -300.0], [0.0, 10.0]])
    _, weights = read.top_features(keys, keys.square().sum(0), keys * 2, 20)
    assert torch.isfinite(weights).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("text", ["lfu", "lfu:0", "every:-1", "every:x", "first-latest:2", "lru:3", "", "lfu:1.5"])
def test_unknown_policies_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="memory policy"):
        parse_policy(text)


def test_policies_say_when_a_frame_enters() -> None:
    assert [parse_policy("every:3").enters(n) for n in range(5)] == [False, False, False, True, True]
    assert parse_policy("every").enters(5)
    assert parse_policy("first-latest").enters(1)
    assert [parse_policy("lfu:2", mem_every=2).enters(n) for n in range(4)] == [False, False, True, True]
