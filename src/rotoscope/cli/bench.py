"""``rotoscope bench``."""

from __future__ import annotations

from typing import Annotated

import typer

from rotoscope.cli.options import Threads, use_threads
from rotoscope.cli.output import err, out
from rotoscope.cli.tables import speed_table
from rotoscope.errors import InputError


def command(
    what: Annotated[str, typer.Argument(help="speed")],
    method: Annotated[str, typer.Argument(help="Name from 'rotoscope methods'.")] = "stcn-small",
    weights: Annotated[str | None, typer.Option(help="Weights file; without one, random weights are timed.")] = None,
    frames: Annotated[int, typer.Option(help="Frames that are timed.")] = 20,
    threads: Threads = None,
) -> int:
    """Measure seconds per frame by part, on this machine."""
    import torch

    from rotoscope.experiments.speed import time_method

    if what != "speed":
        raise InputError(f"bench {what!r} is not known; use speed (the other benchmarks are scripts in benchmarks/).")
    if frames < 1:
        raise InputError(f"{frames} frames cannot be timed; give at least 1.")
    use_threads(threads)
    times = time_method(method, weights, frames, tell=lambda line: err.print(f"  {line}"))
    out.print(speed_table(times, torch.get_num_threads()), soft_wrap=False)
    return 0
