"""Which features a read takes, and how much of each: what :meth:`~rotoscope.memory.bank.MemoryBank.read` sums up."""

from __future__ import annotations

import torch
from torch import Tensor

from rotoscope.memory.bank import MemoryBank
from rotoscope.memory.read import similarity, top_features


def weights_of(
    bank: MemoryBank,
    object_id: int,
    query: Tensor,
    top_k: int | None,
    *,
    among: Tensor | None = None,
    gain: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """The weights by which a read sums the values of an object; nothing is counted as used.

    Args:
        bank: the memory.
        object_id: whose values are read; it has values in the bank.
        query, top_k, among, gain, bias: as of :meth:`~rotoscope.memory.bank.MemoryBank.read`.
    Returns: ``[Q, N]``, of all stored features and behind them the temporary ones; each row sums to 1. Features that
        the read does not take have 0.
    """
    total = len(bank) + bank.temporary
    places = torch.arange(total, device=query.device) if among is None else among
    query, keys, norms = bank.compared(query, among, gain, bias)
    own = places >= bank.start_of(object_id)
    keys, norms, places = keys[:, own], norms[own], places[own]
    weights = query.new_zeros(query.shape[1], total)
    if top_k is None:
        weights[:, places] = torch.softmax(similarity(keys, norms, query.T), dim=1)
    else:
        indices, shares = top_features(keys, norms, query, top_k)
        weights.scatter_(1, places[indices], shares)
    return weights


def of_frame(weights: Tensor, serials: Tensor, number: int, per_frame: int) -> tuple[Tensor, Tensor]:
    """Weights of one stored frame, cell by cell.

    Args:
        weights: of the stored features, ``[N]``.
        serials: their numbers in the order of storing, ``[N]``.
        number: of the frame, in the order of storing.
        per_frame: features of a frame.
    Returns: ``[per_frame]``, 0 for cells that have left; and which have left, bool ``[per_frame]``.
    """
    here = serials // per_frame == number
    values, missing = weights.new_zeros(per_frame), torch.ones(per_frame, dtype=torch.bool)
    values[serials[here] % per_frame] = weights[here]
    missing[serials[here] % per_frame] = False
    return values, missing
