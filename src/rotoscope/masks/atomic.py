"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rotoscope.errors import RotoscopeError

_umask = os.umask(0o022)
os.umask(_umask)
MODE = 0o666 & ~_umask
"""What a plainly created file would get; temporary files are private by default."""


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
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise RotoscopeError(
            f"{path}: cannot be written ({error.strerror}). Make room or choose another place."
        ) from None
    temporary = Path(name)
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.chmod(MODE)
        os.replace(temporary, path)
    except OSError as error:
        raise RotoscopeError(
            f"{path}: cannot be written ({error.strerror}). Make room or choose another place."
        ) from None
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
