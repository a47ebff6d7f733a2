"""``rotoscope explain``."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.cli.options import (
    Device,
    IncludeLast,
    Limits,
    MemEvery,
    Memory,
    Others,
    Precision,
    Size,
    Threads,
    TopK,
    Weights,
    load_method,
    session_options,
)
from rotoscope.cli.output import out, warning_line
from rotoscope.cli.segment import mask_argument
from rotoscope.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotoscope.video import Video

DEMO = "demo"
"""In place of a video: the built-in clip."""


def command(
    method: Annotated[str, typer.Argument(help="Name from 'rotoscope methods'.")],
    video: Annotated[str, typer.Argument(help="Video file, folder of images or glob; demo is the built-in clip.")],
    frame: Annotated[int, typer.Option(help="The frame to explain.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture: .png, .webp or .jpg.")],
    mask: Annotated[
        list[str] | None,
        typer.Option(help="Masks of a frame, as of segment; several times. The built-in clip has its own."),
    ] = None,
    at: Annotated[str | None, typer.Option(help="The pixel that asks, X,Y; the object's middle unless given.")] = None,
    object_: Annotated[
        int | None, typer.Option("--object", help="The object to explain; the first unless given.")
    ] = None,
    weights: Weights = None,
    memory: Memory = None,
    mem_every: MemEvery = None,
    top_k: TopK = None,
    include_last: IncludeLast = None,
    size: Size = None,
    option: Others = None,
    device: Device = "auto",
    precision: Precision = "fast",
    threads: Threads = None,
    limit: Limits = None,
) -> int:
    """Draw what a method's mechanism did on one frame: attention, memory, routing, slots."""
    from rotoscope.methods.mechanism import Bars
    from rotoscope.reports.mechanisms import Question, check_target, explain, write_picture
    from rotoscope.runs.job import Job
    from rotoscope.runs.prompts import read_prompts

    check_target(output)
    question = Question(frame, None if at is None else _place(at), object_)
    options = session_options(
        memory=memory, mem_every=mem_every, top_k=top_k, include_last=include_last, size=size, others=option
    )
    with _opened(video) as (opened, of_demo):
        decided: list[str] = []
        masks = [mask_argument(text) for text in mask or []]
        model = load_method(method, weights, device, precision, threads)
        prompts: dict[int, Any] = read_prompts(masks, opened, False, decided) if masks else {}
        if model.task == "semi" and not masks:
            prompts = of_demo
        for line in decided:
            warning_line(line)
        mechanism, prediction = explain(Job(opened, prompts, model, options=options), question)
        write_picture(output, mechanism, prediction, opened)
    out.print(mechanism.title)
    bars = mechanism.more
    numbers = (
        [bars.title, *(f"{name}: {value:.3f}" for name, value in zip(bars.names, bars.values, strict=True))]
        if isinstance(bars, Bars)
        else []
    )
    for line in (*(grid.title for grid in mechanism.grids), *numbers, *mechanism.notes):
        out.print(f"  {line}")
    out.print(f"picture: {output}")
    return 0


@contextmanager
def _opened(name: str) -> Iterator[tuple[Video, dict[int, Any]]]:
    """A video, and the masks that come with it: those of the first frame of the built-in clip."""
    from rotoscope.video import open_video

    if name != DEMO or Path(name).exists():
        with open_video(name) as video:
            yield video, {}
        return
    from rotoscope.datasets.demo import demo_clip

    clip = demo_clip()
    with open_video(clip.frames) as video:
        yield video, {0: {number: clip.labels[0] == number for number in range(1, int(clip.labels.max()) + 1)}}


def _place(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,6})\s*,\s*(\d{1,6})\s*", text)
    if match is None:
        raise InputError(f"--at {text}: write X,Y in whole pixels, such as 420,233.")
    return int(match[1]), int(match[2])
