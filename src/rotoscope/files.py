"""Files that appear whole or not at all, and folders that can be written to."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rotoscope.errors import InputError, RotoscopeError

_HALF_WRITTEN = re.compile(r"\..+(\.\w+)\.[a-z0-9_]{8}\1")


@contextmanager
def atomic_write(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block ends well the file takes its place in one step.

    Args:
        path: the file to write; what stood there before stays until the new one is whole.
        durable: also wait until the bytes are on the disk, so that a power cut cannot leave an empty file.

    Raises:
        RotoscopeError: the disk is full, or the place cannot be written to; nothing is left behind.
    """
    path = Path(path)
    with _told(path):
        temporary = _new_file_beside(path)
        try:
            yield temporary
            if durable:
                with temporary.open("rb+") as written:
                    os.fsync(written.fileno())
            os.replace(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


def is_half_written(path: Path) -> bool:
    """Whether the name is one that :func:`atomic_write` gives to a file until it is whole."""
    return _HALF_WRITTEN.fullmatch(path.name) is not None


def make_folder(folder: Path) -> Path:
    """Make a folder, and those above it, and see that it can be written to.

    Raises:
        InputError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}). Choose another folder.") from None
    return folder


def check_folder(folder: Path) -> None:
    """See, without touching anything, that a folder could be made or written to.

    Raises:
        InputError: it could not.
    """
    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(f"{folder}: cannot be written to ({nearest} is not a folder). Choose another folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: cannot be written to (Permission denied). Choose another folder.")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RotoscopeError(
            f"{path}: cannot be written ({error.strerror}). Make room or choose another place."
        ) from None


def _new_file_beside(path: Path) -> Path:
    """An empty file of a name that no other writer uses, with the rights that a plainly created file gets."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return temporary
