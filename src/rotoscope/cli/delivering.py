"""Options of how objects are shown in formats for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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


def delivery_of(objects: str | None, alpha: str | None, refine: bool) -> Delivery:
    """What the options mean together.

    Raises:
        InputError: one of them is not possible.
    """
    from rotoscope.masks.mattes import Delivery

    return Delivery.of(objects or "all", alpha or "straight", refine)
