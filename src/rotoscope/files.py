"""Files that appear whole or not at all, folders that can be written to, and no way out of them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rotoscope.errors import InputError, WriteError, shown

MOST_TEXT = 2**27
"""Bytes of a text file of ours that are read; a run of a million frames names them in a tenth of that."""
_HALF_WRITTEN = re.compile(r"\..+(\.\w+)\.[a-z0-9_]{8}\1")


def inside(folder: str | Path, *names: str) -> Path:
    """The place of a file or folder in an output folder; whatever is written or removed there has its path from here.

    Names come from files that anybody may have written, such as a data set's list or the record of an earlier run, and
    an unpacked archive may bring links.

    Args:
        folder: as the user chose it; it may be a link itself.
        names: of the folders on the way, and at last of the file, one each.

    Raises:
        InputError: a name is none, or leads elsewhere (``..``, a separator, a drive); or a link on the way, the file
            itself among it, leads out of the folder.
    """
    path = folder = Path(folder)
    for name in names:
        if not is_plain_name(name):
            raise InputError(f"{folder}: {shown(repr(name), 80)} would lead out of it, or is no name. Rename it.")
        path /= name
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{path}: is a link that leads out of {folder}. Remove it, or choose another folder.")
    return path


def is_plain_name(name: object) -> bool:
    """Whether something is the name of a file or folder, and of one in the folder where it is looked for."""
    if not isinstance(name, str) or name in ("", ".", "..") or "\0" in name:
        return False
    return not any(sign in name for sign in (os.sep, os.altsep or os.sep)) and not os.path.splitdrive(name)[0]


def text_of(path: Path, most: int = MOST_TEXT) -> str | None:
    """The text of a plain file, UTF-8 with what is none replaced, less a byte order mark; None if nothing is there.

    Args:
        path: the file; nothing is waited for, should it be a pipe.
        most: bytes that are read.

    Raises:
        InputError: it is no plain file, too large, or may not be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InputError(f"{path}: is no plain file. Remove it, or choose another folder.")
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: is larger than the {most} bytes that are read.")
    return content.decode("utf-8-sig", "replace")


@contextmanager
def atomic_write(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block ends well the file takes its place in one step.

    Args:
        path: the file to write; what stood there before stays until the new one is whole.
        durable: also wait until the bytes are on the disk, so that a power cut cannot leave an empty file.

    Raises:
        WriteError: the disk is full, or the place cannot be written to; nothing is left behind.
    """
    path = Path(path)
    with _told(path):
        temporary = new_file_beside(path)
        try:
            yield temporary
            if durable:
                sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file; on a full disk, nothing of it. A kill may leave a part of it, without its end.

    Raises:
        WriteError: it cannot be written.
    """
    data = f"{line}\n".encode()
    with _told(path):
        handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o666)
        try:
            size = os.fstat(handle).st_size
            try:
                while data:
                    data = data[os.write(handle, data) :]
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)


def sync(path: Path) -> None:
    """Wait until what was written to a file is on the disk, and would outlast a power cut."""
    with path.open("rb+") as written:
        os.fsync(written.fileno())


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        WriteError: it cannot be removed.
    """
    with _told(path, "removed"):
        path.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there.

    Raises:
        WriteError: something in it cannot be removed.
    """
    with _told(folder, "removed"):
        if folder.exists():
            shutil.rmtree(folder)


def rename(path: Path, target: Path) -> None:
    """Give a file or folder another name, which nothing bears.

    Raises:
        WriteError: it cannot be renamed.
    """
    with _told(path, "renamed"):
        os.rename(path, target)


def is_half_written(path: Path) -> bool:
    """Whether the name is one that :func:`atomic_write` gives to a file until it is whole."""
    return _HALF_WRITTEN.fullmatch(path.name) is not None


def drop_half_written(folder: Path) -> None:
    """Remove what a killed program has left half written in a folder, if there is one; nobody else may write to it."""
    for path in folder.glob(".*"):
        if is_half_written(path) and path.is_file():
            remove(path)


def make_folder(folder: Path) -> Path:
    """Make a folder, and those above it, and see that it can be written to.

    Raises:
        InputError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new_file_beside(folder / "writable.try").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}). Choose another folder.") from None
    return folder


def need_folder(folder: Path) -> None:
    """Make a folder on the way of a run, and those above it, if they are not there.

    Raises:
        WriteError: it cannot be made.
    """
    with _told(folder, "made"):
        folder.mkdir(parents=True, exist_ok=True)


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
def _told(path: Path, what: str = "written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"{path}: cannot be {what} ({error.strerror or error}). Make room or choose another place."
        ) from None


def new_file_beside(path: Path) -> Path:
    """Make an empty file of a name that nothing had, no link either, with the rights that a plainly created file gets.

    The name is one that :func:`is_half_written` knows.
    """
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return temporary
