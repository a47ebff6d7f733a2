"""Options of a session, checked against the types that the method declares."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from rotoscope.errors import InputError
from rotoscope.methods.base import Method


def check_options(model: Method, options: Mapping[str, Any]) -> None:
    """See that each option of a session is of the kind that the method's config declares.

    Raises:
        InputError: the first that is not.
    """
    hints = {n: h for n, h in get_type_hints(model.config_class).items() if n in model.inference_options}
    opener = type(model).session
    own = [p.name for p in inspect.signature(opener).parameters.values() if p.kind is p.KEYWORD_ONLY]
    hints |= {name: hint for name, hint in get_type_hints(opener).items() if name in own}
    for name, value in options.items():
        if name in hints and not _fits(value, hints[name]):
            raise InputError(f"{name} {value!r} is not known; use {_described(hints[name])}.")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type as config fields have them."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(value == known and type(value) is type(known) for known in inside)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inside)
    if origin is tuple:
        several = inside[:1] * len(value) if isinstance(value, tuple) and inside[1:] == (...,) else inside
        return isinstance(value, tuple) and len(value) == len(several) and all(map(_fits, value, several))
    if hint is float:
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        return number and bool(np.isfinite(value))
    if hint is int:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def _described(hint: Any) -> str:
    """A type in words for a person."""
    inside = get_args(hint)
    if get_origin(hint) is Literal:
        return " or ".join(map(str, inside))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_described, inside))
    if get_origin(hint) is tuple:
        return "several values with commas" if inside[1:] == (...,) else f"{len(inside)} values with commas"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "none"}
    return words.get(hint, str(hint))
