"""Points among the prompts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.masks.drawing import overlay, points_over
from rotoscope.masks.points import Points, check_apart
from rotoscope.methods.base import check_object_id
from rotoscope.methods.clicking import ONLY_UNWANTED, Clicked

FOLDER = "points"
"""Where pictures of what points gave are put, in the folder of a run."""


def without_points(argument: Any) -> tuple[Any, dict[int, Points]]:
    """What one frame is given, as masks (None without any) and points by object; points alone are of object 1."""
    if isinstance(argument, Points):
        return None, {1: argument}
    if not isinstance(argument, Mapping):
        return argument, {}
    pointed = {key: value for key, value in argument.items() if isinstance(value, Points)}
    others = {key: value for key, value in argument.items() if key not in pointed}
    return (others if others or not pointed else None), pointed


def check_points(index: int, points: Mapping[int, Points], size: tuple[int, int]) -> None:
    """See that the points of a frame fit it.

    Args:
        index: of the frame.
        points: by object.
        size: width and height of the frame.

    Raises:
        InputError: says which do not, and why.
    """
    placed = {i: own.placed(size, f"object {check_object_id(i)} on frame {index}") for i, own in points.items()}
    check_apart(placed, f"frame {index}")


def check_beginnings(prompts: Mapping[int, Mapping[int, Any]], direction: str) -> None:
    """See that points that only say where an object is not come after it was given, in every pass.

    Args:
        prompts: masks and points by frame and object.
        direction: of the run.

    Raises:
        InputError: an object begins with such points.
    """
    orders = {"forward": (False,), "backward": (True,), "both": (False, True)}[direction]
    for backwards in orders:
        begun: set[int] = set()
        for index in sorted(prompts, reverse=backwards):
            for object_id, prompt in prompts[index].items():
                if isinstance(prompt, Points) and not prompt.starts and object_id not in begun:
                    way = " (the backward pass begins there)" if backwards else ""
                    raise InputError(f"object {object_id} on frame {index} {ONLY_UNWANTED}{way}")
                begun.add(object_id)


def picture_of(clicked: Clicked) -> NDArray[np.uint8]:
    """The frame with the mask and the points over it, RGB uint8 ``[H, W, 3]``."""
    image = overlay(clicked.frame.image, clicked.answer.chosen * clicked.object_id)
    return points_over(image, clicked.placed)
