"""Which runtime is the fastest for a network on this machine: measured once, and kept."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rotoscope.errors import GraphError
from rotoscope.files import atomic_write, make_folder
from rotoscope.runtimes.graphs import Graph, Portable
from rotoscope.runtimes.served import Served

ROUNDS = 3
"""Runs of each graph that count, by the shortest, after one that does not; the runtimes take turns."""
MARGIN = 0.9
"""Another runtime is taken in PyTorch's place if it needs at most this share of its time."""


@dataclass(frozen=True)
class Choice:
    """A runtime that was chosen.

    Attributes:
        runtime: its name.
        seconds: what the network's graphs take for a frame with one object, by runtime; infinity for one that cannot
            compute them.
        kept: whether they were measured by an earlier call.
    """

    runtime: str
    seconds: Mapping[str, float]
    kept: bool = False

    @property
    def note(self) -> str:
        """One line for a person."""
        others = sorted((s, name) for name, s in self.seconds.items() if name != self.runtime)
        told = ", ".join(f"{name} {1000 * s:.0f}" if math.isfinite(s) else f"{name} cannot" for s, name in others)
        own = f"runtime {self.runtime}: {1000 * self.seconds[self.runtime]:.0f} ms a frame in the network"
        when = "measured earlier" if self.kept else "measured now and kept"
        return f"{own} ({told}; {when})" if told else f"{own} (no other is installed)"


def fastest(seconds: Mapping[str, float]) -> str:
    """The runtime to take: PyTorch, unless another one is faster by more than a measurement errs."""
    best = min(seconds, key=lambda name: seconds[name])
    return best if seconds[best] <= MARGIN * seconds["torch"] else "torch"


def choose(
    folder: Path, key: str, torch_graphs: Callable[[], Portable], served: Mapping[str, Callable[[], Served]]
) -> Choice:
    """Measure, or look up, and choose.

    Args:
        folder: where measurements are kept.
        key: stands for the network, its precision and the versions of all runtimes; the processor and the number of
            threads are added here.
        torch_graphs: gives the graphs of the network as PyTorch runs it.
        served: gives the network on each other runtime.
    """
    threads = (torch.get_num_threads() + 1) // 2  # as a run has them, whose other half encodes the next frame
    where = f"{platform.processor() or platform.machine()} {_model()} {threads}"
    path = folder / f"{key}.json"
    seconds = _kept(path, where, {"torch", *served})
    if seconds is not None:
        return Choice(fastest(seconds), seconds, kept=True)
    able: dict[str, Served] = {}
    for name, make in served.items():
        with suppress(GraphError):
            able[name] = make()
    seconds = dict.fromkeys(served, math.inf) | _measured(torch_graphs(), able, threads)
    make_folder(folder)
    with atomic_write(path) as target:
        target.write_text(json.dumps({"where": where, "seconds": seconds}, indent=1), encoding="utf-8")
    return Choice(fastest(seconds), seconds)


def _measured(whole: Portable, served: Mapping[str, Served], threads: int) -> dict[str, float]:
    """Seconds a frame by runtime."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    total = dict.fromkeys(("torch", *served), 0.0)
    try:
        with torch.inference_mode():
            for graph in whole.graphs:
                least = dict.fromkeys(total, float("inf"))
                for turn in range(1 + ROUNDS):
                    for name in total:
                        taken = _once(graph, whole, served.get(name))
                        least[name] = min(least[name], taken) if turn else least[name]
                for name, seconds in least.items():
                    total[name] += graph.per_frame * seconds
    finally:
        torch.set_num_threads(before)
    return total


def _once(graph: Graph, whole: Portable, served: Served | None) -> float:
    """Seconds of one run of a graph at the usual sizes."""
    weight = next(graph.module.parameters(), torch.empty(0))
    kind = weight.dtype if served is None else torch.float32
    example = [t.to(kind) if t.is_floating_point() else t for t in graph.example(whole.usual)]
    with nullcontext() if served is None else served.turn():
        begun = time.perf_counter()
        if served is None:
            graph.module(*example)
        else:
            served.ask(graph.name, *example)
        return time.perf_counter() - begun


def _kept(path: Path, where: str, names: set[str]) -> dict[str, float] | None:
    """What an earlier call measured of the same runtimes on the same machine; None if there is nothing of it."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        seconds = {str(name): float(value) for name, value in record["seconds"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return seconds if record.get("where") == where and set(seconds) == names else None


def _model() -> str:
    """The processor's own name, where the system tells it."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
