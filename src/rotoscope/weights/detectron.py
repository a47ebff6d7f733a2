"""Files of detectron2's model zoo: pickles of NumPy arrays, read without running anything in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from rotoscope.errors import CheckpointError
from rotoscope.weights.limits import check_size, one_line
from rotoscope.weights.unpickler import Unpickler

KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1"}
"""Types of numbers that arrays may have, as NumPy writes them."""


class _Array:
    """An array that is being described; its numbers come last, when the table may hold it already."""

    value: torch.Tensor | None = None


class _Kind:
    """A type of numbers, and the order of their bytes."""

    def __init__(self, name: object, *_: object) -> None:
        if name not in KINDS:
            raise pickle.UnpicklingError(f"holds numbers of the kind {str(name)[:20]}")
        self.name = str(name)
        self.order = "<"


class ArrayUnpickler(Unpickler):
    """As its base, but arrays of numbers come out as tensors."""

    dispatch: ClassVar[dict[int, Any]] = dict(Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a class or function; nothing is imported."""
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return lambda *_: _Array()
        if (module, name) == ("numpy", "dtype"):
            return _Kind
        if (module, name) == ("_codecs", "encode"):
            return _encoded
        return super().find_class(module, name)

    def load_build(self) -> None:
        """Numbers of an array, or the order of bytes of a kind; the state of all else is left out."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, _Kind):
            made.order = state[1]
        elif isinstance(made, _Array):
            made.value = _tensor(*state)

    dispatch[pickle.BUILD[0]] = load_build


def _encoded(text: object, coding: object = "latin1", *_: object) -> bytes:
    """Bytes, as Python 2's protocol writes them."""
    if not isinstance(text, str) or coding != "latin1":
        raise pickle.UnpicklingError("writes its numbers in an unknown way")
    return text.encode("latin-1")


def _tensor(_: object, shape: Any, kind: Any, by_column: object, numbers: Any) -> torch.Tensor:
    """A tensor of an array's state, whose size is compared with the bytes that are there."""
    if not isinstance(kind, _Kind) or not isinstance(numbers, bytes) or kind.order not in ("<", "|", "="):
        raise pickle.UnpicklingError("describes an array that cannot be")
    dtype = np.dtype(kind.name)
    if any(type(side) is not int or side < 0 for side in shape) or prod(shape) * dtype.itemsize != len(numbers):
        raise pickle.UnpicklingError(f"an array says it is {list(shape)[:6]}, but holds {len(numbers)} bytes")
    array = np.frombuffer(numbers, dtype).reshape(shape, order="F" if by_column else "C")
    return torch.from_numpy(np.array(array, order="C"))


def read_detectron(path: Path) -> Mapping[Any, Any]:
    """The table in a file of detectron2, such as ``{"model": {name: tensor}, "__author__": …}``.

    Raises:
        CheckpointError: truncated, unsafe, larger than it may be, or not a table.
    """
    try:
        size = check_size(path)
        with path.open("rb") as file:
            loaded = ArrayUnpickler(file, size).load()
        if isinstance(loaded, Mapping):
            return _with_tensors(loaded)
    except CheckpointError:
        raise
    except MemoryError:
        raise CheckpointError(f"{path}: asks for more memory than there is. Get the file again.") from None
    except Exception as error:  # a malformed file can make the interpreter of pickles fail in any way
        raise CheckpointError(
            f"{path}: truncated, or not a checkpoint that can be opened safely ({one_line(error)})."
        ) from None
    raise CheckpointError(f"{path}: holds a {type(loaded).__name__}, not a table of named arrays.")


def _with_tensors(table: Mapping[Any, Any]) -> dict[Any, Any]:
    """A table, and those in it, with tensors in place of what describes arrays."""
    return {
        name: _with_tensors(value)
        if isinstance(value, Mapping)
        else value.value
        if isinstance(value, _Array)
        else value
        for name, value in table.items()
    }
