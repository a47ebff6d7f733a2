"""``rotoscope methods``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from rotoscope.cli.output import out


def command(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> int:
    """List what can be loaded by name."""
    from rotoscope.weights.catalogue import CATALOGUE

    if as_json:
        print(json.dumps([asdict(entry) for entry in CATALOGUE.values()]))
        return 0
    table = Table(box=None, pad_edge=False)
    for title in ("name", "task", "weights", "parameters", "frames/s on 2 cores", "what it is", "where it fails"):
        table.add_column(title)
    for entry in CATALOGUE.values():
        own = "built in" if entry.file else "give --weights"
        speed = "-" if entry.speed is None else f"{entry.speed:g}"
        table.add_row(entry.name, entry.task, own, f"{entry.parameters:.1f} M", speed, entry.summary, entry.limits)
    out.print(table, soft_wrap=False)
    return 0
