"""``rotoscope methods``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rotoscope.cli.output import out, print_json
from rotoscope.cli.tables import methods_table


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    long: Annotated[bool, typer.Option("--long", help="Also say how large each is, and where it fails.")] = False,
) -> int:
    """List what can be loaded by name."""
    from rotoscope.weights.catalogue import CATALOGUE
    from rotoscope.weights.prompters import PROMPTERS

    if as_json:
        print_json([asdict(entry) for entry in (*CATALOGUE.values(), *PROMPTERS.values())])
    else:
        out.print(methods_table(list(CATALOGUE.values()), long), soft_wrap=False)
        made = ", ".join(f"{entry.name} ({entry.parameters} million parameters)" for entry in PROMPTERS.values())
        out.print(f"for --point and --box: {made}; grabcut, flood and edges without weights")
        if not long:
            out.print("frames/s: at 854x480 with one object, on two cores. Where each fails: rotoscope methods --long")
    return 0
