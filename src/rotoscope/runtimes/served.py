"""A network some of whose functions a runtime computes, and who has which threads meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rotoscope.runtimes.engines import Engine, open_graph
from rotoscope.runtimes.graphs import Graph, Portable
from rotoscope.runtimes.replayed import Replayed


class Served:
    """What sessions call in a network's place.

    A method's subclass has those functions that are graphs, under the network's own names; everything else is the
    network's.

    Args:
        network: the layers, in float32 on the CPU.
        whole: the graphs.
        paths: their files, by name.
        bfloat16: see :func:`~rotoscope.runtimes.engines.open_graph`.
    """

    def __init__(self, network: nn.Module, whole: Portable, paths: Mapping[str, Path], bfloat16: bool = False) -> None:
        self.network: Any = network
        self.facts = whole.facts
        self._graphs = {graph.name: graph for graph in whole.graphs}
        self._paths = dict(paths)
        self._bfloat16 = bfloat16
        self._engines: dict[tuple[str, int], Engine] = {}
        self._lock = threading.Lock()
        self._own = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def ask(self, name: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run a graph.

        Args:
            name: of the graph.
            tensors: its inputs in order, float32 where they are not whole numbers.
        Returns: its outputs in order.
        """
        graph = self._graphs[name]
        inputs = {port.name: _array(tensor) for port, tensor in zip(graph.inputs, tensors, strict=True)}
        return tuple(torch.from_numpy(array) for array in self._engine(graph)(inputs))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While a session works: graphs have the threads that PyTorch had in this thread, and PyTorch has one.

        Threads of two pools that wait for work would keep each other's from working.
        """
        before = torch.get_num_threads()
        self._own.threads = before
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            del self._own.threads

    def _engine(self, graph: Graph) -> Engine:
        threads = getattr(self._own, "threads", torch.get_num_threads())
        with self._lock:
            engine = self._engines.get((graph.name, threads))
            if engine is None:
                engine = open_graph(self._paths[graph.name], threads, bfloat16=self._bfloat16)
                self._engines[graph.name, threads] = engine
        return engine


@contextmanager
def computing(network: nn.Module | Served | Replayed) -> Iterator[None]:
    """While a session calls functions of a network, or of what stands in its place."""
    with torch.inference_mode(), network.turn() if isinstance(network, Served) else nullcontext():
        yield


def _array(tensor: Tensor) -> Any:
    """A tensor as NumPy's array in one piece, without a copy where it is one."""
    if tensor.is_floating_point():
        tensor = tensor.to(torch.float32)
    return np.ascontiguousarray(tensor.detach().numpy())
