"""A network whose functions are recorded when they are called again, and replayed from then on."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from rotoscope.errors import GraphError
from rotoscope.runtimes.recording import Recording, record

KEPT = 128
"""Recordings that are kept, one for each function and sizes; those not used for longest go first."""
NEW, ONCE, NEVER = "new", "once", "never"
"""What there is in place of a recording: the first call makes what a network keeps, such as packed weights, and is not
recorded; the second is, unless it does what cannot be, of which a warning tells."""


class Replayed:
    """What sessions call in a network's place where PyTorch computes it on a CPU.

    Its functions give the same bits as the network's. Everything else is the network's, and so is what cannot be
    recorded, is called with gradients, or has hooks.

    Args:
        network: the layers, on the CPU, as their precision has them. Layers are not put in place of others afterwards;
            weights and hooks may come between videos, if :meth:`refresh` is called.
        names: its pure functions. They take and return tensors, or named tuples and lists of them; what else they take
            can be hashed.
    """

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        self.network: Any = network
        self._names = frozenset(names)
        self._weights = (*network.parameters(), *network.buffers())
        self._known = self._now()
        self._hooked = False
        self._kept: OrderedDict[Any, str | tuple[Recording, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        own = getattr(self.network, name)
        return partial(self._call, name, own) if name in self._names else own

    def __getstate__(self) -> dict[str, Any]:
        """What a copy begins with: recordings are made anew."""
        return {"network": self.network, "_names": self._names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["network"], state["_names"])  # type: ignore[misc]

    def refresh(self) -> None:
        """See what has changed since: recordings of other weights go, and a network with hooks is called itself."""
        self._hooked = any(m._forward_hooks or m._forward_pre_hooks for m in self.network.modules())
        now = self._now()
        if now != self._known:
            with self._lock:
                self._kept.clear()
                self._known = now

    def _now(self) -> tuple[tuple[int, int], ...]:
        return tuple((w.data_ptr(), 0 if w.is_inference() else w._version) for w in self._weights)

    def _call(self, name: str, own: Any, /, *args: Any, **kwargs: Any) -> Any:
        if self._hooked or torch.is_grad_enabled():
            return own(*args, **kwargs)
        leaves, form = pytree.tree_flatten((args, kwargs))
        key = (name, getattr(own, "__func__", own), form, *_alike(leaves))  # a function may be put in another's place
        with self._lock:
            kept = self._kept.get(key, NEW)
            self._kept[key] = ONCE if kept == NEW else kept
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        if isinstance(kept, tuple):
            recording, answered = kept
            return pytree.tree_unflatten(recording(*_tensors(leaves)), answered)
        if kept != ONCE:
            return own(*args, **kwargs)
        try:
            answer, kept = _recorded(own, leaves, form)
        except GraphError as error:
            warnings.warn(f"{name} is called from Python on every frame: {error}", RuntimeWarning, stacklevel=2)
            answer, kept = own(*args, **kwargs), NEVER
        with self._lock:
            self._kept[key] = kept
        return answer


def _recorded(own: Any, leaves: Sequence[Any], form: Any) -> tuple[Any, tuple[Recording, Any]]:
    """Call a function, and write it down: what it answers, and what is kept."""
    tensors = _tensors(leaves)
    answered: list[Any] = []

    def function(*given: Tensor) -> Sequence[Any]:
        back = {id(tensor): other for tensor, other in zip(tensors, given, strict=True)}
        args, kwargs = pytree.tree_unflatten([back.get(id(leaf), leaf) for leaf in leaves], form)
        flat, shape = pytree.tree_flatten(own(*args, **kwargs))
        answered.append(shape)
        return flat

    flat, recording = record(function, tensors)
    return pytree.tree_unflatten(list(flat), answered[0]), (recording, answered[0])


def _tensors(leaves: Sequence[Any]) -> tuple[Tensor, ...]:
    """Each tensor once, in order."""
    seen: dict[int, Tensor] = {}
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            seen.setdefault(id(leaf), leaf)
    return tuple(seen.values())


def _alike(leaves: Sequence[Any]) -> list[Any]:
    """What inputs must share for one recording to serve both: sizes, layout, type, and which are the same."""
    places: dict[int, int] = {}
    return [
        (leaf.shape, leaf.stride(), leaf.dtype, leaf.device, places.setdefault(id(leaf), len(places)))
        if isinstance(leaf, Tensor)
        else (type(leaf), leaf)  # 1, 1.0 and True are equal, and make other numbers
        for leaf in leaves
    ]
