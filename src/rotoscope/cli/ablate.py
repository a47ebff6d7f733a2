"""``rotoscope ablate``."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.output import err, out
from rotoscope.cli.segment import session_options
from rotoscope.errors import InputError


def command(
    table: Annotated[
        str, typer.Argument(help="Table, such as policies, capacity, rvos-oneshot; a wrong name lists them.")
    ],
    dataset: Annotated[list[str] | None, typer.Option(help="Data set to score on; any number of times.")] = None,
    long: Annotated[
        int, typer.Option(help="So many long synthetic clips (for each number of objects), from --data.")
    ] = 0,
    long_frames: Annotated[int, typer.Option(help="Length of a long clip.")] = 300,
    long_size: Annotated[int, typer.Option(help="Side of a long clip's frames in pixels.")] = 256,
    long_kind: Annotated[
        list[str] | None,
        typer.Option(help="What long clips show: wandering (default), small or hidden objects; any number of times."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Folder of photographs, for long clips and for rows that are trained.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Share of the recipe's steps that a row is trained for.")] = 0.05,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field of the recipe for all rows: NAME=VALUE.")
    ] = None,
    initial: Annotated[Path | None, typer.Option(help="Weights that trained rows begin with.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights for rows that are not trained.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="New folder for masks and results.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Any option of the method's sessions, NAME=VALUE; see its page in docs.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Short side the network works at, or native.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="fast or exact.")] = "fast",
    threads: Annotated[int | None, typer.Option(help="Processor threads to use.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes that score.")] = None,
) -> int:
    """Run every row of a table of the papers, and print it beside the published one."""
    import torch

    from rotoscope.ablating import RowResult, as_table, find_ablation, run_ablation
    from rotoscope.datasets.long_clips import KINDS, write_long_clips
    from rotoscope.datasets.photographs import Photographs, data_root
    from rotoscope.datasets.spec import open_dataset
    from rotoscope.methods import look_up
    from rotoscope.methods.recipe import Recipe
    from rotoscope.provenance import provenance
    from rotoscope.training.run import prepare, save_weights

    chosen = find_ablation(table)
    if threads is not None:
        torch.set_num_threads(threads)
    sets = [(f"{(found := open_dataset(spec)).kind}", found) for spec in dataset or []]
    folder = output or Path(f"ablation-{table}-{datetime.now():%Y%m%d-%H%M%S}")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: holds something already. Give another folder.")
    if long:
        held_out = Photographs.open(data_root(data[0] if data else None)).split()[1]
        for kind in long_kind or ["wandering"]:
            found_kind = look_up("kind of long clips", kind, {known: known for known in KINDS})
            name = "long" if found_kind == "wandering" else found_kind
            for objects in dict.fromkeys(row.objects or 2 for row in chosen.rows):
                write_long_clips(held_out, folder / name, long, long_frames, long_size, objects, kind=found_kind)
            sets.append((name, open_dataset(f"pairs:{folder / name}")))
    if not sets:
        raise InputError("nothing to score on: give --dataset SPEC, or --long N with --data FOLDER.")

    def train(recipe: Recipe, place: Path) -> Path:
        trainer = prepare(recipe, data or [], place, device=device, threads=threads, initial=initial)
        for line in trainer.run(save_every=recipe.steps, log_every=100):
            err.print(f"  step {line.step}/{recipe.steps}: loss {line.loss:.3f}")
        return save_weights(trainer)

    options = session_options(None, None, None, None, None, size, option)
    results: list[RowResult] = []
    rows = run_ablation(
        chosen,
        sets,
        folder,
        train=train,
        scale=scale,
        settings=set_ or [],
        device=device,
        precision=precision,
        jobs=jobs,
        weights=weights,
        **options,
    )
    for result in rows:
        results.append(result)
        shown = ", ".join(f"{name} J&F {scores['J&F']:.1f}" for name, scores in result.scores.items())
        err.print(f"{result.row.name}: {shown}, {result.fps:.1f} frames/s")
    out.print(as_table(chosen, results), soft_wrap=False)
    record = {
        "table": table,
        "settings": set_ or [],
        "scale": scale,
        "rows": [asdict(result) for result in results],
        "made_by": provenance(),
    }
    (folder / "results.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    out.print(f"results: {folder / 'results.json'}")
    return 0
