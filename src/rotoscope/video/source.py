"""The files that a video is read from: what tells them from others, and whether they are still what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rotoscope.errors import RotoscopeError

Stamp = tuple[int, int]
"""Bytes of a file, and the time of its last change in nanoseconds."""


class SourceChangedError(RotoscopeError):
    """What is read is gone, or is another than when it was opened; what was made of it before stays."""


class SourceFiles:
    """Files as they were when the video was opened.

    Args:
        paths: in the order of the frames.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self._stamps = [stamp_of(path) for path in self.paths]

    def check(self, number: int, gone: bool = True) -> None:
        """See that a file is what it was; one that was not there at the beginning is no matter.

        Args:
            number: of the file.
            gone: whether it must still be there. A file that is held open is read to its end all the same.

        Raises:
            SourceChangedError: it is not.
        """
        before, now = self._stamps[number], stamp_of(self.paths[number])
        if before is None or now == before:
            return
        if now is None and gone:
            raise SourceChangedError(
                f"{self.paths[number]}: is gone, although it was there at the beginning. Bring it back; "
                "what was made before stays."
            )
        if now is not None:
            raise SourceChangedError(
                f"{self.paths[number]}: was altered while it was being read. Start again with what is there now."
            )

    def code(self, contents: bool = False) -> str:
        """What tells these files from any others, as hexadecimal digits.

        Args:
            contents: go by names and contents, which reads all files; else by names, sizes and times of change.
        """
        digest = hashlib.blake2b(digest_size=16)
        for path, stamp in zip(self.paths, self._stamps, strict=True):
            what = _contents(path) if contents else stamp
            digest.update(f"{path.name}\0{what}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def stamp_of(path: Path) -> Stamp | None:
    """A file's size and time of change; None if there is none that can be asked."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _contents(path: Path) -> str | None:
    """A code of all that a file holds; None if it cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 22):
                digest.update(part)
    except OSError:
        return None
    return digest.hexdigest()
