"""Pictures of a clip's frames on disk, so that a jump need not decode all frames since the last key frame."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

Name = tuple[str, int, int]
"""Key of the project, index of the frame, and the longer side that was asked for (0 for the frame's own)."""
BUDGET = 512 << 20
"""Bytes of pictures; at 854x480 some ten thousand frames, at 1920x1080 some two thousand."""


class Shelf:
    """Keeps pictures in one file without a name, which is gone when the process is, however it ends.

    The file is written round and round: once it is full, what was put first goes first. Methods may be called from any
    thread.

    Args:
        folder: of the disk to use.
        budget: bytes of the file.
    """

    def __init__(self, folder: Path, budget: int = BUDGET) -> None:
        self.budget = budget
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by close)
        self._places: OrderedDict[Name, tuple[int, int]] = OrderedDict()
        self._end = 0
        self._lock = threading.Lock()

    def __contains__(self, name: Name) -> bool:
        with self._lock:
            return name in self._places

    def get(self, name: Name) -> bytes | None:
        """A picture; None if it is not there."""
        with self._lock:
            place = self._places.get(name)
            if place is None or self._file.closed:
                return None
            self._file.seek(place[0])
            return self._file.read(place[1])

    def put(self, name: Name, data: bytes) -> None:
        """Keep a picture, in the place of the oldest where there is no other room.

        Raises:
            OSError: the disk is full.
        """
        with self._lock:
            if name in self._places or len(data) > self.budget or self._file.closed:
                return
            if self._end + len(data) > self.budget:
                self._drop_until(self.budget)
                self._end = 0
            self._drop_until(self._end + len(data))
            self._file.seek(self._end)
            self._file.write(data)
            self._places[name] = (self._end, len(data))
            self._end += len(data)

    def forget(self, project: str) -> None:
        """Let go of the pictures of a project."""
        with self._lock:
            for name in [name for name in self._places if name[0] == project]:
                del self._places[name]

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            self._places.clear()
            self._file.close()

    def _drop_until(self, end: int) -> None:
        """Forget the oldest pictures that begin behind where is written, and before ``end``."""
        while self._places:
            start, _ = next(iter(self._places.values()))
            if not self._end <= start < end:
                return
            self._places.popitem(last=False)
