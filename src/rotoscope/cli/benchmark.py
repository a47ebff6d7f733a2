"""``rotoscope benchmark``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.cli.evaluate import show, tell
from rotoscope.cli.output import error_line, meter, out
from rotoscope.cli.segment import build, session_options

if TYPE_CHECKING:
    from rotoscope.dataset_run import DatasetRun


def command(
    method: Annotated[str, typer.Argument(help="Name from 'rotoscope methods'.")],
    dataset: Annotated[str, typer.Option(help="Data set as NAME:PATH?split=…, such as davis16:DAVIS.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New folder for masks, scores and record.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="semi, unsupervised or zero-shot; the one that fits the method unless said.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights file: ours, or one that the authors released.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory policy: lfu:M, every:K or first-latest.")] = None,
    mem_every: Annotated[int | None, typer.Option(help="Frames between entries into memory.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Memory features that each query reads from; 0 for all.")] = None,
    include_last: Annotated[bool | None, typer.Option(help="Also keep the previous frame in memory.")] = None,
    size: Annotated[str | None, typer.Option(help="Short side the network works at, or native.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Any option of the method's sessions, NAME=VALUE; see its page in docs.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="fast, or exact for the reference numbers.")] = "fast",
    threads: Annotated[int | None, typer.Option(help="Processor threads to use.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes that score.")] = None,
    stability: Annotated[bool, typer.Option(help="Measure T where the protocol has it.")] = True,
    compare: Annotated[bool, typer.Option("--compare", help="Set published figures beside.")] = False,
) -> int:
    """Segment a data set, score the masks, and measure speed and memory."""
    from rotoscope.dataset_run import segment_dataset
    from rotoscope.datasets.spec import open_dataset
    from rotoscope.evaluation.evaluate import evaluate
    from rotoscope.evaluation.protocol import default_task, protocol
    from rotoscope.evaluation.report import write_csv, write_json

    opened = open_dataset(dataset)
    model = build(method, weights, device, precision, threads)
    task = task or default_task(opened.kind, model.task)
    how = protocol(opened.kind, task)
    options = session_options(memory, None, mem_every, top_k, include_last, size, option)
    folder = output or Path(f"benchmark-{method}-{opened.kind}-{datetime.now():%Y%m%d-%H%M%S}")
    with meter(opened.kind, sum(len(s.images) for s in opened)) as progress:
        run = segment_dataset(opened, how, model, folder / "masks", progress.step, **options)
    evaluation = evaluate(folder / "masks", opened, task, stability=stability, jobs=jobs)
    extra = {"method": _facts(method, weights, model, options), "speed": run.as_record()}
    write_json(evaluation, folder / "scores.json", extra)
    write_csv(evaluation, folder / "scores.csv")
    show(evaluation)
    _speed(run)
    if compare:
        from rotoscope.evaluation.published import comparison

        out.print(comparison(evaluation, method, {"fps": run.fps}), soft_wrap=False)
    out.print(f"masks: {folder / 'masks'}\nscores and how they were made: {folder / 'scores.json'}")
    for problem in run.problems:
        error_line(problem)
    return tell(evaluation, strict=False) or (1 if run.problems else 0)


def _speed(run: DatasetRun) -> None:
    out.print(f"frames: {run.frames}, {run.fps:.2f} per second with reading and writing")
    parts = ", ".join(f"{part} {seconds / run.frames:.4f}" for part, seconds in run.parts.items())
    out.print(f"seconds a frame in the network: {run.network / run.frames:.4f} ({parts})")
    out.print(f"peak memory: {run.peak_memory / 2**20:.0f} MiB")
    if run.remembered is not None:
        out.print(f"largest memory: {run.remembered:.2f} frames' worth of features")


def _facts(method: str, weights: Path | None, model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What was run: the network, its weights' hash, its options."""
    from dataclasses import asdict

    import torch

    from rotoscope.weights.catalogue import file_hash, find

    path = weights or find(method).path
    return {
        "name": method,
        "weights": path.name if path else None,
        "weights_sha256": file_hash(path) if path else None,
        "config": asdict(model.configured(options)),
        "precision": model.precision,
        "device": str(model.device),
        "threads": torch.get_num_threads(),
    }
