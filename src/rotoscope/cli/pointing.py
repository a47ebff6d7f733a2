"""Clicks and boxes on the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.errors import InputError, shown

if TYPE_CHECKING:
    from rotoscope.masks.points import Points

Point = Annotated[
    list[str] | None,
    typer.Option(
        "--point", help="Place on an object: X,Y[@FRAME][=ID], pixels or shares such as 0.5,0.4; several times."
    ),
]
NotPoint = Annotated[
    list[str] | None, typer.Option("--not-point", help="Place that does not belong to it: X,Y[@FRAME][=ID].")
]
Box = Annotated[list[str] | None, typer.Option("--box", help="Box around an object: X1,Y1,X2,Y2[@FRAME][=ID].")]
Prompter = Annotated[
    str, typer.Option("--prompter", help="What answers points: prompts-small, a weights file, grabcut, flood or edges.")
]
DEFAULT = "prompts-small"
FIELDS = {"point": "wanted", "not-point": "unwanted", "box": "box"}
"""What an option is in :class:`~rotoscope.masks.points.Points`."""
FORMS = {"point": "X,Y", "not-point": "X,Y", "box": "X1,Y1,X2,Y2"}
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"


def read_points(
    point: list[str] | None, not_point: list[str] | None, box: list[str] | None, start: int = 0
) -> dict[int, dict[int, Points]]:
    """Points by frame and object.

    Args:
        point, not_point, box: texts of the options.
        start: the frame that is meant where none is said.

    Raises:
        InputError: a text that is no place, or a second box of one object on one frame.
    """
    from rotoscope.masks.points import Points

    found: dict[int, dict[int, Points]] = {}
    for name, texts in (("point", point), ("not-point", not_point), ("box", box)):
        for text in texts or []:
            numbers, frame, object_id = _parsed(name, text, start)
            given: dict[str, Any] = {FIELDS[name]: numbers}
            points = Points(**given)
            before = found.setdefault(frame, {}).get(object_id)
            if before is not None and before.box is not None and points.box is not None:
                raise InputError(f"--box {text}: object {object_id} on frame {frame} has a box already. Give one.")
            found[frame][object_id] = points if before is None else before.joined(points)
    return found


def _parsed(name: str, text: str, start: int) -> tuple[tuple[float, ...], int, int]:
    """Numbers, frame and object of one option."""
    form = FORMS[name]
    places = rf"{NUMBER}(?:\s*,\s*{NUMBER}){{{form.count(',')}}}"
    match = re.fullmatch(rf"\s*({places})\s*(?:@(\d{{1,9}}))?(?:=(\d{{1,9}}))?\s*", text)
    if match is None:
        raise InputError(f"--{name} {shown(text, 60)}: write {form}, {form}@FRAME, {form}=ID or {form}@FRAME=ID.")
    numbers = tuple(float(part) if "." in part else int(part) for part in match[1].split(","))
    return numbers, start if match[2] is None else int(match[2]), 1 if match[3] is None else int(match[3])


def merged(masks: Mapping[int, Mapping[int, Any]], points: Mapping[int, Mapping[int, Points]]) -> dict[int, Any]:
    """Masks and points together, by frame and object.

    Raises:
        InputError: an object has both on one frame.
    """
    found = {frame: dict(given) for frame, given in masks.items()}
    for frame, pointed in points.items():
        for object_id, given in pointed.items():
            if object_id in found.setdefault(frame, {}):
                raise InputError(
                    f"object {object_id} on frame {frame} has a mask and points. Give one of them there, or say which "
                    "object the points are of: X,Y=ID."
                )
            found[frame][object_id] = given
    return dict(sorted(found.items()))


def set_prompter(model: Any, name: str, device: str) -> None:
    """Let points of a method's sessions be answered by what is named; it is opened when it is first needed."""
    from rotoscope.weights import load_prompter

    model.prompter = partial(load_prompter, name, device=device)
