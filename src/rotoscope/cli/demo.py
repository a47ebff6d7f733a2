"""``rotoscope demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.output import meter, out, show_report


def command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for masks, overlay and contact sheet.")] = Path(
        "demo-out"
    ),
    method: Annotated[str, typer.Option(help="Name from 'rotoscope methods'.")] = "stcn-small",
    clip_only: Annotated[
        bool, typer.Option("--clip-only", help="Only write the clip, its first masks and its truth, to try things on.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --clip-only: replace what is there.")] = False,
) -> int:
    """Segment the built-in clip, and measure the masks against its exact ones."""
    from rotoscope.datasets.demo import FRAMES, demo_clip, write_clip
    from rotoscope.experiments.demo import OBJECTS, run_demo
    from rotoscope.weights import load

    if clip_only:
        write_clip(demo_clip(), output, overwrite)
        out.print(f"{output}: clip.mp4, first.png, and data (davis17:{output / 'data'}?split=val)")
        return 0
    model = load(method)
    with meter("demo", FRAMES) as progress:
        demo = run_demo(model, output, progress.step)
    show_report(demo.report)
    for object_id, name in OBJECTS.items():
        out.print(f"J of object {object_id} ({name}): {demo.scores[object_id]:.3f}")
    out.print(f"overlay: {demo.overlay}")
    out.print(f"contact sheet: {demo.contact_sheet}")
    return 0
