"""Which frames of a Labels layer a person made, and which a run did."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.methods.base import check_object_id

Masks = dict[int, NDArray[np.bool_]]


class Ledger:
    """Knows what runs wrote into a stack of labels. Whatever differs from it, a person made, by whatever tool.

    Args:
        labels: the layer's array, integers ``[T, H, W]``; 0 is background.
    """

    def __init__(self, labels: NDArray[Any]) -> None:
        self.labels = labels
        self._blank = _code(np.zeros(labels.shape[1:], labels.dtype))
        self._written: dict[int, int] = {}
        self._ids: dict[int, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self.labels)

    def is_given(self, frame: int) -> bool:
        """Whether a person gave, or corrected, the labels of a frame."""
        return self.code(frame) != self._written.get(frame, self._blank)

    def prompted(self) -> list[int]:
        """Frames that a person gave or corrected, in order."""
        return [frame for frame in range(len(self)) if self.is_given(frame)]

    def masks(self, frame: int) -> Masks:
        """Masks of a frame by object; empty ones of objects that a run had found there and a person took away.

        Raises:
            InputError: a label that is no id of an object.
        """
        labels = np.asarray(self.labels[frame])
        seen = (check_object_id(int(label)) for label in np.unique(labels) if label)
        ids = dict.fromkeys((*seen, *self._ids.get(frame, ())))
        return {object_id: labels == object_id for object_id in ids}

    def code(self, frame: int) -> int:
        """What tells the labels of a frame from others."""
        return _code(self.labels[frame])

    def put(self, frame: int, answer: NDArray[Any], ids: tuple[int, ...], before: int) -> bool:
        """Write what a run found, unless the frame was painted on since the run began.

        Args:
            frame: which.
            answer: labels ``[H, W]``.
            ids: the objects that the run follows, those that are not on the frame too.
            before: the frame's :meth:`code` when the run began.

        Returns: whether it was written.

        Raises:
            InputError: the layer's type cannot hold an id.
        """
        most, largest = int(np.iinfo(self.labels.dtype).max), max(ids, default=0)
        if largest > most:
            raise InputError(f"object {largest} does not fit into labels of type {self.labels.dtype}: at most {most}.")
        if self.code(frame) != before:
            return False
        self.labels[frame] = answer
        self._written[frame] = self.code(frame)
        self._ids[frame] = tuple(ids)
        return True


def _code(labels: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(labels).data)
