"""Options of how objects are shown in formats for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rotoscope.errors import InputError

if TYPE_CHECKING:
    from rotoscope.masks.mattes import Delivery

Objects = Annotated[
    str | None,
    typer.Option(
        "--objects",
        help="Of png, exr and videos for other programs: all objects together (default), each in a file of its own, "
        "or ids that are shown together, as 1,3.",
    ),
]
Alpha = Annotated[
    str | None, typer.Option("--alpha", help="Of png and videos with alpha: straight (default) or premultiplied.")
]
Refine = Annotated[
    bool, typer.Option("--refine", help="Of png, exr and videos for other programs: bring edges to the picture's.")
]

Names = Annotated[
    list[str] | None,
    typer.Option("--name", help="Of exr: what an object's layer is called, ID=NAME; any number of times."),
]


def delivery_of(objects: str | None, alpha: str | None, refine: bool, names: list[str] | None) -> Delivery:
    """What the options mean together.

    Raises:
        InputError: one of them is not possible.
    """
    from rotoscope.masks.mattes import Delivery

    return Delivery.of(objects or "all", alpha or "straight", refine, named(names or []))


def named(texts: list[str]) -> dict[int, str]:
    """``ID=NAME`` of the command line.

    Raises:
        InputError: not of that form, or an id twice.
    """
    names: dict[int, str] = {}
    for text in texts:
        number, equals, called = text.partition("=")
        if not equals or not number.strip().isdecimal():
            raise InputError(f"--name {text!r} is not understood. Give an object's id and a name, such as 1=cup.")
        if int(number) in names:
            raise InputError(f"--name names object {int(number)} twice.")
        names[int(number)] = called.strip()
    return names
