"""How a bank's storage grows, and how precisely it keeps keys."""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor

from rotoscope.memory.read import BLOCK

Similarity = Literal["l2", "dot"]
"""How keys are compared; see :class:`~rotoscope.memory.bank.MemoryBank`."""
LARGE = 2 * BLOCK
"""Room in features above which keys are kept in float16: where reads go through the memory in blocks (at 854x480 more
than 22 frames of ``stcn-small``, or 10 of ``stcn``)."""
MOST = torch.finfo(torch.float16).max
"""Entries of keys beyond it are kept as it; keys of trained networks are below 100."""
GROWTH_WARNING = 1_000_000
"""Stored features at which a bank without a capacity warns (about 600 frames at 480p)."""


def kind_of_keys(room: int, key: Tensor, halved: bool) -> torch.dtype:
    """What keys are kept as.

    Args:
        room: features that there will be room for.
        key: some key, as it comes.
        halved: whether large banks keep keys in float16.
    """
    return torch.float16 if halved and key.dtype == torch.float32 and room > LARGE else key.dtype


def rounded(key: Tensor, kind: torch.dtype) -> Tensor:
    """Keys as reads will see those kept as ``kind``, in their own type; the very same if that is it."""
    return key if key.dtype == kind else key.clamp(-MOST, MOST).to(kind).to(key.dtype)


def lengths(key: Tensor, similarity: Similarity) -> Tensor:
    """Squared length of each key ``[Ck, n]``, float32 of float16; 0 where the similarity asks for none."""
    key = key.float() if key.dtype == torch.float16 else key
    return key.square().sum(dim=0) if similarity == "l2" else key.new_zeros(key.shape[1])


def grown(old: Tensor, room: int, used: int, like: Tensor) -> Tensor:
    """Rows in longer storage.

    Args:
        old: what is stored, ``[N, …]``.
        room: rows of the new storage; those behind ``used`` hold anything.
        used: rows that are kept.
        like: on whose device.
    """
    new = torch.empty(room, *old.shape[1:], dtype=old.dtype, device=like.device)
    new[:used] = old[:used]
    return new


def warn_of_growth(stored: int) -> None:
    """Tell that a bank without a capacity has become large."""
    warnings.warn(
        f"the memory holds {stored} features and grows with the video; use the policy lfu:M for long videos",
        RuntimeWarning,
        stacklevel=3,
    )
