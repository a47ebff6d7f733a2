"""Errors that a person can act on: each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class RotoscopeError(Exception):
    """Base of every error raised on purpose; the command line prints it as one line (exit code 1)."""

    exit_code = 1


class WriteError(RotoscopeError):
    """A file cannot be written or removed, as when the disk is full; what was there before is as it was."""


class InputError(RotoscopeError):
    """Something given by the caller cannot be used: a file, a mask, an option (exit code 2)."""

    exit_code = 2


class CheckpointError(InputError):
    """A weights file is truncated, foreign, or of another variant than asked for."""


class GraphError(RotoscopeError):
    """A graph that a runtime cannot compute, or computes otherwise than the network."""


class SessionError(RotoscopeError):
    """A session was used out of order, such as pushed to after it finished."""


OF_PATHS = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EROFS}
"""What the system says of a path that can be nobody's, or not the user's."""


def of_path(error: BaseException) -> InputError | None:
    """What the system refused because of a path, as an error that a person can act on; None if it is none of that."""
    if not isinstance(error, OSError) or error.errno not in OF_PATHS or error.filename is None:
        return None
    return InputError(f"{shown(error.filename, 120)}: cannot be used ({error.strerror}). Name another file or folder.")


def suggestion(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` if a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def printable(text: str) -> str:
    """A text that is safe to print, whatever it holds: what cannot be printed is spelled out as Python spells it.

    That is control characters, which a terminal would obey (``\\x1b``), line ends, signs that turn the direction of
    writing, and bytes of names that are no characters.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shown(text: object, most: int | None = 160) -> str:
    """A name, or what a library says, as part of a message: one line, with single blanks, safe to print.

    Args:
        text: of an error without a text it is the error's name.
        most: characters that are kept; None for all.
    """
    line = " ".join(str(text).split()) or (type(text).__name__ if isinstance(text, BaseException) else "")
    return printable(line if most is None or len(line) <= most else f"{line[:most]}…")
