"""What a person points at: clicks and a box, as they are given and as pixels; and what answers them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError

Pair = tuple[float, float]
Box = tuple[float, float, float, float]
MOST = 100
"""Clicks on one object of one frame; more are no clicks any more."""


@dataclass(frozen=True)
class Points:
    """Clicks and a box that say which object of a frame is meant.

    Whole numbers are pixels, counted from 0 at the upper left. Floats of which none lies outside 0 to 1 are shares of
    the frame's width and height: ``(0.5, 0.4)``.

    Args:
        wanted: places on the object, ``(x, y)`` each, or one such place.
        unwanted: places that do not belong to it.
        box: left, top, right and bottom of a box around it; None for none.

    Raises:
        InputError: something that is no place, or nothing at all.
    """

    wanted: Sequence[Pair] | Pair = ()
    unwanted: Sequence[Pair] | Pair = ()
    box: Box | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "wanted", _pairs(self.wanted, "wanted"))
        object.__setattr__(self, "unwanted", _pairs(self.unwanted, "unwanted"))
        if self.box is not None:
            object.__setattr__(self, "box", _numbers(self.box, 4, "box"))
        if not (self.wanted or self.unwanted or self.box is not None):
            raise InputError("points: none is given. Give a place on the object, or a box around it.")
        if len(self.wanted) + len(self.unwanted) > MOST:
            raise InputError(f"points: more than {MOST} on one object of one frame. Give a mask instead.")

    @property
    def starts(self) -> bool:
        """Whether they say where the object is, not only where it is not."""
        return bool(self.wanted) or self.box is not None

    def joined(self, other: Points) -> Points:
        """Both together; the other's box counts if it has one."""
        box = self.box if other.box is None else other.box
        return Points((*self.wanted, *other.wanted), (*self.unwanted, *other.unwanted), box)

    def placed(self, size: tuple[int, int], where: str = "points") -> Placed:
        """The same in pixels of a frame.

        Args:
            size: width and height of the frame.
            where: what messages begin with, such as ``object 1 on frame 0``.

        Raises:
            InputError: a place outside the frame, a box without area or outside it, or one place that is wanted and
                not wanted.
        """
        wanted = [_placed(pair, size, where) for pair in _listed(self.wanted)]
        unwanted = [_placed(pair, size, where) for pair in _listed(self.unwanted)]
        both = set(wanted) & set(unwanted)
        if both:
            x, y = min(both)
            raise InputError(f"{where}: the point {x},{y} is wanted and not wanted. Leave one out.")
        box = None if self.box is None else _placed_box(self.box, size, where)
        places = np.array([*wanted, *unwanted], np.int64).reshape(-1, 2)
        return Placed(places, np.arange(len(places)) < len(wanted), box)


class Placed(NamedTuple):
    """Clicks and a box in pixels of one frame.

    Attributes:
        places: columns and rows of pixels, int64 ``[K, 2]``, in the order in which they were clicked.
        wanted: bool ``[K]``.
        box: left, top, right and bottom; pixels from left to before right, from top to before bottom. None for none.
    """

    places: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """The mask that was meant.

    Attributes:
        mask: probabilities, float32 ``[H, W]`` in [0, 1], at the picture's size.
        confidence: the IoU that it is predicted to have with what was meant, in [0, 1]; None where nothing tells.
    """

    mask: NDArray[np.float32]
    confidence: float | None = field(default=None)

    @property
    def chosen(self) -> NDArray[np.bool_]:
        """The pixels of the object."""
        return np.asarray(self.mask > 0.5)


class Picture(Protocol):
    """A picture that is being clicked on; what can be computed once, is."""

    def answer(self, placed: Placed, before: NDArray[Any] | None = None) -> Answer:
        """The mask that clicks and a box mean; ``before`` is the mask to correct, in [0, 1], ``[H, W]``."""


class Prompter(Protocol):
    """Turns clicks and boxes into masks."""

    @property
    def code(self) -> str:
        """What tells its answers from another's: a run that is resumed must have the same."""

    def open(self, image: NDArray[np.uint8]) -> Picture:
        """Take a picture, RGB uint8 ``[H, W, 3]``."""


def check_apart(placed: Mapping[int, Placed], where: str) -> None:
    """See that no two objects of a frame want the same pixel.

    Args:
        placed: points of each object.
        where: what the message begins with, such as ``frame 0``.

    Raises:
        InputError: two do.
    """
    owners: dict[tuple[int, int], int] = {}
    for object_id, points in placed.items():
        for x, y in points.places[points.wanted].tolist():
            if owners.setdefault((x, y), object_id) != object_id:
                raise InputError(
                    f"{where}: objects {owners[x, y]} and {object_id} have the same point {x},{y}. Give each its own."
                )


def _listed(pairs: Any) -> tuple[Pair, ...]:
    return tuple(pairs)


def _pairs(argument: Any, what: str) -> tuple[Pair, ...]:
    """One place or several as a tuple of them."""
    if isinstance(argument, np.ndarray):
        argument = argument.tolist()
    if not isinstance(argument, Iterable) or isinstance(argument, (str, bytes)):
        raise InputError(f"points: {what} {argument!r} is no place. Give (x, y), or several of them.")
    listed = list(argument)
    if len(listed) == 2 and all(_is_number(value) for value in listed):
        listed = [listed]
    return tuple(_numbers(pair, 2, what) for pair in listed)  # type: ignore[misc]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _numbers(value: Any, count: int, what: str) -> tuple[float, ...]:
    names = "(x, y)" if count == 2 else "left, top, right and bottom"
    values = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else []
    if len(values) != count or not all(_is_number(v) and math.isfinite(v) for v in values):
        raise InputError(f"points: {what} {value!r} is not {names}. Give {count} numbers.")
    return tuple(int(v) if isinstance(v, (int, np.integer)) else float(v) for v in values)


def _are_shares(values: Sequence[float]) -> bool:
    return all(isinstance(value, float) and 0 <= value <= 1 for value in values)


def _shown(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _placed(pair: Pair, size: tuple[int, int], where: str) -> tuple[int, int]:
    """The pixel of a place."""
    width, height = size
    x, y = (pair[0] * width, pair[1] * height) if _are_shares(pair) else pair
    if not (0 <= x <= width and 0 <= y <= height) or (isinstance(x, int) and x == width) or (y == height == pair[1]):
        raise InputError(
            f"{where}: the point {_shown(pair)} is outside the picture, which is {width}x{height}. Give a column from "
            f"0 to {width - 1} and a row from 0 to {height - 1}, or shares from 0.0 to 1.0."
        )
    return min(int(x), width - 1), min(int(y), height - 1)


def _placed_box(box: Box, size: tuple[int, int], where: str) -> tuple[int, int, int, int]:
    """A box in pixels, cut at the picture's edges."""
    sides = np.array((*size, *size), np.float64)
    left, top, right, bottom = np.array(box, np.float64) * (sides if _are_shares(box) else 1)
    if right <= left or bottom <= top:
        raise InputError(f"{where}: the box {_shown(box)} has no area. Give left, top, right and bottom in this order.")
    low, high = np.maximum(np.floor((left, top)), 0), np.minimum(np.ceil((right, bottom)), size)
    if (high <= low).any():
        raise InputError(f"{where}: the box {_shown(box)} is outside the picture, which is {size[0]}x{size[1]}.")
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
