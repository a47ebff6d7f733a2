"""How much of what a file asks for is read: a small file may ask for more memory than there is.

Each limit has a default, and a variable of the environment that changes it, for this process and those that it starts:
``ROTOSCOPE_MAX_PIXELS`` and so on. On the command line ``--limit pixels=500M`` sets it, in Python :func:`set_limits`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from rotoscope.errors import InputError, suggestion


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        default: what holds unless something else is set.
        what: of which it is a number, as ``of {what}``.
    """

    default: int
    what: str


LIMITS = {
    "pixels": Limit(2**27, "pixels of a picture, or of a frame of a video"),
    "objects": Limit(1000, "objects in the masks of one frame"),
    "masks": Limit(2**30, "pixels in all masks of one frame together"),
    "arrays": Limit(2**30, "bytes that the arrays of an NPZ or NPY file unpack to"),
    "json": Limit(2**26, "bytes of a JSON file"),
}
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def limit(name: str) -> int:
    """The limit of a name of :data:`LIMITS`: what the environment says, else the default.

    Raises:
        InputError: what the environment says is no whole number.
    """
    value = os.environ.get(_variable(name), "")
    return _number(value, _variable(name)) if value else LIMITS[name].default


def set_limits(**numbers: int) -> None:
    """Set limits for this process and those that it starts, by their names: ``set_limits(pixels=10**9)``.

    Raises:
        InputError: no such limit, or less than 1.
    """
    for name, number in numbers.items():
        if name not in LIMITS:
            raise InputError(f"limit {name!r} is not known{suggestion(name, LIMITS)}; there are {', '.join(LIMITS)}.")
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InputError(f"limit {name}={number} is not possible. Give a whole number of at least 1.")
    os.environ.update({_variable(name): str(number) for name, number in numbers.items()})


def parse_limits(texts: list[str]) -> dict[str, int]:
    """What ``pixels=500M`` and the like mean; K, M and G are thousands, millions and milliards.

    Raises:
        InputError: a text is of another form.
    """
    numbers = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if not equals:
            raise InputError(f"--limit {text}: write NAME=NUMBER, with a name of {', '.join(LIMITS)}.")
        numbers[name.strip()] = _number(number, f"--limit {text}")
    return numbers


def check_limit(name: str, number: int, where: str | Path, what: str = "") -> None:
    """Refuse what is more than a limit.

    Args:
        name: of the limit.
        number: how many there are.
        where: named in the error.
        what: what was counted, as in ``90x90 are more pixels``; the number and the limit's own words unless given.

    Raises:
        InputError: there are more.
    """
    most = limit(name)
    if number > most:
        told = what or f"{number} {LIMITS[name].what} are more"
        raise InputError(
            f"{where}: {told} than the {most} that are read. Give less, or allow it with --limit {name}={number} or "
            f"{_variable(name)}."
        )


def _variable(name: str) -> str:
    return f"ROTOSCOPE_MAX_{name.upper()}"


def _number(text: str, where: str) -> int:
    match = re.fullmatch(r"([0-9]{1,18})([KMG]?)", text.strip().upper())
    if not match or not int(match[1]):
        raise InputError(f"{where}: {text!r} is no whole number of at least 1. Write it like 1000, 500M or 2G.")
    return int(match[1]) * UNITS[match[2]]
