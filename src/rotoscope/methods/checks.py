"""Checks of a config's fields against their type hints and the ranges written beside them: the one place for all."""

from __future__ import annotations

import math
import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from rotoscope.errors import InputError, suggestion


@dataclass(frozen=True)
class Range:
    """Which numbers a field takes, as metadata of ``Annotated``.

    Attributes:
        least: the smallest number, itself allowed; None for none.
        most: the largest number, itself allowed; None for none.
        above: every number must be larger than this one; None for none.
        multiple: whole numbers must be multiples of it.
        odd: whole numbers must be odd.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    multiple: int = 1
    odd: bool = False

    def __contains__(self, value: float) -> bool:
        return not (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
            or (self.above is not None and value <= self.above)
            or (self.multiple > 1 and value % self.multiple)
            or (self.odd and not value % 2)
        )

    def __str__(self) -> str:
        words = [f"above {self.above:g}"] if self.above is not None else []
        if self.least is not None and self.most is not None:
            words.append(f"from {self.least:g} to {self.most:g}")
        elif self.least is not None:
            words.append(f"of at least {self.least:g}")
        if self.multiple > 1:
            words.append(f"that is a multiple of {self.multiple}")
        return " ".join([*words, "that is odd"] if self.odd else words)


Count = Annotated[int, Range(1)]
"""A whole number of at least 1."""
Share = Annotated[float, Range(0, 1)]
"""A number from 0 to 1."""
NotNegative = Annotated[float, Range(0)]
"""A number of at least 0."""
Lean = Annotated[float, Range(-2, 2)]
"""What is added to the logits of objects; see :func:`~rotoscope.layers.aggregation.leaned`."""
Positive = Annotated[float, Range(above=0)]
"""A number above 0."""
Odd = Annotated[int, Range(1, odd=True)]
"""The side of a kernel that keeps sizes."""
WorkingSide = Annotated[int, Range(16)]
"""A side of a working size in pixels, for networks that pad frames to multiples of 16."""
FixedSide = Annotated[int, Range(32)]
"""A side in pixels of a size that all frames are resized to."""


class MethodConfig:
    """Base of the methods' configs, which are frozen dataclasses.

    A config that exists can be used: every field is checked against its type hint and range when it is made, then
    :meth:`check` looks at fields together.

    Raises:
        InputError: a value that its field does not take, or fields that contradict each other.
    """

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            check_value(name, getattr(self, name), hint)
        self.check()

    def check(self) -> None:
        """See that fields do not contradict each other.

        Raises:
            InputError: says which do, and what to do.
        """


def check_value(name: str, value: Any, hint: Any) -> None:
    """See that a value is of a type and in its range.

    Args:
        name: the name of the field or option, for messages.
        value: what was given for it.
        hint: a type, with a :class:`Range` in ``Annotated`` where it has one.

    Raises:
        InputError: it is not; says what would be.
    """
    if fits(value, hint):
        return
    if fits(value, _without_ranges(hint)):
        raise InputError(f"{name} is {value}; give {described(hint)}.")
    known = [text for text in _literals(hint) if isinstance(text, str)]
    near = suggestion(value, known) if isinstance(value, str) else ""
    raise InputError(f"{name} {value!r} is not known{near}; use {described(hint)}.")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type as config fields have them, and in its range."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fits(value, inside[0]) and all(value in mark for mark in inside[1:] if isinstance(mark, Range))
    if origin is Literal:
        return any(value == known and type(value) is type(known) for known in inside)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inside)
    if origin is tuple:
        several = inside[:1] * len(value) if isinstance(value, tuple) and inside[1:] == (...,) else inside
        return isinstance(value, tuple) and len(value) == len(several) and all(map(fits, value, several))
    if hint is float:
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if hint is int:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def described(hint: Any) -> str:
    """A type and its range in words for a person."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join([described(inside[0]), *(str(mark) for mark in inside[1:])])
    if origin is Literal:
        return " or ".join(map(str, inside))
    if origin in (Union, types.UnionType):
        return " or ".join(map(described, inside))
    if origin is tuple:
        each = f", each {described(inside[0])}" if get_origin(inside[0]) is Annotated else ""
        return ("several values with commas" if inside[1:] == (...,) else f"{len(inside)} values with commas") + each
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "none"}
    return words.get(hint, str(hint))


def _literals(hint: Any) -> list[Any]:
    """Words that a type takes, wherever they stand in it."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [word for inside in get_args(hint) for word in _literals(inside)]


def _without_ranges(hint: Any) -> Any:
    """The type without the ranges in it."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return inside[0]
    if origin in (Union, types.UnionType):
        return Union[tuple(map(_without_ranges, inside))]  # noqa: UP007 (made of what is found)
    if origin is tuple:
        return tuple[tuple(one if one is ... else _without_ranges(one) for one in inside)]  # type: ignore[misc]
    return hint
