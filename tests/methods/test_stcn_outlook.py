"""What the thesis leaves to future work: similarity at several scales, and counters by object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from drawn import clip_of, stripes
from rotoscope.errors import InputError
from rotoscope.memory import EveryK, LeastFrequentlyUsed, MemoryBank, ObjectBank
from rotoscope.memory.read import similarity
from rotoscope.methods.base import Method
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.stcn import STCNConfig, STCNNetwork
from rotoscope.methods.stcn.graphs import portable
from rotoscope.methods.stcn.scales import at_scales
from rotoscope.methods.stcn.training import clip_loss

SMALL = {
    "trunk": "resnet18", "value_width": 8, "key_dim": 16, "value_dim": 16, "thin_dim": 16, "decoder_dims": (16, 16, 8)
}  # fmt: skip


def distances(now: torch.Tensor, stored: torch.Tensor) -> torch.Tensor:
    """Negative squared distances over sqrt(Ck) of two frames' cells, ``[Q, N]``."""
    now, stored = now.flatten(1).T, stored.flatten(1).T
    return -(now[:, None] - stored[None]).square().sum(dim=2) / now.shape[1] ** 0.5


def mean_around(key: torch.Tensor, reach: int) -> torch.Tensor:
    """The mean of each cell's square, by hand; keys ``[Ck, h, w]``."""
    out = torch.empty_like(key)
    for row in range(key.shape[1]):
        for column in range(key.shape[2]):
            square = key[:, max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
            out[:, row, column] = square.mean(dim=(1, 2))
    return out


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_what_a_memory_compares_is_the_mean_similarity_of_all_scales(scales: int) -> None:
    torch.manual_seed(0)
    now, stored = torch.randn(2, 8, 4, 6).unbind()
    by_hand = sum(distances(mean_around(now, s), mean_around(stored, s)) for s in range(scales)) / scales
    keys = at_scales(stored[None], scales)[0].flatten(1)
    query = at_scales(now[None], scales)[0].flatten(1).T
    own = query.square().sum(dim=1, keepdim=True) / keys.shape[0] ** 0.5  # similarity() leaves out what is constant
    torch.testing.assert_close(similarity(keys, keys.square().sum(dim=0), query) - own, by_hand, atol=1e-4, rtol=1e-4)


def test_one_scale_is_the_key_itself() -> None:
    key = torch.randn(1, 8, 3, 4)
    assert at_scales(key, 1) is key


def test_of_two_like_cells_the_one_with_like_surroundings_is_nearer_at_two_scales_only() -> None:
    key = torch.zeros(1, 2, 3, 9)
    key[0, 0, :, :4] = 1.0  # two places, left and right
    key[0, 1, 1, (1, 7)] = 3.0  # two look-alikes
    key[0, 0, 1, (1, 7)] = 0.0
    stored = key[0].flatten(1)
    query = key[0, :, 1, 1]
    alike = (stored - query[:, None]).square().sum(dim=0).view(3, 9)
    assert alike[1, 1] == alike[1, 7] == 0
    wide = at_scales(key, 2)[0]
    apart = (wide - wide[:, 1, 1, None, None]).square().sum(dim=0)
    assert apart[1, 1] == 0 < apart[1, 7]


def test_a_network_learns_through_all_scales() -> None:
    torch.manual_seed(0)
    networks = [STCNNetwork(STCNConfig(**SMALL, scales=scales)) for scales in (1, 2)]  # type: ignore[arg-type]
    networks[1].load_state_dict(networks[0].state_dict())  # scales take no weights
    labels = torch.zeros(1, 3, 48, 48, dtype=torch.long)
    labels[:, :, 16:32, 16:32] = 1
    clip = ClipBatch(torch.randn(1, 3, 3, 48, 48), labels, 1)
    losses = [clip_loss(network.eval(), clip).loss for network in networks]
    assert not torch.equal(*losses)
    losses[1].backward()
    gradient = networks[1].key_proj.weight.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("options", [{"scales": 3}, {"counters": "object"}, {"scales": 2, "counters": "object"}])
def test_an_option_changes_what_is_found_and_can_be_resumed(tiny_stcn: Method, options: dict[str, Any]) -> None:
    size = (64, 48)
    frames, given = clip_of(24, size), stripes(2, size)
    options = {"memory": "lfu:2", "mem_every": 2, "protect_first": False, **options}
    plain = tiny_stcn.session(memory="lfu:2", mem_every=2, protect_first=False)
    whole = tiny_stcn.session(**options)
    for session in (plain, whole):
        session.add(given)
    ours, theirs = ([s.push(frame)[0].probabilities for frame in frames] for s in (whole, plain))
    assert not all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    first = tiny_stcn.session(**options)
    first.add(given)
    for frame in frames[:13]:
        first.push(frame)
    second = tiny_stcn.session(**options)
    second.restore(first.state())
    for frame, expected in zip(frames[13:], ours[13:], strict=True):
        assert torch.equal(second.push(frame)[0].probabilities, expected)


def stored(bank: MemoryBank, shown: list[int], number: int) -> None:
    """Store a frame whose cells show these objects, and read what they show, but for object 2."""
    generator = torch.Generator().manual_seed(number)
    shows = torch.tensor(shown)
    key = 4 * torch.nn.functional.one_hot(shows, 8).float().T + 0.1 * torch.randn(8, len(shown), generator=generator)
    values = {i: torch.randn(4, len(shown), generator=generator) for i in (1, 2)}
    if isinstance(bank, ObjectBank):
        bank.store_shown(key, values, shows)
    else:
        bank.store(key, values)
    bank.read(key[:, shows != 2], top_k=3)


def test_a_hidden_object_keeps_its_features_only_if_objects_are_counted_apart() -> None:
    shared, apart = MemoryBank(LeastFrequentlyUsed(2)), ObjectBank(LeastFrequentlyUsed(2))
    for bank in (shared, apart):
        for number in range(2):
            stored(bank, [0, 0, 0, 1, 1, 2, 2, 2], number)
        for number in range(2, 12):  # the object is hidden
            stored(bank, [0, 0, 0, 0, 0, 0, 1, 1], number)
    hidden = {0 + 5, 0 + 6, 0 + 7, 8 + 5, 8 + 6, 8 + 7}
    assert not hidden & set(shared.serials.tolist())
    assert hidden <= set(apart.serials.tolist())
    assert len(apart) == len(shared) == 16
    assert apart.shown.tolist().count(2) == 6


def test_what_is_shown_stays_with_its_feature() -> None:
    bank, truth = ObjectBank(LeastFrequentlyUsed(3)), []
    rng = np.random.default_rng(0)
    for number in range(20):
        shown = rng.integers(0, 3, 10).tolist()
        truth += shown
        stored(bank, shown, number)
        assert bank.shown.tolist() == [truth[serial] for serial in bank.serials.tolist()]
        assert len(bank) <= 30
    kept = bank.shown
    bank.exchange({1: 2, 2: 1})
    assert bank.shown.tolist() == [{0: 0, 1: 2, 2: 1}[i] for i in kept.tolist()]
    bank.limit(12)
    assert len(bank) == len(bank.shown) == 12
    bank.forget(1)
    assert 1 not in bank.shown.tolist()
    bank.forget(2)
    assert len(bank) == len(bank.shown) == 0


def test_a_bank_without_a_capacity_keeps_all_either_way() -> None:
    bank = ObjectBank(EveryK(1))
    for number in range(5):
        stored(bank, [0, 1, 2, 2], number)
    assert bank.serials.tolist() == list(range(20))


def test_options_that_mean_nothing_are_refused(tiny_stcn: Method) -> None:
    with pytest.raises(InputError, match="counters=object is of lfu:M; the policy every:5 counts nothing"):
        tiny_stcn.session(memory="every:5", counters="object")
    with pytest.raises(InputError, match="scales is 0; give a whole number from 1 to 4"):
        tiny_stcn.session(scales=0)
    network = STCNNetwork(STCNConfig(**SMALL, scales=2))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="only scales=1 and counters=shared are exported"):
        portable(network, network.config)
