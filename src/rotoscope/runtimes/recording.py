"""A function's operations, written down while it runs once, as one call of PyTorch's interpreter.

Called from Python, each operation of a network waits for the lock that only one thread of a process may hold, and costs
what Python takes to ask for it. The interpreter holds no lock. Operations, their order and their numbers stay the same.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from rotoscope.errors import GraphError

LAYOUTS = {
    torch.contiguous_format: 0,
    torch.preserve_format: 1,
    torch.channels_last: 2,
    torch.channels_last_3d: 3,
}
"""Numbers of memory formats, as the interpreter has them."""
HARMLESS = {"aten::detach_"}
"""What counts as writing to a tensor, and leaves its elements alone."""
OPTIONAL = "OptionalType"
_ONE_AT_A_TIME = threading.RLock()
"""A mode's beginning and end set what is one for all threads of the process."""
_AS_IT_IS: Any = torch.jit.optimized_execution  # type: ignore[attr-defined]


class Recording:
    """A function for inputs like those that it was recorded with.

    Args:
        graph: its operations. Inputs come first, then what it was found to read beside them.
        read: these: weights, and tables that are kept.
    """

    def __init__(self, graph: Any, read: Sequence[Tensor]) -> None:
        self._function = torch._C._create_function_from_graph("recorded", graph)
        self._read = tuple(read)

    def __call__(self, *tensors: Tensor) -> tuple[Any, ...]:
        """Run it.

        Args:
            tensors: of the sizes, types and layouts that the recorded ones had.
        Returns: what the function returns, in order.
        """
        with _AS_IT_IS(False):  # and not what a compiler would make of it after some calls
            answer: tuple[Any, ...] = self._function(*tensors, *self._read)
        return answer


def record(function: Callable[..., Sequence[Any]], tensors: Sequence[Tensor]) -> tuple[Sequence[Any], Recording]:
    """Run a function and write down what it does.

    Args:
        function: a pure function of its inputs, whose operations depend on their sizes alone. It may read other
            tensors, which are kept; it must not write to these.
        tensors: its inputs, no two of them the same.
    Returns: what the function gave, tensors and perhaps None between them, and its recording.

    Raises:
        GraphError: it does what cannot be written down, such as asking for an element's value.
    """
    recorder = _Recorder(tensors)
    with _ONE_AT_A_TIME, recorder:
        answer = function(*tensors)
    return answer, recorder.ended(answer)


class _Recorder(TorchDispatchMode):
    """Writes down operations as they come; what they answer is named for as long as it lives."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph: Any = torch._C.Graph()
        self._names: Any = WeakIdKeyDictionary()
        self._read: list[Tensor] = []
        self._places: set[int] = set()
        for tensor in tensors:
            self._names[tensor] = self._graph.addInput()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else PyTorch's compiler is imported to be kept out: three seconds, 100 MiB

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        inputs = []
        for place, argument in enumerate(func._schema.arguments):
            value = args[place] if place < len(args) else given.get(argument.name, argument.default_value)
            if argument.is_write and func._schema.name not in HARMLESS and not self._is_its_own(value):
                raise GraphError(f"{func} writes to what was there before.")
            inputs.append(self._value(value, argument.type))
        answer = func(*args, **given)
        listed = any(isinstance(result.type, torch.ListType) for result in func._schema.returns)
        results = answer if isinstance(answer, list | tuple) else (answer,)
        if not all(isinstance(result, Tensor) for result in results):
            raise GraphError(f"{func} answers what is no tensor.")
        node = self._graph.create(func._schema.name, inputs, 1 if listed else len(results))
        self._graph.insertNode(node)
        if listed:
            one = next(node.outputs())
            one.setType(torch.ListType(torch.TensorType.get()))
            node = self._graph.create("prim::ListUnpack", [one], len(results))
            self._graph.insertNode(node)
        for result, output in zip(results, node.outputs(), strict=True):
            self._names[result] = output
        return answer

    def ended(self, answer: Sequence[Any]) -> Recording:
        """All of it, with what is returned."""
        if not self._is_its_own([one for one in answer if isinstance(one, Tensor)]):
            raise GraphError("The function answers what was there before: it may have kept it from another call.")
        values = [self._value(tensor, torch.TensorType.get()) for tensor in answer]
        whole = self._graph.create("prim::TupleConstruct", values, 1)
        self._graph.insertNode(whole)
        output = next(whole.outputs())
        output.setType(torch.TupleType([value.type() for value in values]))
        self._graph.registerOutput(output)
        self._graph.lint()
        return Recording(self._graph, self._read)

    def _is_its_own(self, value: Any) -> bool:
        """Whether tensors are inputs or came of what was recorded, and are no views of what is read beside them."""
        tensors = value if isinstance(value, list | tuple) else (value,)
        return all(tensor in self._names and not _places(tensor) & self._places for tensor in tensors)

    def _value(self, value: Any, kind: Any) -> Any:
        """What stands for an argument of a kind."""
        if type(kind).__name__ == OPTIONAL and value is not None:
            kind = kind.getElementType()
        if isinstance(value, Tensor):
            if value not in self._names:
                self._names[value] = self._graph.addInput()
                self._read.append(value)
                self._places |= _places(value)
            return self._names[value]
        if isinstance(value, list | tuple):
            element = kind.getElementType()
            parts = [self._value(part, element) for part in value]
            node = self._graph.create("prim::ListConstruct", parts, 1)
            self._graph.insertNode(node)
            output = next(node.outputs())
            output.setType(torch.ListType(element))
            return output
        if isinstance(value, torch.memory_format):
            value = LAYOUTS[value]
        if type(kind).__name__ == "FloatType" and isinstance(value, int):
            value = float(value)
        try:
            return self._graph.insertConstant(value)
        except TypeError:
            raise GraphError(f"{value!r} cannot be written down.") from None


def _places(tensor: Tensor) -> set[int]:
    """Where a tensor's elements lie, the same for all its views; nowhere for packed weights or without elements."""
    return set() if tensor.layout != torch.strided else {tensor.untyped_storage().data_ptr()} - {0}


@functools.cache
def can_record() -> bool:
    """Whether this PyTorch has what recordings are made of, which is its own: tried on a small function."""

    def small(x: Tensor) -> tuple[Tensor, ...]:
        y = torch.cat([x, x.relu_()], dim=-1).to(torch.bfloat16)
        return (y, *torch.nn.functional.pad(y, (1, 1)).split(2, dim=-1))

    x = torch.linspace(-1, 1, 4)
    with torch.inference_mode():
        try:
            first, recording = record(small, (x.clone(),))
            second = recording(x.clone())
        except (AttributeError, GraphError, ImportError, RuntimeError, TypeError):  # another PyTorch, made otherwise
            return False
        return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
