"""``rotoscope shapes``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.delivering import named
from rotoscope.cli.options import Limits, use_limits
from rotoscope.cli.output import out


def command(
    masks: Annotated[Path, typer.Argument(help="A folder that segment has filled, a folder of masks, or a COCO file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder.")],
    format: Annotated[
        str, typer.Option("--format", help="cvat, ytvis, labelme, label-studio, yolo, svg or blender.")
    ] = "cvat",
    tolerance: Annotated[
        float, typer.Option(help="How far a line may be from a mask's edge, in pixels; 0 is exact.")
    ] = 1.0,
    every: Annotated[int, typer.Option(help="Write one frame in so many; CVAT draws those between by itself.")] = 1,
    name: Annotated[
        list[str] | None, typer.Option(help="What an object is called, ID=NAME; any number of times.")
    ] = None,
    suffix: Annotated[str, typer.Option(help="Of the frames' image files, which some formats name.")] = ".png",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same names.")] = False,
    limit: Limits = None,
) -> int:
    """Write masks as outlines, in the files of annotation tools and editors."""
    from rotoscope.shapes import export_shapes

    use_limits(limit)
    made = export_shapes(
        masks, output, format, tolerance=tolerance, every=every, names=named(name or []), suffix=suffix,
        overwrite=overwrite,
    )  # fmt: skip
    called = ", ".join(f"{i} ({text})" for i, text in made.objects.items())
    out.print(f"{made.frames} frames, objects {called}, {made.corners} corners")
    out.print(f"{made.folder}: {made.files} file(s) for {format}")
    return 0
