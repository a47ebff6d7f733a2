"""``rotoscope bench``."""

from __future__ import annotations

from typing import Annotated

import typer

from rotoscope.cli.output import out


def command(
    what: Annotated[str, typer.Argument(help="speed")],
    method: Annotated[str, typer.Argument(help="Name from 'rotoscope methods'.")] = "stcn-small",
    weights: Annotated[str | None, typer.Option(help="Weights file; without one, random weights are timed.")] = None,
    frames: Annotated[int, typer.Option(help="Frames that are timed.")] = 20,
    threads: Annotated[int | None, typer.Option(help="Processor threads to use.")] = None,
) -> int:
    """Measure seconds per frame by part, on this machine."""
    from rotoscope.benchmarking import speed_table
    from rotoscope.errors import InputError

    if what != "speed":
        raise InputError(f"bench {what!r} is not known; use speed (the other benchmarks are scripts in benchmarks/).")
    out.print(speed_table(method, weights, frames, threads), soft_wrap=False)
    return 0
