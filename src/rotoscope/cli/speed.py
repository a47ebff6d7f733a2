"""``rotoscope speed``."""

from __future__ import annotations

from typing import Annotated

import typer

from rotoscope.cli.options import Threads, use_threads
from rotoscope.cli.output import err, out
from rotoscope.cli.tables import speed_table
from rotoscope.cli.ways import floor_table, ways_table
from rotoscope.errors import InputError


def command(
    method: Annotated[str | None, typer.Argument(help="Name from 'rotoscope methods'; stcn-small.")] = None,
    weights: Annotated[str | None, typer.Option(help="Weights file; without one, random weights are timed.")] = None,
    frames: Annotated[int, typer.Option(help="Frames that are timed.")] = 20,
    threads: Threads = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Set ways of computing STCN side by side: the plain formulation and ours, of the network at full size "
            "and the small one unless one is named; and how far each part is from the processor's peak. Takes "
            "minutes; where the plain one is slow, fewer frames are timed.",
        ),
    ] = False,
) -> int:
    """Measure seconds per frame by part, of the network alone, on this machine. For a data set use benchmark."""
    import torch

    from rotoscope.cli.heap import keep_freed_memory
    from rotoscope.experiments.speed import time_method

    if frames < 1:
        raise InputError(f"{frames} frames cannot be timed; give at least 1.")
    if compare and weights is not None:
        raise InputError("--compare times networks by name. Leave --weights out.")
    keep_freed_memory()
    use_threads(threads)
    if compare:
        from rotoscope.experiments.compare import COMPARED
        from rotoscope.experiments.compare import compare as compared

        for comparison in compared([method] if method else COMPARED, frames, tell=lambda line: err.print(f"  {line}")):
            out.print(ways_table(comparison, torch.get_num_threads()), soft_wrap=False)
            out.print(floor_table(comparison), soft_wrap=False)
        return 0
    times = time_method(method or "stcn-small", weights, frames, tell=lambda line: err.print(f"  {line}"))
    out.print(speed_table(times, torch.get_num_threads()), soft_wrap=False)
    return 0
