"""``rotoscope export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.output import out


def command(
    model: Annotated[str, typer.Argument(help="A name that rotoscope methods lists, or a file of weights.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    format: Annotated[str, typer.Option("--format", help="onnx or openvino.")] = "onnx",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier export left there.")] = False,
) -> int:
    """Write a network as graphs that other programs run, with session.json and an example."""
    from rotoscope.export.onnx import check_format, export
    from rotoscope.weights.load import load_exact

    check_format(format)
    method = load_exact(model)
    made = export(method, output, format, overwrite=overwrite)
    for one in made:
        size = sum(path.stat().st_size for path in output.glob(f"{one.name}.*"))
        out.print(f"{one.path.name:20s} {size / 2**20:6.1f} MiB   differs by at most {one.difference:.1g}")
    example = "; segment.py follows objects with them" if (output / "segment.py").exists() else ""
    out.print(f"{output}: session.json says what goes in and out{example}")
    return 0
