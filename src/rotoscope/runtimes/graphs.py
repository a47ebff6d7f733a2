"""What a method's network looks like from outside: pure functions of tensors, with named inputs and sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["float32", "bool", "int64"]


@dataclass(frozen=True)
class Port:
    """A tensor that enters or leaves a graph.

    Attributes:
        name: what it is called.
        axes: its sizes: a number, a symbol such as ``N``, or one made of it such as ``16*h`` or ``1+N``.
        says: what it is, with its range.
        kind: type of its elements.
        lowest, highest: between which examples lie.
        whole: whether these are whole numbers.
    """

    name: str
    axes: tuple[int | str, ...]
    says: str
    kind: Kind = "float32"
    lowest: float = 0.0
    highest: float = 1.0
    whole: bool = False

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its sizes where the symbols are known."""
        return tuple(axis if isinstance(axis, int) else _value(axis, sizes) for axis in self.axes)

    def example(self, sizes: Mapping[str, int]) -> Tensor:
        """Some tensor of that shape: noise, or what is true of most elements."""
        shape = self.shape(sizes)
        if self.kind == "bool":
            return torch.rand(shape) < 0.9
        noise = self.lowest + torch.rand(shape) * (self.highest - self.lowest)
        return noise.round() if self.whole else noise


@dataclass(frozen=True, eq=False)
class Graph:
    """One pure function of a network.

    Attributes:
        name: what its file is called.
        module: takes the inputs in order and returns the outputs in order.
        inputs, outputs: what enters and leaves.
        says: what it does.
        per_frame: how often it is called for a frame of one object, by and large.
    """

    name: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    says: str
    per_frame: float = 1.0

    def example(self, sizes: Mapping[str, int]) -> tuple[Tensor, ...]:
        """Inputs of some sizes."""
        return tuple(port.example(sizes) for port in self.inputs)


@dataclass(frozen=True, eq=False)
class Portable:
    """A network as graphs, and what a session outside does with them.

    Attributes:
        graphs: the functions.
        facts: numbers and rules of the session: normalisation, working size, state, policy; as JSON can hold them.
        sizes: symbols of the graphs' axes with the sizes that they are traced at.
        others: further sizes to try them at.
        usual: sizes of a frame with one object, to measure how long they take.
    """

    graphs: tuple[Graph, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    others: tuple[dict[str, int], ...] = ()
    usual: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphSet:
    """What can be made of a method's networks.

    Attributes:
        portable: a network and its config to the graphs that another program would want.
        calls: the same to those that a session calls, which leave glue outside; ``facts`` has what they depend on
            beside the network.
        served: the class of what sessions then call in the network's place
            (:class:`~rotoscope.runtimes.served.Served`).
    """

    portable: Callable[[Any, Any], Portable]
    calls: Callable[[Any, Any], Portable]
    served: Callable[..., Any]


def _value(axis: str, sizes: Mapping[str, int]) -> int:
    """A sum of products of numbers and symbols, such as ``8*h-7``."""
    total = 0
    for sign, product in re.findall(r"([+-]?)([^+-]+)", axis):
        value = -1 if sign == "-" else 1
        for part in product.split("*"):
            value *= int(part) if part.isdecimal() else sizes[part]
        total += value
    return total
