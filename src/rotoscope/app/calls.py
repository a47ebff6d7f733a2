"""One request, and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rotoscope.errors import InputError


@dataclass(frozen=True)
class Call:
    """One request: its path's parts, its query and its body."""

    path: dict[str, Any]
    query: dict[str, str]
    body: bytes

    @property
    def project(self) -> str:
        """The key of the project in the path."""
        return str(self.path["project"])

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            InputError: it is none, or holds half a letter (a lone surrogate), which is no text to anyone else.
        """
        try:
            data = json.loads(self.body or b"{}")
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise InputError("the body holds half a letter (a lone surrogate). Send whole ones.") from None
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise InputError("the body is no JSON object.")
        return data

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number of the query.

        Raises:
            InputError: it is none.
        """
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdecimal() or len(text) > 9:
            raise InputError(f"{name} is no number.")
        return int(text)


def whole(data: dict[str, Any], name: str, default: int | None = None, needed: bool = True) -> int:
    """A whole number of a body.

    Raises:
        InputError: it is none, or it is needed and not there.
    """
    value = data.get(name, default)
    if value is None and not needed:
        return -1
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**9:
        raise InputError(f"{name} is no whole number.")
    return value


def text(data: dict[str, Any], name: str, most: int = 80) -> str:
    """A short text of a body.

    Raises:
        InputError: it is none, or too long.
    """
    value = data.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise InputError(f"{name} is no text of at most {most} letters.")
    return value


def pair(value: Any) -> tuple[float, float]:
    """A place in a frame.

    Raises:
        InputError: it is none.
    """
    if (
        not isinstance(value, list)
        or len(value) < 2
        or not all(isinstance(v, (int, float)) and abs(v) < 1e6 for v in value[:2])
    ):
        raise InputError("a point is two numbers, x and y in pixels.")
    return float(value[0]), float(value[1])
