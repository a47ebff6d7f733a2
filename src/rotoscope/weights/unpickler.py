"""An interpreter of pickles that makes tables, lists, numbers, texts and tensors, and nothing else."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, NoReturn

import torch
from torch import Tensor

from rotoscope.weights.limits import MOST_BYTES, MOST_ENTRIES

MOST_NESTED = 200
"""How deep what is described may be nested."""

DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
"""Names of PyTorch's storages, such as ``torch.FloatStorage``."""

PLAIN_DATA = frozenset(
    f"{module}.{name}"
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    for name in ("scalar", "_reconstruct")
) | {"numpy.dtype", "_codecs.encode", "torch.device", "torch.Size"}
"""Makers of numbers, arrays and settings. A file may ask for them (statistics often hold such numbers); they are not
called either, and what they would have made is left out."""


@dataclass(frozen=True)
class Storage:
    """Numbers that one or more tensors are views of."""

    key: str
    dtype: torch.dtype
    count: int

    @property
    def bytes(self) -> int:
        """How large it is."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class _View:
    """A tensor that is to show part of a storage."""

    tensor: Tensor
    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Inert(type):
    """A class of stand-ins: their instances hold nothing, and calling one is refused."""

    def __call__(cls, *arguments: object, **named: object) -> NoReturn:
        raise pickle.UnpicklingError(f"asks to call {cls.__module__}.{cls.__name__}")


class _Harmless(_Inert):
    """The same, but calling one gives an instance."""

    def __call__(cls, *arguments: object, **named: object) -> Any:
        return type.__call__(cls)


_REFUSED = (pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.EMPTY_SET, pickle.FROZENSET,
            pickle.EXT1, pickle.EXT2, pickle.EXT4)  # fmt: skip
"""Instructions that no checkpoint needs; some allocate whatever a file says."""

_Base: Any = pickle._Unpickler  # the one written in Python, whose instructions can be chosen


class Unpickler(_Base):  # type: ignore[misc]
    """Reads one pickle in which every class and function is a stand-in, but for those that describe tensors.

    Args:
        file: stands before the pickle, and behind it afterwards.
        limit: bytes that all its tensors may have together are four times this: the size of the file.
    """

    dispatch: ClassVar[dict[int, Any]] = {
        code: step for code, step in _Base.dispatch.items() if code not in {op[0] for op in _REFUSED}
    }

    def __init__(self, file: BinaryIO, limit: int) -> None:
        super().__init__(file, encoding="latin-1")
        self.limit = limit
        self.storages: dict[str, Storage] = {}
        self.views: list[_View] = []
        self._shown = 0

    def load_mark(self) -> None:
        """Begin a list, a table or arguments inside another."""
        if len(self.metastack) >= MOST_NESTED:
            raise pickle.UnpicklingError(f"is nested more than {MOST_NESTED} deep")
        super().load_mark()

    def load_build(self) -> None:
        """The state of an object is left out, as the object is."""
        self.stack.pop()

    def load_append(self) -> None:
        """Add one item to a list."""
        self._extend([self.stack.pop()])

    def load_appends(self) -> None:
        """Add items to a list."""
        self._extend(self.pop_mark())

    def load_setitem(self) -> None:
        """Add one entry to a table."""
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def load_setitems(self) -> None:
        """Add entries to a table."""
        self._update(self.pop_mark())

    def load_dict(self) -> None:
        """A table of the entries given."""
        entries = self.pop_mark()
        self.append({})
        self._update(entries)

    dispatch |= {
        pickle.MARK[0]: load_mark,
        pickle.BUILD[0]: load_build,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
    }

    def _extend(self, items: list[Any]) -> None:
        """Stand-ins of lists hold nothing."""
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _update(self, entries: list[Any]) -> None:
        """Stand-ins of tables hold nothing. Keys are plain: of a tuple nested deep enough there is no hash."""
        for key in entries[::2]:
            if not isinstance(key, (str, bytes, int, float, type(None))):
                raise pickle.UnpicklingError(f"has a {type(key).__name__} for a name")
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(zip(entries[::2], entries[1::2], strict=True))

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a class or function; nothing is imported."""
        whole = f"{module}.{name}"
        makers: dict[str, Any] = {
            "collections.OrderedDict": OrderedDict,
            "collections.defaultdict": _default_table,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": _first,
            "torch._utils._rebuild_parameter_with_state": _first,
        }
        if whole in makers:
            return makers[whole]
        kind = name.removesuffix("Storage")
        if module == "torch" and kind in DTYPES and kind != name:
            return DTYPES[kind]
        return _stand_in(module, name, _Harmless if whole in PLAIN_DATA else _Inert)

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a pickle names."""
        word, dtype, key, _, count, *rest = pid
        if word != "storage" or not isinstance(dtype, torch.dtype) or any(part is not None for part in rest):
            raise pickle.UnpicklingError("names a storage of an unknown kind")
        if type(count) is not int or not 0 <= count <= self.limit:
            raise pickle.UnpicklingError(f"names a storage of {str(count)[:20]} numbers, more than the file holds")
        storage = Storage(str(key), dtype, count)
        if self.storages.setdefault(storage.key, storage) != storage or len(self.storages) > MOST_ENTRIES:
            raise pickle.UnpicklingError(f"names storage {storage.key[:20]} in two ways")
        return storage

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> Tensor:
        """A tensor without numbers yet, if what it shows is in its storage, and once."""
        whole = (offset, *size, *stride)
        if not isinstance(storage, Storage) or any(type(n) is not int or not 0 <= n <= MOST_BYTES for n in whole):
            raise pickle.UnpicklingError("describes a tensor that cannot be")
        count, last = 1, offset
        for side, step in zip(size, stride, strict=True):
            count, last = count * side, last + (side - 1) * step
        if count and (count > storage.count or last >= storage.count):
            raise pickle.UnpicklingError(
                f"a tensor of {list(size)} asks for more numbers than its storage's {storage.count}"
            )
        self._shown += count * storage.dtype.itemsize
        if self._shown > min(4 * self.limit, MOST_BYTES) or len(self.views) >= MOST_ENTRIES:
            raise pickle.UnpicklingError("its tensors are larger together than the file")
        tensor = torch.empty(0, dtype=storage.dtype)
        self.views.append(_View(tensor, storage, offset, tuple(size), tuple(stride)))
        return tensor

    def fill(self, numbers: Callable[[Storage], bytes]) -> None:
        """Give the tensors their numbers, which a function reads."""
        made: dict[str, torch.UntypedStorage] = {}
        for view in self.views:
            storage = view.storage
            if storage.key not in made:
                read = numbers(storage)
                if len(read) != storage.bytes:
                    raise EOFError(f"storage {storage.key} has {len(read)} bytes, not {storage.bytes}")
                holder = (
                    torch.frombuffer(bytearray(read), dtype=torch.uint8) if read else torch.empty(0, dtype=torch.uint8)
                )
                made[storage.key] = holder.untyped_storage()
            view.tensor.set_(made[storage.key], view.offset, view.size, view.stride)


def _first(value: Any, *_: object) -> Any:
    """A parameter is its tensor."""
    return value


def _default_table(*_: object) -> dict[Any, Any]:
    return {}


def _stand_in(module: str, name: str, kind: type[_Inert]) -> type:
    members = {
        "__module__": module,
        "__new__": lambda cls, *arguments: object.__new__(cls),
    }
    return kind(name, (), members)
