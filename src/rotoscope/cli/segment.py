"""``rotoscope segment``."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.cli.output import InterruptedRunError, error_line, meter, show_report, warning_line
from rotoscope.errors import InputError

if TYPE_CHECKING:
    from rotoscope.video import Video

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def command(
    video: Annotated[str, typer.Argument(help="Video file, folder of images, glob, camera:0, or address of a stream.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the masks.")],
    mask: Annotated[
        list[str] | None,
        typer.Option(help="Mask of a frame, MASK or MASK@FRAME, of any format; several times. None for zero-shot."),
    ] = None,
    method: Annotated[str, typer.Option(help="Name from 'rotoscope methods'.")] = "stcn-small",
    then: Annotated[
        str | None,
        typer.Option(help="Follow what METHOD finds: method that starts, both ways, from the frame it is surest of."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights file: ours, or one that a method's authors released.")
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Memory policy: lfu:M, every:K or first-latest.")] = None,
    memory_budget: Annotated[
        str | None, typer.Option(help="Bytes for the memory bank, such as 2GB; chooses M.")
    ] = None,
    mem_every: Annotated[int | None, typer.Option(help="Frames between entries into memory.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Memory features that each query reads from; 0 for all.")] = None,
    include_last: Annotated[bool | None, typer.Option(help="Also keep the previous frame in memory.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="fast, or exact for the reference numbers.")] = "fast",
    size: Annotated[
        str | None,
        typer.Option(help="Short side that the network works at, in pixels; 'native' leaves frames as they are."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Any option of the method's sessions, NAME=VALUE; see its page in docs.")
    ] = None,
    then_option: Annotated[
        list[str] | None, typer.Option(help="The same of the method of --then, as are the options of memory and size.")
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(help="palette, objects, soft, npz, coco, cutout, overlay; several with commas."),
    ] = None,
    direction: Annotated[str, typer.Option(help="forward, backward or both.")] = "forward",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from an interrupted run.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start again; replaces what an earlier run wrote.")
    ] = False,
    start: Annotated[int, typer.Option(help="First frame.")] = 0,
    end: Annotated[int | None, typer.Option(help="The frame after the last.")] = None,
    resize_masks: Annotated[bool, typer.Option("--resize-masks", help="Bring masks to the video's size.")] = False,
    state_every: Annotated[int, typer.Option(help="Frames between saved states.")] = 50,
    threads: Annotated[int | None, typer.Option(help="Processor threads to use.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> int:
    """Segment a video, given the masks of one or more of its frames, or none for methods that find objects."""
    from rotoscope.masks.writing import formats
    from rotoscope.segmenting import DIRECTIONS, read_prompts
    from rotoscope.video import open_video

    names = formats(format or ["palette"])
    if direction not in DIRECTIONS:
        raise InputError(f"direction {direction!r} is not known; use {', '.join(DIRECTIONS)}.")
    if then is not None and mask:
        raise InputError("--then follows what is found without a mask. Leave --mask out, or --then.")
    others = then_option if then is not None else option
    options = session_options(memory, memory_budget, mem_every, top_k, include_last, size, others)
    notes: list[str] = []
    with open_video(video, start=start, end=end) as opened:
        read: list[str] = []
        prompts = read_prompts(mask_arguments(mask, opened.start) if mask else None, opened, resize_masks, read)
        for line in [*opened.notes, *read]:
            warning_line(line)
        model = build(method, weights, device, precision, threads)
        if then is not None:
            from rotoscope.chaining import find_objects

            finder, model = model, build(then, None, device, precision, threads)
            if model.task != "semi":
                raise InputError(f"--then {then}: finds objects by itself. Give a method that follows, as stcn-small.")
            asked = session_options(None, None, None, None, None, None, option)
            with meter(f"{opened.name}, {method}", frames_to_come(opened, "forward", 0)) as progress:
                found = find_objects(opened, finder, on_frame=progress.step, **asked)
            prompts, notes, direction = found.prompts, [found.note], "both"
        from rotoscope.running import segment_to_folder

        with meter(opened.name, frames_to_come(opened, direction, max(prompts, default=opened.start))) as progress:
            try:
                report = segment_to_folder(
                    opened,
                    prompts or None,
                    model,
                    output,
                    output_formats=names,
                    direction=direction,  # type: ignore[arg-type]
                    resume=resume,
                    overwrite=overwrite,
                    state_every=state_every,
                    on_frame=progress.step,
                    **options,
                )
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    f"interrupted after {progress.count} frame(s). The masks finished are in {output}; "
                    "the same command with --resume goes on from there."
                ) from None
    report.notes += notes
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        show_report(report)
    for problem in report.problems:
        error_line(f"{problem}; what was segmented stays.")
    return 1 if report.problems else 0


def frames_to_come(video: Video, direction: str, last_prompt: int) -> int | None:
    """How many frames the passes of a direction will go through; None if the video's length is not known."""
    if video.length is None:
        return None
    backward = last_prompt - video.start + 1
    forward = min(video.length, video.end if video.end is not None else video.length) - video.start
    return {"forward": forward, "backward": backward, "both": forward + backward}[direction]


def mask_arguments(given: list[str], start: int) -> dict[int, Any]:
    """Turn ``MASK`` and ``MASK@FRAME`` into ``{frame: path}``.

    Raises:
        InputError: two masks for one frame.
    """
    masks: dict[int, Any] = {}
    for text in given:
        match = re.fullmatch(r"(.+)@(\d+)", text)
        path, frame = (match[1], int(match[2])) if match and not Path(text).exists() else (text, start)
        if frame in masks:
            raise InputError(f"{path}: frame {frame} has a mask already ({masks[frame]}). Write MASK@FRAME.")
        masks[frame] = path
    return masks


def session_options(
    memory: str | None,
    memory_budget: str | None,
    mem_every: int | None,
    top_k: int | None,
    include_last: bool | None,
    size: str | None,
    others: list[str] | None = None,
) -> dict[str, Any]:
    """Collect what was given, in the form that sessions take it."""
    options: dict[str, Any] = {}
    if memory is not None:
        from rotoscope.memory import parse_policy

        parse_policy(memory)
        options["memory"] = memory
    if memory_budget is not None:
        options["memory_budget"] = byte_count(memory_budget)
    if mem_every is not None:
        options["mem_every"] = mem_every
    if top_k is not None:
        options["top_k"] = top_k or None
    if include_last is not None:
        options["include_last"] = include_last
    if size is not None:
        if size == "native":
            options |= {"short_side": None, "max_short_side": None}
        elif size.isdecimal() and int(size) >= 16:
            options["short_side"] = int(size)
        else:
            raise InputError(f"size {size!r} is not possible; give a short side of at least 16 pixels, or native.")
    for text in others or []:
        name, found, value = text.partition("=")
        if not found or not value:
            raise InputError(f"--option {text}: write NAME=VALUE.")
        options[name.strip().replace("-", "_")] = option_value(value.strip())
    return options


def option_value(text: str) -> Any:
    """What an option's text means: true, false, none, a number, several with commas, or the text itself."""
    if "," in text:
        return tuple(option_value(part.strip()) for part in text.split(","))
    words: dict[str, Any] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def byte_count(text: str) -> int:
    """Read ``2GB``, ``500 MiB`` or ``1000000`` as bytes.

    Raises:
        InputError: none of these.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", text.upper())
    if not match:
        raise InputError(f"memory budget {text!r} is not understood; write it like 2GB or 500MB.")
    return int(float(match[1]) * UNITS[match[2]])


def build(method: str, weights: Path | None, device: str, precision: str, threads: int | None) -> Any:
    """Load the method that the options name."""
    import torch

    from rotoscope.methods import METHODS
    from rotoscope.weights import find, load

    if threads is not None:
        if threads < 1:
            raise InputError(f"{threads} threads are not possible; give at least 1.")
        torch.set_num_threads(threads)
    entry = find(method)
    if weights is None:
        return load(method, device=device, precision=precision)
    if not weights.exists():
        raise InputError(f"{weights}: no such weights file.")
    released = weights.suffix != ".safetensors" and method in METHODS
    return load(weights, method=entry.method if released else None, device=device, precision=precision)
