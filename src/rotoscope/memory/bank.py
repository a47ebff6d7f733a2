"""A bank of keys and values in preallocated storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from rotoscope.memory.policies import Policy
from rotoscope.memory.read import dense_read, top_features, weighted_sum
from rotoscope.memory.storage import GROWTH_WARNING, Similarity, grown, kind_of_keys, lengths, rounded, warn_of_growth


class MemoryBank:
    """Keys shared by all objects and one value tensor per object.

    Features stand in the order they were stored. An object that came later has values for the last part only, so
    it reads from that part; eviction keeps the order. Pinned features never leave, but count towards the capacity:
    pins are granted only while they leave room for one more frame. Beside the stored features there may be one
    temporary frame (``include_last``), which the next write replaces and which is not counted.

    With ``l2``, a bank with room for more than :data:`~rotoscope.memory.storage.LARGE` features keeps keys in float16.
    Norms are those of the rounded keys, so a read compares with these keys exactly, and the nearest ones differ least.
    With ``dot`` keys stay as they come: the error of a product grows with the length of keys.

    Args:
        policy: what enters and what leaves.
        usage: whether use is counted by presence in the top-k or by softmax weight (thesis, table 4).
        similarity: how alike two keys are: negative squared distance (STCN), or the product (STM, GIEL); both over
            sqrt(Ck).
    """

    def __init__(
        self, policy: Policy, usage: Literal["topk", "softmax"] = "topk", similarity: Similarity = "l2"
    ) -> None:
        self.policy = policy
        self.usage = usage
        self.similarity = similarity
        self.capacity: int | None = None
        self._size = 0
        self._temporary = 0
        self._stored = 0
        self._keys = torch.empty(0, 0)
        self._norms = torch.empty(0)
        self._hits = torch.empty(0, dtype=torch.float64)
        self._age = torch.empty(0, dtype=torch.int64)
        self._pinned = torch.empty(0, dtype=torch.bool)
        self._serial = torch.empty(0, dtype=torch.int64)
        self._values: dict[int, Tensor] = {}
        self._start: dict[int, int] = {}
        self._warned = False

    def __len__(self) -> int:
        return self._size

    @property
    def serials(self) -> Tensor:
        """Number in the order of storing of each stored feature, ``[N]``, ascending."""
        return self._serial[: self._size].clone()

    @property
    def temporary(self) -> int:
        """Features of the temporary frame, which stand behind the stored ones; 0 without one."""
        return self._temporary

    @property
    def pinned(self) -> Tensor:
        """Which stored features never leave, bool ``[N]``."""
        return self._pinned[: self._size].clone()

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Objects that have values here."""
        return tuple(self._values)

    @property
    def nbytes(self) -> int:
        """Bytes of storage, used or not."""
        own = (self._keys, self._norms, self._hits, self._age, self._pinned, self._serial)
        return sum(t.numel() * t.element_size() for t in (*own, *self._values.values()))

    def store(
        self,
        key: Tensor,
        values: Mapping[int, Tensor],
        *,
        pinned: Tensor | None = None,
        temporary: bool = False,
        trust: float = 0.0,
    ) -> None:
        """Store the features of one frame, making room first.

        Args:
            key: ``[Ck, n]``.
            values: ``{object_id: [Cv, n]}`` for every object of the bank, and any new ones.
            pinned: which of the features never leave, bool ``[n]``.
            temporary: hold them only until the next write of either kind.
            trust: is added to the similarity to each of them, for as long as they are here.
        """
        count = key.shape[1]
        self._temporary = 0
        missing = [object_id for object_id in self._values if object_id not in values]
        if missing:
            raise ValueError(f"no value given for object {missing[0]}")
        if self.capacity is None and self.policy.frames is not None:
            self.capacity = self.policy.frames * count
        if not temporary and self.capacity is not None:
            if count > self.capacity:
                raise ValueError(f"a frame of {count} features does not fit a capacity of {self.capacity}")
            self._evict(max(0, self._size + count - self.capacity))
        self._reserve(key, values, count)
        stop = self._size + count
        span = slice(self._size, stop)
        key = rounded(key, self._keys.dtype)
        self._keys[:, span] = key
        self._norms[span] = lengths(key, self.similarity) - trust * float(key.shape[0]) ** 0.5
        for object_id, value in values.items():
            self._values[object_id][span] = value.transpose(0, 1)
            self._start.setdefault(object_id, self._size)
        if temporary:
            self._temporary = count
            return
        self._hits[span] = 0
        self._age[span] = 0
        self._pinned[span] = self._granted(pinned, count)
        self._serial[span] = torch.arange(self._stored, self._stored + count, device=key.device)
        self._stored += count
        self._size = stop
        if self.capacity is None and stop > GROWTH_WARNING and not self._warned:
            self._warned = True
            warn_of_growth(stop)

    def read(
        self,
        query: Tensor,
        top_k: int | None,
        *,
        among: Tensor | None = None,
        gain: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> dict[int, Tensor]:
        """Read for every object, and count which features were of use.

        Args:
            query: key of the query frame, ``[Ck, Q]``.
            top_k: features that each query feature reads from; None for all.
            among: positions of the features that may be read from, ascending, ``[N]``; the temporary ones stand behind
                the stored ones. All without it. Every object must have a value in one of them.
            gain: multiplies the similarity to each of those (only where it is a product), ``[N]``.
            bias: is added to the similarity to each of those, ``[N]``.
        Returns: ``{object_id: [Cv, Q]}``.
        """
        total = self._size + self._temporary
        query, every_key, every_norm = self.compared(query, among, gain, bias)
        readouts: dict[int, Tensor] = {}
        for start in sorted(set(self._start.values())):
            ids = [object_id for object_id, own in self._start.items() if own == start]
            first = start if among is None else int((among < start).sum())
            keys, norms = every_key[:, first:], every_norm[first:]
            place = slice(start, total) if among is None else among[first:]
            values = [self._values[object_id][place] for object_id in ids]
            if top_k is None:
                sums, used = dense_read(keys, norms, query, values)
            else:
                indices, weights = top_features(keys, norms, query, top_k)
                sums = [weighted_sum(value, indices, weights) for value in values]
                share = weights.flatten() if self.usage == "softmax" else None
                used = torch.bincount(indices.flatten(), share, minlength=keys.shape[1])
            if among is None:
                self._hits[start : self._size] += used[: self._size - start]
            else:
                stored = among[first:] < self._size
                self._hits[among[first:][stored]] += used[stored]
            readouts.update((object_id, readout.transpose(0, 1)) for object_id, readout in zip(ids, sums, strict=True))
        self._age[: self._size] += 1
        return {object_id: readouts[object_id] for object_id in self._values}

    def compared(
        self, query: Tensor, among: Tensor | None, gain: Tensor | None, bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What :meth:`read` compares: the query, and the keys ``[Ck, N]`` and norms ``[N]`` that it may read from."""
        total = self._size + self._temporary
        keys, norms = self._keys[:, :total], self._norms[:total]
        if among is not None:
            keys, norms = keys[:, among], norms[among]
        query = query / 2 if self.similarity == "dot" else query  # similarity() takes the product twice
        keys = keys if gain is None else keys * gain
        if bias is not None:
            norms = norms - bias * float(query.shape[0]) ** 0.5
        return query, keys, norms

    def start_of(self, object_id: int) -> int:
        """The position of the first feature that an object has a value for."""
        return self._start[object_id]

    def drop_temporary(self) -> None:
        """Let go of the temporary frame before another takes its place."""
        self._temporary = 0

    def forget(self, object_id: int) -> None:
        """Drop an object's values; without any object left the bank is empty."""
        del self._values[object_id], self._start[object_id]
        if not self._values:
            self._size = self._temporary = 0

    def exchange(self, taken: Mapping[int, int]) -> None:
        """Give objects the values of others.

        Args:
            taken: a permutation: of each object the one whose values it has from now on; others keep theirs.
        """
        self._values = {i: self._values[taken.get(i, i)] for i in self._values}
        self._start = {i: self._start[taken.get(i, i)] for i in self._start}

    def limit(self, capacity: int) -> None:
        """Set the capacity in features, letting go of what no longer fits."""
        self.capacity = capacity
        self._temporary = 0
        self._evict(max(0, self._size - capacity))

    def state(self) -> dict[str, Any]:
        """Everything stored, as tensors and numbers."""
        total = self._size + self._temporary
        tensors: dict[str, Any] = {
            "keys": self._keys[:, :total].clone(),
            "norms": self._norms[:total].clone(),
            "hits": self._hits[: self._size].clone(),
            "age": self._age[: self._size].clone(),
            "pinned": self._pinned[: self._size].clone(),
            "serial": self._serial[: self._size].clone(),
            "numbers": [self._size, self._temporary, self._stored, -1 if self.capacity is None else self.capacity],
            "room": self._keys.shape[1],
            "start": [[object_id, start] for object_id, start in self._start.items()],
        }
        return tensors | {f"value.{object_id}": value[:total].clone() for object_id, value in self._values.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the bank that gave ``state``, down to the layout of its storage, so that reads give the same bits."""
        size, temporary, stored, capacity = state["numbers"]
        self.capacity = None if capacity < 0 else capacity
        self._size = self._temporary = 0
        key: Tensor = state["keys"]
        self._values = {}
        if key.shape[1]:
            room, total = int(state["room"]), size + temporary
            self._grow(key.to(state["norms"].dtype), room, key.dtype)
            self._keys[:, :total] = key
            self._norms[:total] = state["norms"]
            for name in ("hits", "age", "pinned", "serial"):
                getattr(self, f"_{name}")[:size] = state[name]
            for object_id, _ in state["start"]:
                value: Tensor = state[f"value.{object_id}"]
                self._values[int(object_id)] = value.new_zeros(room, value.shape[1])
                self._values[int(object_id)][:total] = value
        self._size, self._temporary, self._stored = size, temporary, stored
        self._start = {int(object_id): int(start) for object_id, start in state["start"]}

    def _granted(self, pinned: Tensor | None, count: int) -> Tensor | bool:
        """Which of the incoming features may be pinned."""
        if self.policy.keeps_first and self._size == 0:
            return True
        if pinned is None:
            return False
        if self.capacity is None:
            return pinned
        room = self.capacity - count - int(self._pinned[: self._size].sum())
        return pinned & (pinned.cumsum(0) <= room)

    def _evict(self, surplus: int) -> None:
        if surplus <= 0:
            return
        candidates = torch.nonzero(~self._pinned[: self._size]).flatten()
        if surplus > len(candidates):  # a smaller capacity was set: pins give way, the oldest last
            pins = torch.nonzero(self._pinned[: self._size]).flatten()
            extra = pins[len(pins) - (surplus - len(candidates)) :]
            leaving = torch.cat([candidates, extra])
        else:
            leaving = self._leaving(candidates, surplus)
        kept = torch.ones(self._size, dtype=torch.bool, device=leaving.device)
        kept[leaving] = False
        before = kept.cumsum(0).tolist()
        self._start = {i: before[start - 1] if start else 0 for i, start in self._start.items()}
        order = torch.nonzero(kept).flatten()
        size = len(order)
        self._keys[:, :size] = self._keys[:, order]
        for tensor in (self._norms, self._hits, self._age, self._pinned, self._serial, *self._values.values()):
            tensor[:size] = tensor[order]
        self._size = size

    def _leaving(self, candidates: Tensor, surplus: int) -> Tensor:
        """Which ``surplus`` of the features at these places leave."""
        return candidates[self.policy.victims(self._hits[candidates], self._age[candidates], surplus)]

    def _reserve(self, key: Tensor, values: Mapping[int, Tensor], count: int) -> None:
        """Make storage for ``count`` more features; a bank without a capacity doubles its own."""
        needed, room = self._size + count, self._keys.shape[1]
        if needed > room:
            room = max(needed, 2 * room if self.capacity is None else self.capacity)
            self._grow(key, room, kind_of_keys(room, key, self.similarity == "l2"))
        for object_id, value in values.items():
            if object_id not in self._values:
                self._values[object_id] = value.new_zeros(room, value.shape[0])

    def _grow(self, key: Tensor, room: int, kind: torch.dtype) -> None:
        """Move everything into storage for ``room`` features like ``key``, kept as ``kind``."""
        used = self._size
        keys = torch.empty(key.shape[0], room, dtype=kind, device=key.device)
        if used:
            keys[:, :used] = rounded(self._keys[:, :used], kind)
        if used and kind != self._keys.dtype:  # what is trusted more stays so
            finer, coarser = (lengths(kept[:, :used], self.similarity) for kept in (self._keys, keys))
            self._norms[:used] += coarser - finer
        self._keys = keys
        self._norms = grown(self._norms.to(key.dtype), room, used, key)
        for name in ("_hits", "_age", "_pinned", "_serial"):
            setattr(self, name, grown(getattr(self, name), room, used, key))
        self._values = {object_id: grown(value, room, used, value) for object_id, value in self._values.items()}
