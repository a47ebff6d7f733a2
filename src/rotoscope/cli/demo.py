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
) -> int:
    """Segment the built-in clip, and measure the masks against its exact ones."""
    from rotoscope.datasets.demo import demo_clip
    from rotoscope.masks import contact_sheet, overlay
    from rotoscope.masks.writing import save_png
    from rotoscope.resuming import REPORT, WORK
    from rotoscope.running import segment_to_folder
    from rotoscope.scoring import score_folder
    from rotoscope.video import open_video
    from rotoscope.weights import load

    clip = demo_clip()
    model = load(method)
    given = {i: clip.labels[0] == i for i in (1, 2)}
    with open_video(clip.frames) as video, meter("demo", len(clip.frames)) as progress:
        report = segment_to_folder(
            video,
            {0: given},
            model,
            output,
            output_formats=["palette", "overlay"],
            overwrite=(output / REPORT).exists() or (output / WORK).exists(),  # an earlier demo; never others' files
            on_frame=progress.step,
        )
    show_report(report)
    scores, found = score_folder(output, clip.labels, (1, 2))
    for object_id, name in ((1, "person"), (2, "cup")):
        out.print(f"J of object {object_id} ({name}): {scores[object_id]:.3f}")
    shown = range(0, len(clip.frames), max(1, len(clip.frames) // 12))
    pictures = [overlay(clip.frames[t], found[t]) for t in shown]
    sheet = contact_sheet(pictures, columns=4, captions=[f"frame {t}" for t in shown])
    save_png(output / "contact_sheet.png", sheet[..., ::-1])
    out.print(f"overlay: {output / 'overlay.mp4'}")
    out.print(f"contact sheet: {output / 'contact_sheet.png'}")
    return 0
