"""``rotoscope predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.benchmark import facts_of, show_speed, write_record
from rotoscope.cli.options import (
    Device,
    IncludeLast,
    Limits,
    MemEvery,
    Memory,
    Others,
    Precision,
    Runtime,
    ScoredTask,
    Size,
    Threads,
    TopK,
    Weights,
    load_method,
    session_options,
)
from rotoscope.cli.output import error_line, meter, out


def command(
    method: Annotated[str, typer.Argument(help="Name from 'rotoscope methods'.")],
    dataset: Annotated[str, typer.Option(help="Data set as NAME:PATH?split=…, such as youtubevos:YTVOS?split=valid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for masks, archive and record.")],
    task: ScoredTask = None,
    weights: Weights = None,
    memory: Memory = None,
    mem_every: MemEvery = None,
    top_k: TopK = None,
    include_last: IncludeLast = None,
    size: Size = None,
    option: Others = None,
    device: Device = "auto",
    precision: Precision = "fast",
    runtime: Runtime = "torch",
    threads: Threads = None,
    limit: Limits = None,
) -> int:
    """Segment a data set whose truth is hidden, and pack the masks as its server takes them."""
    from rotoscope.datasets.spec import open_dataset
    from rotoscope.errors import InputError
    from rotoscope.evaluation.protocol import default_task, protocol
    from rotoscope.files import inside
    from rotoscope.runs.dataset import segment_dataset
    from rotoscope.runs.submission import SERVERS, check_ids, check_images, pack

    opened = open_dataset(dataset)
    model = load_method(method, weights, device, precision, threads, runtime)
    how = protocol(opened.kind, task or default_task(opened.kind, model.task))
    check_ids(opened, how)
    options = session_options(
        memory=memory, mem_every=mem_every, top_k=top_k, include_last=include_last, size=size, others=option
    )
    masks, archive, speed = (inside(output, name) for name in ("masks", f"{opened.kind}.zip", "speed.json"))
    for path in (archive, speed):
        if path.exists():
            raise InputError(f"{path}: is there already. Give a new folder.")
    check_images(opened)
    with meter(opened.kind, sum(len(s.images) for s in opened)) as progress:
        run = segment_dataset(opened, how, model, masks, progress.step, **options)
    record = {
        "dataset": opened.spec,
        "split": opened.split,
        "task": how.task,
        "method": facts_of(method, weights, model, options),
        "speed": run.as_record(),
    }
    write_record(speed, record)
    for problem in run.problems:
        error_line(problem)
    packed = pack(opened, how, masks, archive)
    show_speed(run)
    out.print(f"masks: {masks}")
    out.print(f"speed and how they were made: {speed}")
    where = "as its server takes them" if opened.kind in SERVERS else "a folder each, as no server of it is known here"
    out.print(f"archive: {packed.path}, {packed.sequences} sequences, {packed.frames} masks, {where}; read back")
    return 1 if run.problems else 0
