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
