"""``rotoscope check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.options import Limits
from rotoscope.cli.output import error_line, out
from rotoscope.errors import InputError
from rotoscope.masks import read_masks
from rotoscope.masks.folders import IMAGES
from rotoscope.masks.foreign import WAY_OUT, foreign_folder, foreign_text
from rotoscope.masks.outlines import outlines_of
from rotoscope.masks.sheets import Objects, Sheet
from rotoscope.video import open_video
from rotoscope.video.images import is_image
from rotoscope.video.limits import has_pages

WEIGHTS = {".pth", ".pt", ".ckpt", ".safetensors"}


def command(
    what: Annotated[
        str, typer.Argument(help="A mask, a video, a folder, a weights file, or a data set as NAME:PATH?split=….")
    ],
    full: Annotated[bool, typer.Option("--full", help="Read a video to its end and report damage.")] = False,
    limit: Limits = None,
) -> int:
    """Say what a file or a data set is, how it would be understood, and what is missing."""
    from rotoscope.datasets.spec import is_spec

    if is_spec(what):
        return _dataset(what)
    path = Path(what)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path.suffix.lower() in WEIGHTS:
        return _weights(path)
    if outlines := outlines_of(path) if _is_bare(path) or path.suffix.lower() in (".json", ".xml", ".txt") else None:
        return _outlines(*outlines, path)
    if other := foreign_folder(path) if _is_bare(path) else foreign_text(path):
        raise InputError(f"{path}: is {other}, which is not read. {WAY_OUT}")
    as_mask = path.is_file() and path.suffix.lower() in IMAGES | {".json", ".npz", ".npy"} and not has_pages(path)
    if as_mask or (_is_bare(path) and any(path.glob("[0-9]*/"))):
        for line in read_masks(path).explain():
            out.print(line)
        return 0
    return _video(path, full)


def _outlines(sheets: list[Sheet], kind: str, path: Path) -> int:
    """Say what an annotation tool's outlines are of."""
    objects = Objects(sheets, str(path))
    size = next((sheet.size for sheet in sheets if sheet.size), None)
    told = f", {size[0]}x{size[1]}" if size else ", of the size of its video"
    out.print(f"{kind}{told}, {len(sheets)} frame(s), {len(set(objects.ids.values()))} object(s)")
    for line in objects.account(sheets):
        out.print(line)
    return 0


def _is_bare(path: Path) -> bool:
    """Whether it is a folder without images."""
    return path.is_dir() and not any(is_image(p) for p in path.iterdir())


def _dataset(text: str) -> int:
    from rotoscope.datasets.spec import STILL_SETS, open_dataset, open_stills, parse_spec

    spec = parse_spec(text)
    for line in open_stills(spec).explain() if spec.kind in STILL_SETS else open_dataset(spec).explain():
        out.print(line)
    return 0


def _video(path: Path, full: bool) -> int:
    with open_video(path) as video:
        exact = "" if video.length_is_exact else " (by its container's account)"
        rate = f", {video.fps:.3g} frames per second" if video.fps else ""
        length = len(video) if video.length is None and video.indexable else video.length
        out.print(f"video, {video.size[0]}x{video.size[1]}, {length} frames{exact}{rate}")
        for note in video.notes:
            out.print(note)
        if path.is_dir():
            _maybe_masks(path)
        if full:
            count = sum(1 for _ in video.frames())
            out.print(f"{count} frames read")
            for problem in video.problems:
                error_line(problem)
            return 1 if video.problems else 0
    return 0


def _maybe_masks(folder: Path) -> None:
    """A folder of images may also be one frame's masks, a file per object; say so if it can be read as that."""
    images = sum(1 for p in folder.iterdir() if is_image(p))
    try:
        account = read_masks(folder).explain()
    except InputError:
        return  # photographs: a video and nothing else
    out.print(f"or, read as a mask with one file per object ({images} images):")
    for line in account:
        out.print(f"  {line}")


def _weights(path: Path) -> int:
    from dataclasses import asdict

    from rotoscope.weights.load import open_file

    model = open_file(path)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    out.print(f"weights of {type(model).__name__}, {millions:.1f} million parameters")
    for name, value in asdict(model.config).items():
        out.print(f"  {name}: {value}")
    return 0
