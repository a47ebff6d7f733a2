"""The command line. PyTorch is imported only by commands that need it."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from importlib import import_module
from typing import Annotated

import typer

from rotoscope.cli import (
    ablate,
    batch,
    benchmark,
    check,
    convert,
    demo,
    evaluate,
    explain,
    export,
    fetch,
    methods,
    predict,
    prompt,
    report,
    segment,
    shapes,
    speed,
    train,
)
from rotoscope.cli import app as page
from rotoscope.cli.groups import SEGMENT, TRAIN, grouped
from rotoscope.cli.output import err, error_line, out
from rotoscope.errors import RotoscopeError, of_path, shown


def _version(wanted: bool) -> None:
    """Print the version and stop, if that is wanted."""
    if wanted:
        out.print(f"rotoscope {import_module('rotoscope').__version__}")  # a room does not import the root
        raise typer.Exit


app = typer.Typer(
    name="rotoscope",
    help="Cut objects out of video: masks of one frame in, masks of every frame out.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _general(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version, and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere in the line.")
    ] = False,
) -> None:
    """Cut objects out of video: masks of one frame in, masks of every frame out."""


app.command("segment", cls=grouped(SEGMENT), short_help="Masks of one frame in, masks of every frame out.")(
    segment.command
)
app.command("prompt", short_help="Make a mask of one picture from clicks and boxes.")(prompt.command)
app.command("batch", short_help="Segment many videos, each once.")(batch.command)
app.command("demo", short_help="Segment the built-in clip, and measure it.")(demo.command)
app.command("check", short_help="Say what a file or a data set is, and what is missing.")(check.command)
app.command("convert", short_help="Turn a released checkpoint into a file of ours.")(convert.command)
app.command("export", short_help="Write a network as ONNX or OpenVINO graphs.")(export.command)
app.command("shapes", short_help="Write masks as outlines, for CVAT, LabelMe, YOLO, SVG, Blender.")(shapes.command)
app.command("methods", short_help="List what can be loaded by name.")(methods.command)
app.command("fetch", short_help="Get the weights that a method's authors released.")(fetch.command)
app.command("evaluate", short_help="Score masks, whatever made them.")(evaluate.command)
app.command("benchmark", short_help="Segment a data set, score it, measure speed.")(benchmark.command)
app.command("predict", short_help="Segment a set that a server scores, and pack it.")(predict.command)
app.command("train", cls=grouped(TRAIN), short_help="Train a method, and save its weights.")(train.command)
app.command("ablate", short_help="Run a table of the papers, beside the published one.")(ablate.command)
app.command("report", short_help="One page of runs: plots, frames, published figures.")(report.command)
app.command("explain", short_help="Draw what a method's mechanism did on a frame.")(explain.command)
app.command("speed", short_help="Measure seconds per frame, on this machine.")(speed.command)
app.command("app", short_help="A page to point, paint, correct and watch.")(page.command)
INTERRUPTED = 130
_USAGE: type[Exception] = typer.BadParameter.__mro__[2]
"""What a wrong command line raises: Click's base class, wherever this version of Typer keeps it."""


def _named(arguments: list[str]) -> str:
    """The command of a command line and a space, if there is such a command."""
    known = {command.name for command in app.registered_commands}
    return next((f"{argument} " for argument in arguments if argument in known), "")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0: done; 1: a fault of ours, or damage met on the way; 2: bad input; 130: interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [argument for argument in words if argument != "--debug"] or ["--help"]
    if not debug:
        logging.getLogger().addHandler(logging.NullHandler())  # else what libraries log is printed
    try:
        with warnings.catch_warnings():
            if not debug:  # a command says itself what there is to say of a file
                warnings.simplefilter("ignore")
            code = app(args=words, standalone_mode=False)
        if code == INTERRUPTED:  # how Typer tells of Ctrl-C
            raise KeyboardInterrupt
        return int(code or 0)
    except typer.Exit as leaving:
        return leaving.exit_code
    except _USAGE as wrong:
        message = wrong.format_message() if hasattr(wrong, "format_message") else str(wrong)
        if message:
            error_line(f"{message.rstrip()} See: rotoscope {_named(words)}--help")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        way = " The same command with --resume goes on from the last checkpoint." if words[0] == "train" else ""
        error_line(f"interrupted. What was finished is on disk.{way}")
        return INTERRUPTED
    except RotoscopeError as known:
        if debug:
            raise
        error_line(str(known))
        return known.exit_code
    except MemoryError:
        if debug:
            raise
        error_line("there is not enough memory for this. Give less at once, or a smaller --size.")
        return 1
    except Exception as unknown:
        if debug:
            raise
        refused = of_path(unknown)
        if refused is not None:
            error_line(str(refused))
            return refused.exit_code
        what = f"{type(unknown).__name__}: {shown(unknown, 200)}"
        error_line(f"{what}. This is a fault of ours; run again with --debug for the traceback.")
        return 1


def entry() -> None:
    """Entry point of the ``rotoscope`` command."""
    try:
        code = main()
    except Exception as wanted:  # with --debug
        for line in traceback.format_exc().splitlines():
            err.print(line)
        code = getattr(wanted, "exit_code", 1)
    sys.exit(code)
