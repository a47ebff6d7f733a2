"""Support frames of one video: the bank of keys and values, which frames are read, and how much each counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.memory import MemoryBank, SupportSet, parse_policy
from rotoscope.methods.giel.config import GIELConfig
from rotoscope.methods.giel.parts import TemporalAttention

ROOM = 3
"""Frames of a support set that are never pinned: the first, the latest, and one between."""


class Asked(NamedTuple):
    """How a query reads the support frames.

    Attributes:
        query: its key, ``[Ck, Q]``.
        among, gain, bias: as of :meth:`~rotoscope.memory.bank.MemoryBank.read`.
        frames: the numbers of the frames that it reads, ascending.
        weights: how much each of them counts, their mean 1 (temporal attention), ``[T]``; None without.
    """

    query: Tensor
    among: Tensor | None
    gain: Tensor | None
    bias: Tensor | None
    frames: tuple[int, ...]
    weights: Tensor | None


class SupportMemory:
    """A memory bank that knows which frame each of its features is of.

    Frames are numbered in the order they were stored. With ``support:T`` every frame is stored, twice as many are held
    as are read, and a read takes the first, the latest, those that are pinned, and the nearest to the ends of equal
    segments. All other policies read all that they hold.

    Args:
        config: the policy, the similarity, and what else concerns reads.
        attention: the network's temporal attention; None without.
    """

    def __init__(self, config: GIELConfig, attention: TemporalAttention | None) -> None:
        self.config = config
        self.attention = attention
        self.policy = parse_policy(config.memory, config.mem_every)
        self.bank = MemoryBank(self.policy, config.usage, config.similarity)
        self.per_frame = 0
        self._first: Tensor | None = None
        self._own: dict[int, Tensor] = {}

    def store(
        self,
        key: Tensor,
        values: Mapping[int, Tensor],
        *,
        pinned: bool,
        temporary: bool,
        seen: Tensor | None = None,
    ) -> None:
        """Store a frame.

        Args:
            key: ``[1, Ck, h, w]``.
            values: ``{object_id: [Cv, h, w]}``; 0 is the plain value, which the global map is read from.
            pinned: masks were given on it. The first frame of a support set stays without; of a set, a few frames are
                never pinned, so that there is room for new ones.
            temporary: hold it only until the next one.
            seen: what the temporal attention sees of it, if not its key.
        """
        flat = key[0].flatten(1).float()
        count = self.per_frame = flat.shape[1]
        if isinstance(self.policy, SupportSet):
            room = (self.policy.frames - ROOM) * count - int(self.bank.pinned.sum())
            pinned = pinned and len(self.bank) > 0 and room >= count
        pins = torch.ones(count, dtype=torch.bool, device=flat.device) if pinned else None
        flat_values = {object_id: value.flatten(1).float() for object_id, value in values.items()}
        self.bank.store(flat, flat_values, pinned=pins, temporary=temporary)
        if self.attention is None:
            return
        first, own = self.attention.support(key if seen is None else seen)
        if self._first is None:
            self._first = first
        numbers = self._numbers()
        self._own[int(numbers[-1])] = own
        self._own = {number: self._own[number] for number in numbers.unique().tolist()}

    def read(self, key: Tensor) -> dict[int, Tensor]:
        """Read with a query's key ``[1, Ck, h, w]`` for every object that has values: ``{object_id: [Cv, h, w]}``."""
        asked = self.asked(key)
        readouts = self.bank.read(
            asked.query, self.config.top_k, among=asked.among, gain=asked.gain, bias=asked.bias
        )  # fmt: skip
        size = tuple(key.shape[-2:])
        return {object_id: readout.unflatten(-1, size) for object_id, readout in readouts.items()}

    def asked(self, key: Tensor) -> Asked:
        """How a query's key ``[1, Ck, h, w]`` reads."""
        config = self.config
        numbers = self._numbers()
        frames = numbers.unique().tolist()
        chosen = self._chosen(frames)
        among = None
        if len(chosen) < len(frames):
            among = torch.isin(numbers, torch.tensor(chosen, device=numbers.device)).nonzero().flatten()
            numbers = numbers[among]
        gain = bias = weights = None
        if self.attention is not None:
            assert self._first is not None
            own = torch.stack([self._own[frame] for frame in chosen], dim=1)
            # Filled up to a power of two: on CPUs every new number of frames compiles kernels that are never let go.
            filled = F.pad(own, (0, 0, 0, (1 << (len(chosen) - 1).bit_length()) - len(chosen)))
            weights = self.attention(self._first, filled, key, len(chosen))[0]
            each = weights[torch.searchsorted(torch.tensor(chosen, device=numbers.device), numbers)]
            gain, bias = (each, None) if config.temporal_attention == "similarity" else (None, torch.log(each))
        query = key[0].flatten(1).float()
        if config.similarity == "dot" and not config.scaled:
            query = query * float(query.shape[0]) ** 0.5  # the bank divides by it
        return Asked(query, among, gain, bias, tuple(chosen), weights)

    def state(self) -> dict[str, Any]:
        """Everything remembered, as tensors and numbers."""
        state: dict[str, Any] = {f"bank.{name}": value for name, value in self.bank.state().items()}
        state |= {f"own.{number}": own for number, own in self._own.items()}
        if self._first is not None:
            state["first"] = self._first
        return state | {"per_frame": self.per_frame}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the memory that gave ``state``."""
        self.bank.restore({k.removeprefix("bank."): v for k, v in state.items() if k.startswith("bank.")})
        self._own = {int(k.removeprefix("own.")): v for k, v in state.items() if k.startswith("own.")}
        self._first = state.get("first")
        self.per_frame = int(state["per_frame"])

    def _numbers(self) -> Tensor:
        """The frame of each feature, ``[N]``, ascending; that of a temporary one behind all others."""
        numbers = self.bank.serials // self.per_frame
        if not self.bank.temporary:
            return numbers
        last = int(numbers[-1]) + 1 if len(numbers) else 0
        return torch.cat([numbers, numbers.new_full((self.bank.temporary,), last)])

    def _chosen(self, frames: Sequence[int]) -> list[int]:
        """The frames that are read, ascending."""
        if not isinstance(self.policy, SupportSet) or len(frames) <= self.policy.read:
            return list(frames)
        pinned = (self.bank.serials[self.bank.pinned] // self.per_frame).unique().tolist()
        kept = {frames[0], frames[-1], *pinned}
        more = self.policy.read - len(kept)
        for number in range(1, more + 1):
            end = frames[0] + (frames[-1] - frames[0]) * number / (more + 1)
            kept.add(min((frame for frame in frames if frame not in kept), key=lambda frame: abs(frame - end)))
        return sorted(kept)
