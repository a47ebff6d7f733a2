"""The methods, imported when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from rotoscope.errors import InputError, suggestion
from rotoscope.methods.base import Method

METHODS: dict[str, str] = {
    "stcn": "rotoscope.methods.stcn:STCN",
    "rvos": "rotoscope.methods.rvos:RVOS",
    "agame": "rotoscope.methods.agame:AGAME",
    "capsulevos": "rotoscope.methods.capsulevos:CapsuleVOS",
    "cosnet": "rotoscope.methods.cosnet:COSNet",
    "giel": "rotoscope.methods.giel:GIEL",
}
"""Name of a method and where its class is."""


def method_class(name: str) -> type[Method]:
    """Return the class of a method.

    Raises:
        InputError: no such method.
    """
    if name not in METHODS:
        raise InputError(
            f"method {name!r} is not known{suggestion(name, METHODS)}; the methods are {', '.join(METHODS)}."
        )
    module, _, attribute = METHODS[name].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


def method_module(name: str, room: str) -> ModuleType:
    """Import a room of a method's folder, such as ``training`` or ``official``."""
    return import_module(f"{METHODS[name].partition(':')[0]}.{room}")


def of_all_methods(room: str, table: str) -> dict[str, Any]:
    """A table that each method keeps in a room of its folder, such as ``RECIPES`` of ``training``, joined."""
    found: dict[str, Any] = {}
    for name in METHODS:
        found |= getattr(method_module(name, room), table)
    return found


def look_up(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """The entry of a name.

    Raises:
        InputError: no such entry; ``kind`` says what is missing.
    """
    if name not in known:
        raise InputError(f"{kind} {name!r} is not known{suggestion(name, known)}; there are {', '.join(known)}.")
    return known[name]
