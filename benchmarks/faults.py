"""A disk that is watched or fails: what a kill at any write leaves, and what a full disk does at any write.

Every write of this process below a folder is seen: files opened for writing, renamed, linked and removed, folders made
and removed, times set (by Python's audit events, so whoever does it), and what ``os.fsync`` and ``os.write`` do.
:class:`Recorder` keeps the folder as it is before each of them, which is what a kill there leaves. :class:`FullDisk`
lets one of them, and all that come after it and need room, fail.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
HALF_WRITTEN = re.compile(r"\..+(\.\w+)\.[a-z0-9_]{8}\1")
LOCK = ".rotoscope.lock"
EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.utime", "os.truncate"}
NEED_ROOM = {"open", "os.mkdir", "os.link", "os.symlink", "write"}

_watching: Watched | None = None
Self = TypeVar("Self", bound="Watched")


class Watched:
    """A folder whose writes are counted, for as long as the ``with`` block runs.

    Attributes:
        seen: what was about to be done, a line each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder.absolute())
        self.seen: list[str] = []
        self._busy = threading.Lock()
        self._mine: int | None = None
        self._kept: dict[str, Any] = {}

    def operation(self, kind: str, path: str, append: bool) -> None:
        """Called before each write; may raise what the write shall raise."""

    def saw(self, kind: str, path: str, append: bool = False) -> None:
        """An operation is about to happen."""
        inside = path == self.folder or path.startswith(self.folder + os.sep)
        if not inside or self._mine == threading.get_ident():
            return
        with self._busy:
            self._mine = threading.get_ident()
            try:
                self.seen.append(f"{kind} {path[len(self.folder) + 1 :]}")
                self.operation(kind, path, append)
            finally:
                self._mine = None

    def write(self, handle: int, data: Any) -> int:
        """In place of ``os.write``."""
        self.saw("write", _path_of(handle))
        return self._kept["write"](handle, data)

    def fsync(self, handle: int) -> None:
        """In place of ``os.fsync``; nothing is waited for, as no power is cut here."""
        self.saw("fsync", _path_of(handle))

    def __enter__(self: Self) -> Self:
        global _watching
        assert _watching is None
        _hook()
        self._kept = {"write": os.write, "fsync": os.fsync}
        os.write, os.fsync = self.write, self.fsync  # type: ignore[assignment]
        _watching = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _watching
        _watching = None
        os.write, os.fsync = self._kept["write"], self._kept["fsync"]


class Recorder(Watched):
    """Keeps the folder as it is before each write.

    Where a line was being added to a file, that there is half a line is kept too.

    Args:
        folder: what is watched.
        copies: where the copies go, numbered, with the lock as that of a process that is gone.
        wanted: whether the copy of an operation is kept, by its number.
    """

    def __init__(self, folder: Path, copies: Path, wanted: Callable[[int], bool] = lambda _: True) -> None:
        super().__init__(folder)
        self.copies = copies
        self.wanted = wanted
        self.kept: list[Path] = []
        self._added: tuple[str, int, int] | None = None

    def operation(self, kind: str, path: str, append: bool) -> None:
        """Keep what there is."""
        number, added = len(self.seen) - 1, self._added
        if kind != "write":  # which comes after the file was opened, and before the line is there
            self._added = None
        me = threading.get_ident()
        if append:
            self._added = path, os.path.getsize(path) if os.path.exists(path) else 0, me
        if not self.wanted(number):
            return
        self._keep(f"{number:05d}")
        if added is not None and added[2] == me and os.path.getsize(added[0]) > added[1]:
            copy = self._keep(f"{number:05d}-half")
            half = copy / os.path.relpath(added[0], self.folder)
            os.truncate(half, (added[1] + half.stat().st_size + 1) // 2)

    def _keep(self, name: str) -> Path:
        copy = self.copies / name
        duplicate(Path(self.folder), copy)
        self.kept.append(copy)
        return copy


class FullDisk(Watched):
    """From one operation on there is no room: files cannot be made, and what is written is cut short.

    Args:
        folder: what is watched.
        at: number of the operation.
        code: of the error.
    """

    def __init__(self, folder: Path, at: int, code: int = errno.ENOSPC) -> None:
        super().__init__(folder)
        self.at = at
        self.code = code

    def operation(self, kind: str, path: str, append: bool) -> None:
        """Fail if it is time."""
        if len(self.seen) > self.at and kind in NEED_ROOM:
            raise OSError(self.code, os.strerror(self.code), path)

    def write(self, handle: int, data: Any) -> int:
        """Half is written before there is no room."""
        path = _path_of(handle)
        if path.startswith(self.folder) and len(self.seen) >= self.at:
            self._kept["write"](handle, bytes(data)[: len(data) // 2])
        return super().write(handle, data)


def duplicate(folder: Path, copy: Path) -> None:
    """Copy a folder; files that are only ever replaced are linked, which takes no time. Locks lose their owner."""
    copy.mkdir(parents=True)
    for entry in os.scandir(folder) if folder.exists() else ():
        target = copy / entry.name
        if entry.is_dir(follow_symlinks=False):
            duplicate(Path(entry.path), target)
        elif entry.name == LOCK or entry.name.startswith(f".{LOCK}"):
            target.write_text(_of_nobody(Path(entry.path).read_text()))
        elif entry.name.endswith(".txt") or HALF_WRITTEN.fullmatch(entry.name):
            shutil.copy2(entry.path, target)
        else:
            os.link(entry.path, target)


def contents(folder: Path) -> dict[str, bytes | str]:
    """Every file of a folder, hidden ones too, by its path in it; of ``run.json`` what does not tell of time.

    Of H.264 videos only that they are there: what they show is compared by :func:`interrupted.unlike`, so that no
    choice of an encoder decides.
    """
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[name + "/"] = ""
        elif name == "run.json":
            facts = json.loads(path.read_text())
            for key in ("frames", "resumed_at", "seconds", "wall", "peak_memory", "remembered", "folder"):
                del facts["report"][key]
            found[name] = json.dumps(facts)
        elif path.suffix == ".mp4":
            found[name] = "a video"
        else:
            found[name] = path.read_bytes()
    return found


def _of_nobody(lock: str) -> str:
    """A lock's text, as if its process were gone."""
    try:
        owner = json.loads(lock)
    except ValueError:
        return lock
    return json.dumps({**owner, "process": gone_process()})


_gone: list[int] = []


def gone_process() -> int:
    """The number of a process that is not there any more."""
    if not _gone:
        process = subprocess.Popen([sys.executable, "-S", "-c", ""])
        process.wait()
        _gone.append(process.pid)
    return _gone[0]


def _path_of(handle: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{handle}")
    except OSError:
        return ""


def _absolute(path: Any, folder: Any = -1) -> str:
    text = os.fsdecode(path)
    if isinstance(folder, int) and folder >= 0:
        return os.path.join(_path_of(folder), text)
    return os.path.abspath(text)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook."""
    watched = _watching
    if watched is None:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, (str, bytes, os.PathLike)) and isinstance(flags, int) and flags & WRITING:
            watched.saw("open", _absolute(path), bool(flags & os.O_APPEND))
    elif event in EVENTS:
        path, folder = (arguments[1], -1) if event in ("os.rename", "os.link") else (arguments[0], arguments[-1])
        if isinstance(path, (str, bytes, os.PathLike)):
            watched.saw(event, _absolute(path, folder if event in ("os.remove", "os.rmdir", "os.mkdir") else -1))


_hooked = False


def _hook() -> None:
    """Listen; once and for the life of the process, as Python has it."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_heard)
        _hooked = True
