"""``rotoscope segment``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.cli.delivering import Alpha, Colours, Names, Objects, Refine, delivery_of
from rotoscope.cli.options import (
    Device,
    IncludeLast,
    Limits,
    MemEvery,
    Memory,
    MemoryBudget,
    Others,
    Precision,
    Runtime,
    Size,
    Threads,
    TopK,
    Weights,
    load_method,
    session_options,
)
from rotoscope.cli.output import (
    InterruptedRunError,
    err,
    error_line,
    meter,
    print_json,
    show_report,
    warning_line,
)
from rotoscope.cli.pointing import DEFAULT, Box, NotPoint, Point, Prompter, read_points, set_prompter
from rotoscope.errors import InputError

if TYPE_CHECKING:
    from rotoscope.methods.base import Method
    from rotoscope.methods.clicking import Clicked
    from rotoscope.runs.find import StartingFrame
    from rotoscope.runs.job import Outputs
    from rotoscope.runs.prompts import Prompt
    from rotoscope.runs.report import Report
    from rotoscope.video import Video


def command(
    video: Annotated[str, typer.Argument(help="Video file, folder of images, glob, camera:0, or address of a stream.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the masks.")],
    mask: Annotated[
        list[str] | None,
        typer.Option(
            help="Masks of a frame, of any format: [ID:]MASK[@FRAME] or MASK[@FRAME][=ID]; several times. "
            "ID is for files of one object. None for zero-shot."
        ),
    ] = None,
    point: Point = None,
    not_point: NotPoint = None,
    box: Box = None,
    prompter: Prompter = DEFAULT,
    method: Annotated[str, typer.Option(help="Name from 'rotoscope methods'.")] = "stcn-small",
    then: Annotated[
        str | None,
        typer.Option(help="Follow what METHOD finds: method that starts, both ways, from the frame it is surest of."),
    ] = None,
    weights: Weights = None,
    memory: Memory = None,
    memory_budget: MemoryBudget = None,
    mem_every: MemEvery = None,
    top_k: TopK = None,
    include_last: IncludeLast = None,
    device: Device = "auto",
    precision: Precision = "fast",
    runtime: Runtime = "torch",
    size: Size = None,
    option: Others = None,
    then_option: Annotated[
        list[str] | None, typer.Option(help="The same of the method of --then, as are the options of memory and size.")
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="palette, objects, soft, npz, coco, cutout, overlay; for other programs png, exr, prores, webm, ffv1, "
            "matte, greenscreen, blur; several with commas."
        ),
    ] = None,
    objects: Objects = None,
    alpha: Alpha = None,
    refine: Refine = False,
    name: Names = None,
    color: Colours = None,
    direction: Annotated[str, typer.Option(help="forward, backward or both.")] = "forward",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from an interrupted run.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start again; replaces what an earlier run wrote.")
    ] = False,
    start: Annotated[int, typer.Option(help="First frame.")] = 0,
    end: Annotated[int | None, typer.Option(help="The frame after the last.")] = None,
    resize_masks: Annotated[bool, typer.Option("--resize-masks", help="Bring masks to the video's size.")] = False,
    state_every: Annotated[int, typer.Option(help="Frames between saved states.")] = 50,
    by_contents: Annotated[
        bool,
        typer.Option("--by-contents", help="Resume by what the video's files hold, not by their names, sizes, times."),
    ] = False,
    threads: Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    limit: Limits = None,
) -> int:
    """Segment a video, given the masks of one or more of its frames, or none for methods that find objects."""
    from rotoscope.runs.deliver import losses
    from rotoscope.runs.job import Outputs, check_direction
    from rotoscope.runs.prompts import read_prompts, unanswered
    from rotoscope.runtimes import check_runtime
    from rotoscope.video import open_video

    shown = delivery_of(objects, alpha, refine, name, color)
    outputs = Outputs.of(output, format or ["palette"], state_every, by_contents, shown)
    outputs.check_used({"--objects": objects, "--alpha": alpha, "--refine": refine, "--name": name, "--color": color})
    check_direction(direction)
    check_runtime(runtime)
    pointed = read_points(point, not_point, box)
    if then is not None and (mask or pointed):
        raise InputError("--then follows what is found without a mask. Leave --mask and points out, or --then.")
    options = session_options(
        memory=memory,
        memory_budget=memory_budget,
        mem_every=mem_every,
        top_k=top_k,
        include_last=include_last,
        size=size,
        others=option if then is None else then_option,
    )
    with open_video(video, start=start, end=end) as opened:
        prompts: dict[int, Any] = {}
        decided = list(opened.notes)
        if mask or pointed:
            asked = [*map(mask_argument, mask or []), *pointed]
            prompts = read_prompts(asked, opened, resize_masks, decided)
        outputs.check(opened)
        told = [*unanswered(prompts, opened, direction), *losses(opened, outputs.formats)]
        for line in (*decided, *told):
            warning_line(line)
        model = load_method(method, weights, device, precision, threads, runtime)
        set_prompter(model, prompter, device)
        beginning = None
        if then is not None:
            finder, model = model, load_method(then, None, device, precision, threads, runtime)
            check_follower(then, model, opened, options, outputs)
            beginning = find_first(opened, finder, method, session_options(others=option))
            prompts, direction = beginning.prompts, "both"
        how = {"direction": direction, "resume": resume, "overwrite": overwrite}
        report = run(opened, prompts, model, outputs, options, how, told)
    report.notes = [*decided, *report.notes, *([beginning.note] if beginning is not None else [])]
    return tell(report, as_json, told)


def check_follower(name: str, model: Method, video: Video, options: dict[str, Any], outputs: Outputs) -> None:
    """See, before anything is looked for, that what is found could be followed, and written.

    Raises:
        InputError: it could not.
    """
    from rotoscope.runs.options import check_options

    if model.task != "semi":
        raise InputError(f"--then {name}: finds objects by itself. Give a method that follows, as stcn-small.")
    outputs.check(video)
    check_options(model, options)
    model.session(video, **options)


def find_first(video: Video, finder: Method, name: str, options: dict[str, Any]) -> StartingFrame:
    """Let a method find objects, and show how far it has come."""
    from rotoscope.runs.find import find_objects

    with meter(f"{video.name}, {name}", frames_to_come(video, "forward", 0)) as progress:
        return find_objects(video, finder, on_frame=progress.step, **options)


def run(
    video: Video,
    prompts: dict[int, Any],
    model: Method,
    outputs: Outputs,
    options: dict[str, Any],
    how: dict[str, Any],
    told: list[str],
) -> Report:
    """Segment into the folder, and show how far it has come; ``told`` gets what is told on the way.

    Raises:
        InterruptedRunError: Ctrl-C.
    """
    from rotoscope.runs.segment import segment_to_folder

    total = frames_to_come(video, how["direction"], max(prompts, default=video.start))
    with meter(video.name, total) as progress:
        try:
            return segment_to_folder(
                video,
                prompts or None,
                model,
                outputs.folder,
                output_formats=outputs.formats,
                state_every=outputs.state_every,
                by_contents=outputs.by_contents,
                delivery=outputs.delivery,
                on_frame=progress.step,
                on_points=lambda clicked, picture: tell_points(clicked, picture, told),
                **how,
                **options,
            )
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted after {progress.count} frame(s). The masks finished are in {outputs.folder}; "
                "the same command with --resume goes on from there."
            ) from None


def tell_points(clicked: Clicked, picture: Path, told: list[str]) -> None:
    """Say what points gave as soon as it is known, so that a wrong beginning is seen at once."""
    line = f"{clicked.note} ({picture})"
    if clicked.unsure:
        warning_line(line)
        told.append(clicked.note)
    else:
        err.print(line, markup=False)


def tell(report: Report, as_json: bool, told: Sequence[str] = ()) -> int:
    """Print a report, and its warnings but for those told before; return the exit code."""
    for line in report.warnings:
        if line not in told:
            warning_line(line)
    if as_json:
        print_json(report.as_record())
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


def mask_argument(text: str) -> Prompt:
    """What ``[ID:]MASK[@FRAME]`` or ``MASK[@FRAME][=ID]`` means; a file that has all of the text as its name is one.

    Raises:
        InputError: the id is given twice.
    """
    from rotoscope.runs.prompts import Prompt

    match = re.fullmatch(r"(?:(\d+):)?(.+?)(?:@(\d+))?(?:=(\d+))?", text)
    if match is None or Path(text).exists():
        return Prompt(text)
    before, path, frame, after = match.groups()
    if before is not None and after is not None:
        raise InputError(f"--mask {text}: has two ids. Write ID:MASK@FRAME.")
    number = before if before is not None else after
    return Prompt(path, None if frame is None else int(frame), None if number is None else int(number))
