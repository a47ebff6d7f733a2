"""Reading a memory: which stored features resemble each query feature, and their weighted values."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 1 << 20
"""Most similarities held at once, 4 MiB of them; a larger read goes through the queries in parts, each of which is
still in the processor's cache when it is searched."""
BLOCK = 1 << 13
"""Stored features that are compared at once where there are more than twice as many: their keys, 2 MiB, stay in the
cache while all queries meet them."""
GPU_CHUNK = 1 << 24
"""The same where there is no such cache."""
LEAST_BLOCK = 8
"""Fewest entries of a block in :func:`largest`; smaller ones cost more than they save."""


def similarity(keys: Tensor, norms: Tensor, query: Tensor) -> Tensor:
    """Negative squared distance over sqrt(Ck), less the term that is constant along the memory.

    Args:
        keys: ``[Ck, N]``, of the query's type or kept in a smaller one.
        norms: squared length of each key, ``[N]``.
        query: ``[Q, Ck]``.
    Returns: ``[Q, N]``, ``(2 k . q - |k|^2) / sqrt(Ck)`` (STCN's L2 similarity, released code).
    """
    scale = 1.0 / float(keys.shape[0]) ** 0.5
    return torch.addmm(norms[None], query, keys.to(query.dtype), beta=-scale, alpha=2 * scale)


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Exact top-k along the last dimension, without sorting rows.

    The k largest entries lie in the k blocks with the largest maxima, so only those blocks are searched. On a CPU the
    k-th of those maxima is a bound that hardly more than k entries reach, and these are all that is looked at.

    Args:
        scores: float32 ``[Q, N]``.
        k: how many, at most N.
    Returns: values and indices, ``[Q, k]`` each, in no particular order.
    """
    count = scores.shape[1]
    block = max(round((count / k) ** 0.5), LEAST_BLOCK)  # as many blocks as there are candidates in the k chosen ones
    blocks = count // block
    if blocks < 2 * k:
        top = scores.topk(k, dim=1, sorted=False)
        return top.values, top.indices
    maxima = scores[:, : blocks * block].unflatten(1, (block, blocks)).amax(dim=1)  # entry (i, b): i * blocks + b
    return _reaching(scores, maxima, k) if scores.device.type == "cpu" else _searched(scores, maxima, block, k)


def _searched(scores: Tensor, maxima: Tensor, block: int, k: int) -> tuple[Tensor, Tensor]:
    """:func:`largest` by looking through the best blocks, ``maxima`` ``[Q, blocks]``, and what is in no block."""
    rows, count, blocks = *scores.shape, maxima.shape[1]
    chosen = maxima.topk(k, dim=1, sorted=False).indices
    offsets = torch.arange(0, blocks * block, blocks, device=scores.device)
    tail = torch.arange(blocks * block, count, device=scores.device).expand(rows, -1)
    candidates = torch.cat([(chosen[:, :, None] + offsets).flatten(1), tail], dim=1)
    top = scores.gather(1, candidates).topk(k, dim=1, sorted=False)
    return top.values, candidates.gather(1, top.indices)


def _reaching(scores: Tensor, maxima: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """:func:`largest` by what reaches the k-th largest of ``maxima``, ``[Q, blocks]``: k or more of each row."""
    table, (rows, count) = scores.numpy(), scores.shape
    place = maxima.shape[1] - k
    bound = np.nan_to_num(np.partition(maxima.numpy(), place, axis=1)[:, place], nan=-np.inf)
    flat = np.flatnonzero(~(table < bound[:, None]))
    starts = np.searchsorted(flat, np.arange(rows + 1) * count)
    found_of_row = np.diff(starts)
    most = int(found_of_row.max())
    values, indices = table.reshape(-1)[flat], flat - np.repeat(np.arange(rows) * count, found_of_row)
    if most > k:  # in rows of one length, filled up with what is never chosen
        slots = np.arange(len(flat)) + np.repeat(np.arange(rows) * most - starts[:-1], found_of_row)
        padded = np.full(rows * most, -np.inf, table.dtype), np.zeros(rows * most, np.int64)
        padded[0][slots], padded[1][slots] = values, indices
        values, indices = padded
    own = torch.from_numpy(values).view(rows, most), torch.from_numpy(indices).view(rows, most)
    if most == k:
        return own
    top = own[0].topk(k, dim=1, sorted=False)
    return top.values, own[1].gather(1, top.indices)


def top_features(keys: Tensor, norms: Tensor, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k stored features nearest to each query feature, with softmax weights over those only.

    Args:
        keys: ``[Ck, N]``.
        norms: ``[N]``.
        query: ``[Ck, Q]``.
        k: how many; all if fewer are stored.
    Returns: indices int64 and weights float, ``[Q, min(k, N)]`` each.
    """
    k = min(k, keys.shape[1])
    blocked = keys.device.type == "cpu" and keys.shape[1] > 2 * BLOCK
    scores, indices = (_nearest_by_blocks if blocked else _nearest)(keys, norms, query, k)
    return indices, torch.softmax(scores, dim=1)


def _nearest(keys: Tensor, norms: Tensor, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Similarities and indices of the k nearest of ``keys``, or of all if there are fewer, ``[Q, k]`` each."""
    k, keys = min(k, keys.shape[1]), keys.to(query.dtype)
    parts = [largest(similarity(keys, norms, part), k) for part in _parts(query, keys.shape[1])]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _nearest_by_blocks(keys: Tensor, norms: Tensor, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """:func:`_nearest`, :data:`BLOCK` stored features after another: those of each block meet the best so far."""
    best = _nearest(keys[:, :BLOCK], norms[:BLOCK], query, k)
    for start in range(BLOCK, keys.shape[1], BLOCK):
        span = slice(start, start + BLOCK)
        scores, indices = _nearest(keys[:, span], norms[span], query, k)
        both = torch.cat([best[0], scores], dim=1), torch.cat([best[1], indices + start], dim=1)
        top = both[0].topk(min(k, both[0].shape[1]), dim=1, sorted=False)
        best = top.values, both[1].gather(1, top.indices)
    return best


def weighted_sum(values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Sum of the chosen values.

    Args:
        values: one row per feature, ``[N, Cv]``.
        indices: ``[Q, k]``.
        weights: ``[Q, k]``.
    Returns: ``[Q, Cv]``.
    """
    return F.embedding_bag(indices, values, per_sample_weights=weights.to(values.dtype), mode="sum")


def dense_read(keys: Tensor, norms: Tensor, query: Tensor, values: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Read with the softmax over the whole memory.

    Args:
        keys: ``[Ck, N]``.
        norms: ``[N]``.
        query: ``[Ck, Q]``.
        values: ``[N, Cv]`` each.
    Returns: a readout ``[Q, Cv]`` for each of ``values``, and the weight each feature got in all, ``[N]``.
    """
    readouts: list[list[Tensor]] = [[] for _ in values]
    usage, keys = torch.zeros_like(norms), keys.to(query.dtype)
    for part in _parts(query, keys.shape[1]):
        weights = torch.softmax(similarity(keys, norms, part), dim=1)
        usage += weights.sum(dim=0)
        for readout, value in zip(readouts, values, strict=True):
            readout.append(weights @ value)
    return [torch.cat(parts) for parts in readouts], usage


def _parts(query: Tensor, stored: int) -> tuple[Tensor, ...]:
    held = CHUNK if query.device.type == "cpu" else GPU_CHUNK
    return query.transpose(0, 1).contiguous().split(max(held // max(stored, 1), 16))
