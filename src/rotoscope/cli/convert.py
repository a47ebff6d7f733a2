"""``rotoscope convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.output import out
from rotoscope.errors import InputError


def command(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="What the authors released: a file, a folder, or a TensorFlow checkpoint without .index."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .safetensors file.")],
    method: Annotated[str | None, typer.Option("--method", help="Whose it is; found out if left out.")] = None,
) -> int:
    """Turn a released checkpoint into a file of ours, which opens without what it was made with."""
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: give a name that ends in .safetensors.")
    if output.exists():
        raise InputError(f"{output}: is there already. Give another name.")
    from rotoscope.methods import name_of
    from rotoscope.weights import load, save_method

    model = load(checkpoint, method, device="cpu", precision="exact")
    name = name_of(model)
    save_method(output, name, model.config, model.state_dict())
    out.print(f"{output}: {name}, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters")
    return 0
