"""A bank in which the features of one object never push out those of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from rotoscope.memory.bank import MemoryBank
from rotoscope.memory.policies import Policy


class ObjectBank(MemoryBank):
    """A bank that counts use object by object.

    In :class:`~rotoscope.memory.bank.MemoryBank` all features compete for the same places. While an object is hidden,
    nothing asks for its features, so they are the first to leave; the thesis says why (section 3.5.5: one counter for
    all objects). Here an object loses as many features as it brings. What it brings beyond what it holds, such as while
    it grows, is taken from whatever else the new frame shows, the background among it. So an object that the frame
    does not show loses nothing. The price: one that never comes back keeps its places.

    Args:
        policy: what enters, and which of an object's features leave; it must have a capacity.
        usage: see :class:`~rotoscope.memory.bank.MemoryBank`.
    """

    def __init__(self, policy: Policy, usage: Literal["topk", "softmax"] = "topk") -> None:
        super().__init__(policy, usage)
        self._shown = torch.empty(0, dtype=torch.int64)
        self._entering: Tensor | None = None

    @property
    def shown(self) -> Tensor:
        """What each stored feature shows: the number of an object, or 0 for none, ``[N]``."""
        return self._shown.clone()

    def store_shown(
        self,
        key: Tensor,
        values: Mapping[int, Tensor],
        shown: Tensor,
        *,
        pinned: Tensor | None = None,
        trust: float = 0.0,
    ) -> None:
        """Store the features of one frame for good, making room first.

        Args:
            key, values, pinned, trust: see :meth:`~rotoscope.memory.bank.MemoryBank.store`.
            shown: the number of the object that each feature shows, 0 for none, int64 ``[n]``.
        """
        self._entering = shown
        try:
            self.store(key, values, pinned=pinned, trust=trust)
        finally:
            self._entering = None
        self._shown = torch.cat([self._shown.to(shown.device), shown])

    def forget(self, object_id: int) -> None:
        """Drop an object's values; its features are background from now on."""
        super().forget(object_id)
        self._shown = torch.where(self._shown == object_id, 0, self._shown)[: len(self)]

    def exchange(self, taken: Mapping[int, int]) -> None:
        """Give objects the values of others, and with these the features that show them."""
        super().exchange(taken)
        before = self._shown
        self._shown = before.clone()
        for object_id, other in taken.items():
            self._shown[before == other] = object_id

    def state(self) -> dict[str, Any]:
        """Everything stored, as tensors and numbers."""
        return super().state() | {"shown": self._shown.clone()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the bank that gave ``state``."""
        super().restore(state)
        self._shown = state["shown"].clone()

    def _evict(self, surplus: int) -> None:
        before = self.serials
        super()._evict(surplus)
        self._shown = self._shown[torch.isin(before, self.serials)]

    def _leaving(self, candidates: Tensor, surplus: int) -> Tensor:
        if self._entering is None:
            return super()._leaving(candidates, surplus)
        shown, entering = self._shown[candidates], self._entering
        rest = torch.ones_like(candidates, dtype=torch.bool)
        leaving = []
        for object_id, brought in zip(*(part.tolist() for part in entering.unique(return_counts=True)), strict=True):
            own = torch.nonzero(shown == object_id).flatten()
            quota = min(brought * surplus // len(entering), len(own))
            gone = own[self._worst(candidates[own], quota)]
            leaving.append(candidates[gone])
            rest[gone] = False
        for group in (rest & torch.isin(shown, entering), rest & ~torch.isin(shown, entering)):
            more = candidates[group]
            missing = min(surplus - sum(map(len, leaving)), len(more))
            leaving.append(more[self._worst(more, missing)])
        return torch.cat(leaving)

    def _worst(self, places: Tensor, count: int) -> Tensor:
        """Which ``count`` of some stored features leave first: positions among ``places``."""
        return self.policy.victims(self._hits[places], self._age[places], count)
