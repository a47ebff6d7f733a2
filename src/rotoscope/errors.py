"""Errors that a person can act on: each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RotoscopeError(Exception):
    """Base of every error raised on purpose; the command line prints it as one line (exit code 1)."""

    exit_code = 1


class InputError(RotoscopeError):
    """Something given by the caller cannot be used: a file, a mask, an option (exit code 2)."""

    exit_code = 2


class CheckpointError(InputError):
    """A weights file is truncated, foreign, or of another variant than asked for."""


class SessionError(RotoscopeError):
    """A session was used out of order, such as pushed to after it finished."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` if a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def shown(text: object, most: int | None = None) -> str:
    """A text as one line that is safe to print, whatever it holds.

    White space becomes single blanks. What cannot be printed is spelled out as Python spells it (``\\x1b``): control
    characters, which a terminal would obey, signs that turn the direction of writing, halves of characters.

    Args:
        text: such as a name or what a library says; of an error without a text it is the error's name.
        most: characters that are kept; None for all.
    """
    line = " ".join(str(text).split()) or (type(text).__name__ if isinstance(text, BaseException) else "")
    line = line if most is None or len(line) <= most else f"{line[:most]}…"
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
