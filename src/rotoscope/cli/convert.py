"""``rotoscope convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from rotoscope.cli.output import out
from rotoscope.errors import InputError, shown


def command(
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            metavar="CHECKPOINT...",
            help="What the authors released: a file, a folder, or a TensorFlow checkpoint without .index. Or weights "
            "of ours, by name or file. The mean of several is taken.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .safetensors file.")],
    method: Annotated[str | None, typer.Option("--method", help="Whose it is; found out if left out.")] = None,
    store: Annotated[
        str,
        typer.Option("--store", help="float32, float16 (half the size), or int8 (a quarter; weights are rounded)."),
    ] = "float32",
    shares: Annotated[
        str | None, typer.Option("--shares", help="Of each in the mean, such as 0.65,0.35; all alike if left out.")
    ] = None,
) -> int:
    """Turn a released checkpoint, or weights of ours, into a file of ours; or the mean of several into one."""
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: give a name that ends in .safetensors.")
    if output.exists():
        raise InputError(f"{output}: is there already. Give another name.")
    from rotoscope.methods import name_of
    from rotoscope.weights.averaging import averaged
    from rotoscope.weights.files import Store, save_method
    from rotoscope.weights.load import load_exact

    if store not in get_args(Store):
        raise InputError(f"--store {shown(store)}: is none of {', '.join(get_args(Store))}.")
    parts = _numbers(shares) if shares else None
    models = [load_exact(checkpoint, method) for checkpoint in checkpoints]
    state = averaged(models, checkpoints, parts)
    save_method(output, name_of(models[0]), models[0].config, state, store=cast(Store, store))
    count = sum(p.numel() for p in models[0].parameters()) / 1e6
    out.print(f"{output}: {name_of(models[0])}, {count:.1f} M parameters, {output.stat().st_size / 1e6:.1f} MB")
    return 0


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--shares {shown(text)}: give numbers with commas between, such as 0.65,0.35.") from None
