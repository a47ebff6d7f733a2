"""``rotoscope benchmark``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.cli.evaluate import show, show_published, tell
from rotoscope.cli.options import (
    Compare,
    Device,
    IncludeLast,
    Jobs,
    Limits,
    MemEvery,
    Memory,
    Others,
    Precision,
    Runtime,
    ScoredTask,
    Size,
    Stability,
    Threads,
    TopK,
    Weights,
    load_method,
    session_options,
)
from rotoscope.cli.output import error_line, meter, out
from rotoscope.errors import InputError

if TYPE_CHECKING:
    from rotoscope.methods.base import Method
    from rotoscope.runs.dataset import DatasetRun


def command(
    method: Annotated[str, typer.Argument(help="Name from 'rotoscope methods'; or a baseline: first-mask, flow.")],
    dataset: Annotated[str, typer.Option(help="Data set as NAME:PATH?split=…, such as davis16:DAVIS.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New folder for masks, scores and record.")
    ] = None,
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
    jobs: Jobs = None,
    stability: Stability = True,
    compare: Compare = False,
    limit: Limits = None,
) -> int:
    """Segment a data set, score the masks, and measure speed and memory."""
    from rotoscope.datasets.spec import open_dataset
    from rotoscope.evaluation.evaluate import evaluate
    from rotoscope.evaluation.protocol import default_task, protocol
    from rotoscope.evaluation.report import write_csv, write_json
    from rotoscope.evaluation.truth import hides_truth
    from rotoscope.files import inside
    from rotoscope.runs.dataset import segment_dataset

    opened = open_dataset(dataset)
    hidden = [s.name for s in opened if hides_truth(s)]
    if hidden:
        raise InputError(
            f"{dataset}: {len(hidden)} of {len(opened)} sequences, such as {hidden[0]}, have no truth here to score "
            f'with. Segment and pack them for their server: rotoscope predict {method} --dataset "{dataset}" -o OUT.'
        )
    model = load_method(method, weights, device, precision, threads, runtime)
    task = task or default_task(opened.kind, model.task)
    options = session_options(
        memory=memory, mem_every=mem_every, top_k=top_k, include_last=include_last, size=size, others=option
    )
    folder = output or Path(f"benchmark-{method}-{opened.kind}-{datetime.now():%Y%m%d-%H%M%S}")
    with meter(opened.kind, sum(len(s.images) for s in opened)) as progress:
        how = protocol(opened.kind, task)
        run = segment_dataset(opened, how, model, inside(folder, "masks"), progress.step, **options)
    extra = {"method": facts_of(method, weights, model, options), "speed": run.as_record()}
    write_record(inside(folder, "speed.json"), extra)  # what took longest is kept, whatever becomes of the scores
    evaluation = evaluate(folder / "masks", opened, task, stability=stability, jobs=jobs)
    write_json(evaluation, folder / "scores.json", extra)
    write_csv(evaluation, folder / "scores.csv")
    show(evaluation)
    show_speed(run)
    if compare:
        rate = run.measured.rate
        speed = {"fps": rate, "seconds per frame": 1 / rate} if rate else {}
        kept = {} if run.measured.remembered is None else {"frames in memory": run.measured.remembered}
        show_published(evaluation, method, speed | kept)
    out.print(f"masks: {folder / 'masks'}")
    out.print(f"scores and how they were made: {folder / 'scores.json'}")
    for problem in run.problems:
        error_line(problem)
    return tell(evaluation, strict=False) or (1 if run.problems else 0)


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write what was run and how fast, with where it comes from."""
    import json

    from rotoscope.files import atomic_write
    from rotoscope.provenance import provenance

    with atomic_write(path) as whole:
        whole.write_text(json.dumps({**record, "made_by": provenance()}, indent=1), encoding="utf-8")


def show_speed(run: DatasetRun) -> None:
    """Print frames per second, time by part, memory."""
    measured = run.measured
    out.print(f"frames: {measured.frames}, {measured.rate:.2f} per second with reading and writing")
    parts = ", ".join(f"{part} {seconds:.4f}" for part, seconds in measured.parts_per_frame.items())
    out.print(f"seconds a frame in the network: {run.network / max(measured.frames, 1):.4f} ({parts})")
    out.print(f"peak memory: {measured.peak / 2**20:.0f} MiB")
    if measured.remembered is not None:
        mean = measured.remembered_on_average
        out.print(f"memory in frames' worth of features: {mean:.2f} on average, {measured.remembered:.2f} at most")


def facts_of(method: str, weights: Path | None, model: Method, options: dict[str, Any]) -> dict[str, Any]:
    """What was run: the network, its weights' hash, its options."""
    from dataclasses import asdict

    import torch

    from rotoscope.methods.baselines import BASELINES
    from rotoscope.weights.load import located
    from rotoscope.weights.store import file_hash

    path = None if method in BASELINES else weights or located(method)[0]
    changed = {name: value for name, value in options.items() if name in model.inference_options}
    return {
        "name": method,
        "weights": path.name if path is not None else None,
        "weights_sha256": file_hash(path) if path is not None and path.exists() else None,
        "config": asdict(model.configured(changed)),
        "options": options,
        "precision": model.precision,
        "runtime": model.runtime,
        "device": str(model.device),
        "threads": torch.get_num_threads(),
    }
