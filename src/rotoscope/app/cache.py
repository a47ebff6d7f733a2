"""Frames that were asked for lately, within a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """Keeps what was used last, as long as all of it takes no more than a number of bytes.

    Args:
        budget: bytes.
        size: of a value, in bytes.
    """

    def __init__(self, budget: int, size: Callable[[Value], int]) -> None:
        self.budget = budget
        self.used = 0
        self._size = size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key; made where it is not there. Threads that ask for one key at a time may both make it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self.used += self._size(value)
            while self.used > self.budget and len(self._values) > 1:
                _, gone = self._values.popitem(last=False)
                self.used -= self._size(gone)
        return value

    def peek(self, key: Hashable) -> Value | None:
        """The value of a key, if it is there."""
        with self._lock:
            return self._values.get(key)

    def forget(self, keep: Callable[[Hashable], bool]) -> None:
        """Let go of all keys but those to keep."""
        with self._lock:
            for key in [key for key in self._values if not keep(key)]:
                self.used -= self._size(self._values.pop(key))
