"""What the benchmarks share: options, tables, JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SIZE = (854, 480)


def options(description: str | None, **defaults: Any) -> argparse.Namespace:
    """Parse ``--threads``, ``--json`` and the options of one benchmark.

    A default of False makes a switch; a list, an option that may be given several times.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results"), help="folder for the JSON file")
    for name, value in defaults.items():
        option = f"--{name.replace('_', '-')}"
        if value is False:
            parser.add_argument(option, action="store_true")
        elif isinstance(value, list):
            parser.add_argument(option, action="append", help=f"may be repeated; {' '.join(value)} if left out")
        else:
            parser.add_argument(option, type=type(value) if value is not None else int, default=value)
    chosen = parser.parse_args()
    for name, value in defaults.items():
        if isinstance(value, list) and getattr(chosen, name) is None:
            setattr(chosen, name, value)
    if "torch" in sys.modules:  # benchmarks of measures do without
        sys.modules["torch"].set_num_threads(chosen.threads)
    return chosen


def report(name: str, title: str, rows: list[dict[str, Any]], chosen: argparse.Namespace, **details: Any) -> None:
    """Print the rows as a table; write them as JSON, with details and the machine they were measured on."""
    table = Table(title=title, title_justify="left", box=None)
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    console = Console(width=150)
    console.print(table)
    machine: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": chosen.threads,
    }
    if "torch" in sys.modules:
        import torch

        from rotoscope.layers.precision import has_native_bfloat16

        machine |= {"native bfloat16": has_native_bfloat16(torch.device("cpu")), "torch": torch.__version__}
    console.print(f"measured here: {machine}")
    chosen.json.mkdir(parents=True, exist_ok=True)
    path = chosen.json / f"{name}.json"
    path.write_text(
        json.dumps({"title": title, "machine": machine, "rows": rows, **details}, indent=1), encoding="utf-8"
    )


def resident() -> float:
    """Memory held by this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak() -> float:
    """Most memory this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
