"""What a method's mechanism did on a frame, in a form that can be drawn: what its page explains in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.methods.base import Session
from rotoscope.methods.prediction import Prediction

Area = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of a frame."""
Place = tuple[int, int]
"""x and y in pixels of a frame, from its left and its top."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Numbers over a frame, one for each cell.

    Attributes:
        index: the index of the frame.
        title: what the numbers are, in a few words.
        values: of the cells, ``[h, w]``, 0 or more.
        area: where the cells lie on the frame, which they may reach beyond.
        missing: cells that are not there any more, bool ``[h, w]``; None where all are.
    """

    index: int
    title: str
    values: Tensor
    area: Area
    missing: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Bars:
    """Numbers with names.

    Attributes:
        title: what the numbers are.
        names, values: of each bar.
        even: what each would be if they were all equal; None where that means nothing.
    """

    title: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    even: float | None = None


@dataclass(frozen=True, eq=False)
class Matrix:
    """Numbers from one kind of thing to another.

    Attributes:
        title: what the numbers are.
        rows, columns: what each row and each column is of.
        values: ``[rows, columns]``, 0 or more.
    """

    title: str
    rows: str
    columns: str
    values: Tensor


@dataclass(frozen=True, eq=False)
class Mechanism:
    """What is drawn.

    Attributes:
        title: a sentence that says what is seen.
        index: the index of the frame that is explained.
        place: the pixel of it that asks; None where the whole frame does.
        cell: the cell of the network that the pixel lies in; None likewise.
        grids: what lies over which frames, in the order they are shown.
        common: whether the brightness of all grids is of one scale.
        more: bars or a matrix beside them; None for none.
        notes: what is not drawn, a line each.
    """

    title: str
    index: int
    place: Place | None
    cell: Area | None
    grids: tuple[Grid, ...]
    common: bool = True
    more: Bars | Matrix | None = None
    notes: tuple[str, ...] = ()


class Looking(Protocol):
    """A session that keeps, of one frame, what its mechanism did there.

    Attributes:
        session: the session itself.
    """

    @property
    def session(self) -> Session:
        """The session, to be given masks and frames as any other."""

    def explain(self, prediction: Prediction, place: Place | None, object_id: int) -> Mechanism:
        """What was done on the frame, once it is answered.

        Args:
            prediction: the answer on the frame.
            place: the pixel whose cell asks; what the method chooses without it.
            object_id: the object that is explained.

        Raises:
            InputError: the network has no such mechanism, or there is nothing to show yet on this frame.
        """


def deepest(prediction: Prediction, object_id: int) -> Place:
    """The pixel of an object's mask that is furthest from its edge.

    Raises:
        InputError: the mask is empty.
    """
    mask = np.pad((prediction.labels == object_id).astype(np.uint8), 1)
    if not mask.any():
        raise InputError(
            f"object {object_id} has no pixel on frame {prediction.index}. Say which pixel asks: --at X,Y."
        )
    y, x = np.unravel_index(int(cv2.distanceTransform(mask, cv2.DIST_L2, 5).argmax()), mask.shape)
    return int(x) - 1, int(y) - 1


def cell_of(place: Place, area: Area, shape: Sequence[int]) -> tuple[int, int, Area]:
    """The row and column of the cell that a pixel's middle lies in, and where that cell lies.

    Args:
        place: the pixel.
        area: where the cells lie.
        shape: the number of rows and columns.
    """
    left, top, right, bottom = area
    width, height = (right - left) / shape[1], (bottom - top) / shape[0]
    column = min(max(int((place[0] + 0.5 - left) // width), 0), shape[1] - 1)
    row = min(max(int((place[1] + 0.5 - top) // height), 0), shape[0] - 1)
    own = (left + column * width, top + row * height, left + (column + 1) * width, top + (row + 1) * height)
    return row, column, own
