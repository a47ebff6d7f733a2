"""Clicks and boxes on the command line."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.errors import InputError, shown

if TYPE_CHECKING:
    from rotoscope.runs.prompts import Prompt

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


def read_points(point: list[str] | None, not_point: list[str] | None, box: list[str] | None) -> list[Prompt]:
    """What is pointed at, by frame and object; no frame where none is said.

    Args:
        point, not_point, box: texts of the options.

    Raises:
        InputError: a text that is no place, or a second box of one object on one frame.
    """
    from rotoscope.masks.points import Points
    from rotoscope.runs.prompts import Prompt

    points_of: dict[tuple[int | None, int], Points] = {}
    for name, texts in (("point", point), ("not-point", not_point), ("box", box)):
        for text in texts or []:
            numbers, frame, object_id = _parsed(name, text)
            fields: dict[str, Any] = {FIELDS[name]: numbers}
            points = Points(**fields)
            before = points_of.get((frame, object_id))
            if before is not None and before.box is not None and points.box is not None:
                raise InputError(f"--box {text}: object {object_id} has a box on that frame already. Give one.")
            points_of[frame, object_id] = points if before is None else before.joined(points)
    return [Prompt(points, frame, object_id) for (frame, object_id), points in points_of.items()]


def _parsed(name: str, text: str) -> tuple[tuple[float, ...], int | None, int]:
    """Numbers, frame and object of one option."""
    form = FORMS[name]
    places = rf"{NUMBER}(?:\s*,\s*{NUMBER}){{{form.count(',')}}}"
    match = re.fullmatch(rf"\s*({places})\s*(?:@(\d{{1,9}}))?(?:=(\d{{1,9}}))?\s*", text)
    if match is None:
        raise InputError(f"--{name} {shown(text, 60)}: write {form}, {form}@FRAME, {form}=ID or {form}@FRAME=ID.")
    numbers = tuple(float(part) if "." in part else int(part) for part in match[1].split(","))
    return numbers, None if match[2] is None else int(match[2]), 1 if match[3] is None else int(match[3])


def set_prompter(model: Any, name: str, device: str) -> None:
    """Let points of a method's sessions be answered by what is named; it is opened when it is first needed."""
    from rotoscope.weights import load_prompter

    model.prompter = partial(load_prompter, name, device=device)
