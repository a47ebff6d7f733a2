"""A lock on a folder: one run at a time writes to it."""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rotoscope.errors import InputError, RotoscopeError, shown
from rotoscope.files import new_file_beside, text_of

NAME = ".rotoscope.lock"
STALE = 600.0
"""Seconds after which a lock that nobody renewed counts as left behind."""
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What is said where a disk has no hard links."""
MUTEX = f".{NAME}.breaking.lock"
"""Who has made this file may remove a stale lock. A killed one's is swept, as files half written are."""
BROKEN_WITHIN = 10.0
"""Seconds that to remove a stale lock takes at most."""
ATTEMPTS = 200
"""Tries to take a lock while others remove a stale one."""
RENEWED_EVERY = 5.0
"""Seconds between renewals."""


class FolderLock:
    """A file that says whose the folder is: process, host, and, by its time of change, when that was last true.

    A lock is stale, and is broken, if its process on this host is gone, or if nobody has renewed it for :data:`STALE`
    seconds, as when a host on a shared disk went down.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._mine = json.dumps({"process": os.getpid(), "host": socket.gethostname(), "token": secrets.token_hex(8)})
        self._renewed = 0.0

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            InputError: another run has it.
        """
        for _ in range(ATTEMPTS):
            try:
                self._place()
            except FileExistsError:
                self._break_if_stale()
                continue
            except FileNotFoundError:
                continue  # the run that had the folder until now swept this one's beginnings away
            except OSError as error:
                raise InputError(
                    f"{self.path.parent}: cannot be written to ({error.strerror}). Choose another folder."
                ) from None
            self._renewed = time.monotonic()
            return
        raise InputError(f"{self.path.parent}: other runs are taking it. Choose another folder.")

    def _place(self) -> None:
        """Put the lock where it belongs, whole, unless there is one.

        Raises:
            OSError: there is one, or it cannot be written.
        """
        temporary = new_file_beside(self.path)
        try:
            temporary.write_text(self._mine, encoding="utf-8")
            try:
                os.link(temporary, self.path)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(self._mine)
        finally:
            temporary.unlink(missing_ok=True)

    def renew(self) -> None:
        """Say that the run is alive; called with every frame, and does something every few seconds.

        Raises:
            RotoscopeError: another run has taken the folder meanwhile, as this one had stood still for too long.
        """
        now = time.monotonic()
        if now - self._renewed < RENEWED_EVERY:
            return
        if _text(self.path) != self._mine:
            raise RotoscopeError(
                f"{self.path.parent}: another run has taken this folder, as this one stood still for more than "
                f"{STALE / 60:.0f} minutes. Nothing more is written."
            )
        os.utime(self.path)
        self._renewed = now

    def release(self) -> None:
        """Give the lock back, if it is still this run's."""
        if _text(self.path) == self._mine:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> FolderLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _break_if_stale(self) -> None:
        text = _text(self.path)
        try:
            age = time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return
        owner = _owner(text)
        here = owner.get("host") == socket.gethostname()
        process = owner.get("process")
        gone = here and isinstance(process, int) and not _is_running(process)
        if not gone and age < STALE:
            who = shown(f"process {process} on {owner.get('host')}", 80) if owner else "another process"
            raise InputError(
                f"{self.path.parent}: {who} is writing to it (last sign of life {max(age, 0):.0f} s ago). "
                f"Wait for it, choose another folder, or, if it is certain that no run is alive, remove {self.path}."
            )
        self._break(text)

    def _break(self, text: str | None) -> None:
        """Remove a lock left behind; one run at a time may, or a second would remove what the first then put there."""
        mutex = self.path.with_name(MUTEX)
        try:
            os.close(os.open(mutex, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            with suppress(FileNotFoundError):
                if time.time() - mutex.stat().st_mtime > BROKEN_WITHIN:  # whoever broke it died meanwhile
                    mutex.unlink()
            time.sleep(0.01)
            return
        try:
            if _text(self.path) == text:
                self.path.unlink(missing_ok=True)
        finally:
            mutex.unlink(missing_ok=True)


def _text(path: Path) -> str | None:
    return text_of(path, 4096)


def _owner(text: str | None) -> dict[str, Any]:
    try:
        owner = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _is_running(process: int) -> bool:
    """Whether there is a process of that number on this host."""
    if os.name == "nt":
        return True  # signal 0 would end it there; its lock counts by age
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
