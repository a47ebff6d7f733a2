"""Options of how objects are shown in formats for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rotoscope.errors import InputError, shown

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

Colours = Annotated[
    list[str] | None,
    typer.Option(
        "--color",
        help="Of overlay: the colour of an object, ID=COLOR such as 1=#ff8800 or 1=orange; any number of times.",
    ),
]


def delivery_of(
    objects: str | None, alpha: str | None, refine: bool, names: list[str] | None, colours: list[str] | None
) -> Delivery:
    """What the options mean together.

    Raises:
        InputError: one of them is not possible.
    """
    from rotoscope.masks.mattes import Delivery

    painted = by_id("--color", colours or [], "a colour, such as 1=#ff8800")
    return Delivery.of(objects or "all", alpha or "straight", refine, named(names or []), painted)


def named(texts: list[str]) -> dict[int, str]:
    """``ID=NAME`` of the command line; see :func:`by_id`."""
    return by_id("--name", texts, "a name, such as 1=cup")


def by_id(option: str, texts: list[str], what: str) -> dict[int, str]:
    """What an option says of objects, ``ID=TEXT`` each.

    Args:
        option: its name.
        texts: as given.
        what: stands behind the id, with an example of both.

    Raises:
        InputError: not of that form, or an id twice.
    """
    said: dict[int, str] = {}
    for text in texts:
        number, equals, rest = text.partition("=")
        if not equals or not number.strip().isdecimal():
            raise InputError(f"{option} {shown(text)!r} is not understood. Give an object's id and {what}.")
        if int(number) in said:
            raise InputError(f"{option} is given twice for object {int(number)}.")
        said[int(number)] = rest.strip()
    return said
