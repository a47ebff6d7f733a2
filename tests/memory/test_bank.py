from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rotoscope.memory import EveryK, FirstLatest, LeastFrequentlyUsed, MemoryBank
from rotoscope.memory.storage import LARGE, Similarity

CK, CV = 8, 6


def features(seed: int, count: int, objects: tuple[int, ...] = (1,)) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    key = torch.randn(CK, count, generator=generator)
    return key, {i: torch.randn(CV, count, generator=generator) for i in objects}


@given(
    writes=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=14),
    frames=st.integers(1, 4),
    count=st.integers(1, 12),
)
def test_bank_never_exceeds_capacity(writes: list[tuple[bool, bool, bool]], frames: int, count: int) -> None:
    bank = MemoryBank(LeastFrequentlyUsed(frames))
    for number, (pin, temporary, read) in enumerate(writes):
        key, values = features(number, count)
        before = bank.pinned.sum().item()
        bank.store(key, values, pinned=torch.ones(count, dtype=torch.bool) if pin else None, temporary=temporary)
        assert len(bank) <= frames * count
        assert bank.pinned.sum().item() >= before
        assert bank.pinned.sum().item() <= max(frames - 1, 0) * count
        assert bank.serials.tolist() == sorted(set(bank.serials.tolist()))
        if not temporary:
            assert bank.serials[-1] == bank._stored - 1
        if read:
            bank.read(features(99, 5)[0], top_k=3)


def test_the_least_used_leave_and_ties_leave_in_order() -> None:
    policy = LeastFrequentlyUsed(2)
    hits = torch.tensor([4.0, 0.0, 9.0, 0.0, 2.0], dtype=torch.float64)
    age = torch.tensor([4, 4, 3, 0, 1])
    assert policy.victims(hits, age, 3).tolist() == [1, 3, 0]


def test_use_is_counted_by_hand() -> None:
    bank = MemoryBank(LeastFrequentlyUsed(2))
    key = torch.eye(CK)[:, :4] * 5
    bank.store(key, {1: torch.zeros(CV, 4)})
    bank.read(key[:, [0, 0, 2]], top_k=1)
    assert bank._hits[:4].tolist() == [2, 0, 1, 0]
    assert bank._age[:4].tolist() == [1, 1, 1, 1]


def test_softmax_usage_adds_weights() -> None:
    bank = MemoryBank(LeastFrequentlyUsed(2), usage="softmax")
    key, values = features(0, 10)
    bank.store(key, values)
    bank.read(features(1, 7)[0], top_k=4)
    assert bank._hits[:10].sum().item() == pytest.approx(7.0)
    assert (bank._hits[:10] % 1 != 0).any()


def test_first_latest_holds_the_first_and_the_latest() -> None:
    bank = MemoryBank(FirstLatest())
    for number in range(6):
        bank.store(*features(number, 5))
    assert bank.serials.tolist() == [0, 1, 2, 3, 4, 25, 26, 27, 28, 29]


def test_every_k_keeps_all_and_reads_all() -> None:
    bank = MemoryBank(EveryK(1))
    stored = [features(number, 5) for number in range(7)]
    for key, values in stored:
        bank.store(key, values)
    query = features(50, 4)[0]
    keys = torch.cat([key for key, _ in stored], dim=1)
    value = torch.cat([values[1] for _, values in stored], dim=1)
    scores = (2 * keys.T @ query - keys.square().sum(0)[:, None]) / CK**0.5
    torch.testing.assert_close(bank.read(query, None)[1], value @ torch.softmax(scores, dim=0))


def test_a_temporary_frame_is_replaced_and_not_counted() -> None:
    bank, plain = MemoryBank(EveryK(5)), MemoryBank(EveryK(5))
    for each in (bank, plain):
        each.store(*features(0, 5))
    bank.store(*features(1, 5), temporary=True)
    assert len(bank) == 5
    query = features(9, 3)[0]
    assert not torch.equal(bank.read(query, 4)[1], plain.read(query, 4)[1])
    for each in (bank, plain):
        each.store(*features(2, 5))
    assert torch.equal(bank.read(query, 4)[1], plain.read(query, 4)[1])


def test_a_late_object_reads_only_what_was_stored_since() -> None:
    bank = MemoryBank(LeastFrequentlyUsed(3))
    bank.store(*features(0, 6, (1,)))
    key, values = features(1, 6, (1, 7))
    bank.store(key, values)
    alone = MemoryBank(LeastFrequentlyUsed(3))
    alone.store(key, {7: values[7]})
    query = features(9, 4)[0]
    torch.testing.assert_close(bank.read(query, 3)[7], alone.read(query, 3)[7])
    for number in range(2, 8):  # eviction moves the place where the late object begins
        bank.store(*features(number, 6, (1, 7)))
    assert set(bank.read(query, 3)) == {1, 7}
    assert bank._start[7] <= bank._size - 6


def test_pinned_features_stay_and_pushed_ones_go() -> None:
    bank = MemoryBank(LeastFrequentlyUsed(2))
    pins = torch.tensor([True, False, True, False])
    bank.store(*features(0, 4), pinned=pins)
    for number in range(1, 9):
        bank.store(*features(number, 4))
    assert {0, 2} <= set(bank.serials.tolist())
    assert not {1, 3} & set(bank.serials.tolist())


@pytest.mark.parametrize("policy", [EveryK(1), FirstLatest(), LeastFrequentlyUsed(2)])
def test_a_restored_bank_goes_on_the_same(policy: EveryK | FirstLatest | LeastFrequentlyUsed) -> None:
    bank = MemoryBank(policy)
    for number in range(4):
        bank.store(*features(number, 6, (2, 9)))
        bank.read(features(40 + number, 5)[0], top_k=4)
    bank.store(*features(20, 6, (2, 9)), temporary=True)
    other = MemoryBank(policy)
    other.restore(bank.state())
    for each in (bank, other):
        each.read(features(60, 5)[0], top_k=4)
        each.store(*features(21, 6, (2, 9)))
    query = features(70, 5)[0]
    ours, theirs = bank.read(query, 4), other.read(query, 4)
    assert all(torch.equal(ours[i], theirs[i]) for i in (2, 9))
    assert torch.equal(bank.serials, other.serials)


def test_limit_shrinks_the_bank() -> None:
    bank = MemoryBank(LeastFrequentlyUsed(4))
    for number in range(4):
        bank.store(*features(number, 5), pinned=torch.ones(5, dtype=torch.bool) if number < 2 else None)
    bank.limit(7)
    assert len(bank) == 7
    assert bank.serials.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_forgetting_the_last_object_empties_the_bank() -> None:
    bank = MemoryBank(LeastFrequentlyUsed(4))
    bank.store(*features(0, 5, (3, 4)))
    bank.forget(3)
    assert bank.object_ids == (4,)
    bank.forget(4)
    assert len(bank) == 0
    bank.store(*features(1, 5, (5,)))
    assert set(bank.read(features(2, 3)[0], 20)) == {5}


def test_a_growing_bank_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotoscope.memory.bank.GROWTH_WARNING", 20)
    bank = MemoryBank(EveryK(1))
    for number in range(4):
        bank.store(*features(number, 5))
    with pytest.warns(RuntimeWarning, match="lfu:M"):
        bank.store(*features(4, 5))


@pytest.mark.parametrize("similarity", ["l2", "dot"])
@pytest.mark.parametrize("top_k", [None, 6])
def test_trust_is_added_to_the_similarity(similarity: Similarity, top_k: int | None) -> None:
    bank = MemoryBank(LeastFrequentlyUsed(3), similarity=similarity)
    stored = [features(number, 5) for number in range(3)]
    for number, (key, values) in enumerate(stored):
        bank.store(key, values, trust=1.5 if number == 1 else 0.0)
    keys, value = (torch.cat(parts, dim=1) for parts in ([k for k, _ in stored], [v[1] for _, v in stored]))
    query = features(50, 4)[0]
    scores = 2 * keys.T @ query - keys.square().sum(0)[:, None] if similarity == "l2" else keys.T @ query
    scores = scores / CK**0.5 + 1.5 * (torch.arange(15) // 5 == 1)[:, None]
    if top_k is not None:
        scores = scores.masked_fill(scores < scores.topk(top_k, dim=0).values[-1], float("-inf"))
    torch.testing.assert_close(bank.read(query, top_k)[1], value @ scores.softmax(dim=0))


def test_what_is_trusted_stays_so_in_a_larger_bank_with_coarser_keys_and_in_a_restored_one() -> None:
    plain, trusting = MemoryBank(EveryK(1)), MemoryBank(EveryK(1))
    key, values = features(0, LARGE // 2 + 1)
    query = features(9, 3)[0]
    for bank in (plain, trusting):
        bank.store(key, values, trust=2.0 if bank is trusting else 0.0)
        bank.store(*features(1, LARGE // 2 + 1))
    assert plain._keys.dtype == torch.float16
    more = plain.compared(query, None, None, None)[2] - trusting.compared(query, None, None, None)[2]
    torch.testing.assert_close(more[: key.shape[1]], torch.full((key.shape[1],), 2.0 * CK**0.5), atol=1e-4, rtol=0)
    assert not more[key.shape[1] :].any()
    again = MemoryBank(EveryK(1))
    again.restore(trusting.state())
    assert torch.equal(again.read(query, 5)[1], trusting.read(query, 5)[1])
