"""What computes a network's functions: PyTorch, or ONNX Runtime or OpenVINO on graphs that are made of it once."""

from __future__ import annotations

from rotoscope.runtimes.engines import RUNTIMES, check_runtime, installed_runtimes
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.replayed import Replayed
from rotoscope.runtimes.served import Served, computing

__all__ = [
    "RUNTIMES",
    "Graph",
    "GraphSet",
    "Port",
    "Portable",
    "Replayed",
    "Served",
    "check_runtime",
    "computing",
    "installed_runtimes",
]
