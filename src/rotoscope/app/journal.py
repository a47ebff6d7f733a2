"""What a person did, line by line: the one truth of a project's objects and given masks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from rotoscope.errors import InputError, RotoscopeError

Record = dict[str, Any]


class Journal:
    """A file that only grows, of one JSON object a line.

    A line counts once it ends: what a kill or a power cut leaves of the last is taken away when the file is opened.

    Args:
        path: the file; made if it is not there.
        durable: wait with each line until it is on the disk.

    Attributes:
        records: the lines that were there.
    """

    def __init__(self, path: Path, durable: bool) -> None:
        self.path = path
        self.durable = durable
        self.records: list[Record] = []
        whole = 0
        if path.exists():
            raw = path.read_bytes()
            whole = raw.rfind(b"\n") + 1
            self.records = [self._record(number, line) for number, line in enumerate(raw[:whole].splitlines(), 1)]
        self._file: BinaryIO = path.open("ab")
        self._file.truncate(whole)

    def _record(self, number: int, line: bytes) -> Record:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InputError(f"{self.path}: line {number} is no record of ours. Put the file back as it was.")
        return record

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one line; when this returns it is kept.

        Raises:
            RotoscopeError: the disk is full, or the file is gone.
        """
        self.extend([record])

    def extend(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write several lines at once; see :meth:`append`."""
        whole = self._file.tell()
        lines = b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records)
        try:
            self._file.write(lines)
            self._file.flush()
            if self.durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):  # half a line would spoil the next
                self._file.truncate(whole)
            raise RotoscopeError(f"{self.path}: cannot be written ({error.strerror}). Make room.") from None

    def replace(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Put other lines in the place of all, in one step."""
        temporary = self.path.with_name(f".{self.path.name}.new")
        text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        temporary.write_text(text, encoding="utf-8")
        self._file.close()
        os.replace(temporary, self.path)
        self._file = self.path.open("ab")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
