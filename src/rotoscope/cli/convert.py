"""``rotoscope convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from rotoscope.cli.output import out
from rotoscope.errors import InputError, shown


def command(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="What the authors released: a file, a folder, or a TensorFlow checkpoint without .index."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .safetensors file.")],
    method: Annotated[str | None, typer.Option("--method", help="Whose it is; found out if left out.")] = None,
    store: Annotated[
        str,
        typer.Option("--store", help="float32, float16 (half the size), or int8 (a quarter; weights are rounded)."),
    ] = "float32",
) -> int:
    """Turn a released checkpoint, or a file of ours, into a file of ours, which opens without what it was made with."""
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: give a name that ends in .safetensors.")
    if output.exists():
        raise InputError(f"{output}: is there already. Give another name.")
    from rotoscope.methods import name_of
    from rotoscope.weights import load, save_method
    from rotoscope.weights.files import Store

    if store not in get_args(Store):
        raise InputError(f"--store {shown(store)}: is none of {', '.join(get_args(Store))}.")

    model = load(checkpoint, method, device="cpu", precision="exact")
    name = name_of(model)
    save_method(output, name, model.config, model.state_dict(), store=cast(Store, store))
    out.print(
        f"{output}: {name}, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, "
        f"{output.stat().st_size / 1e6:.1f} MB"
    )
    return 0
