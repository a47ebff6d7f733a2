"""``rotoscope prompt``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.cli.options import Device, Precision, Runtime, Threads, use_threads
from rotoscope.cli.output import err, print_json, warning_line
from rotoscope.cli.pointing import DEFAULT, Box, NotPoint, Point, Prompter, read_points
from rotoscope.errors import InputError

if TYPE_CHECKING:
    from rotoscope.masks.points import Points
    from rotoscope.methods.clicking import Clicked
    from rotoscope.runs.prompts import Prompt


def command(
    picture: Annotated[Path, typer.Argument(help="A picture.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG file for the mask.")],
    point: Point = None,
    not_point: NotPoint = None,
    box: Box = None,
    mask: Annotated[Path | None, typer.Option(help="Mask to correct, of any format.")] = None,
    show: Annotated[Path | None, typer.Option(help="PNG file for the picture with mask and points over it.")] = None,
    prompter: Prompter = DEFAULT,
    device: Device = "auto",
    precision: Precision = "fast",
    runtime: Runtime = "torch",
    threads: Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Make a mask of one picture from clicks and boxes."""
    from rotoscope.masks.drawing import overlay, points_over
    from rotoscope.masks.reading import read_masks
    from rotoscope.masks.saving import save_labels, save_png
    from rotoscope.methods.clicking import answered, labels_of
    from rotoscope.video.frame import Frame
    from rotoscope.video.images import read_image
    from rotoscope.weights import load_prompter

    if not picture.is_file():
        raise InputError(f"{picture}: no such picture.")
    _check_outputs(picture, output, show)
    points = _of_one_picture(picture, read_points(point, not_point, box))
    use_threads(threads)
    image = read_image(picture)
    opened = partial(load_prompter, prompter, device, precision, runtime)
    before = {} if mask is None else dict(read_masks(mask, size=(image.shape[1], image.shape[0])).masks)
    answers = answered(opened, Frame(0, image), points, before)
    labels = labels_of({**before, **{clicked.object_id: clicked.answer.mask for clicked in answers}})
    save_labels(output, labels, [int(i) for i in set(labels.ravel().tolist()) if i])
    if show is not None:
        drawn = overlay(image, labels)
        for clicked in answers:
            drawn = points_over(drawn, clicked.placed)
        save_png(show, drawn[..., ::-1])
    return _tell(answers, output, as_json)


def _check_outputs(picture: Path, output: Path, show: Path | None) -> None:
    """See that files can be written, and that none would take the place of another."""
    for path in (output, *([] if show is None else [show])):
        if path.suffix.lower() != ".png":
            raise InputError(f"{path}: give a name that ends in .png.")
        if not path.resolve().parent.is_dir():
            raise InputError(f"{path}: its folder is not there. Make it first.")
        if path.is_dir():
            raise InputError(f"{path}: is a folder. Give the name of a file.")
        if path.exists() and path.samefile(picture):
            raise InputError(f"{path}: is the picture itself. Choose another name.")
    if show is not None and show.resolve() == output.resolve():
        raise InputError(f"{show}: is the file of the mask. Choose another name.")


def _of_one_picture(picture: Path, prompts: list[Prompt]) -> dict[int, Points]:
    from rotoscope.methods.base import check_object_id

    if not prompts:
        raise InputError("nothing is pointed at. Give --point X,Y or --box X1,Y1,X2,Y2.")
    if any(one.frame for one in prompts):
        raise InputError(f"{picture}: a point is on a frame, but this is one picture. Leave @FRAME out.")
    points: dict[int, Points] = {}
    for one in prompts:  # those of frame 0 and those of no frame are of one picture
        number = check_object_id(one.object_id or 0)
        points[number] = one.source if number not in points else points[number].joined(one.source)
    return points


def _tell(answers: list[Clicked], output: Path, as_json: bool) -> int:
    for clicked in answers:
        if clicked.unsure:
            warning_line(clicked.note)
        elif not as_json:
            err.print(clicked.note, markup=False)
    if as_json:
        records: list[dict[str, Any]] = [
            {
                "object": clicked.object_id,
                "pixels": int(clicked.answer.chosen.sum()),
                "share": float(clicked.answer.chosen.mean()),
                "confidence": clicked.answer.confidence,
                "unsure": clicked.unsure,
            }
            for clicked in answers
        ]
        print_json({"mask": str(output), "objects": records})
    return 0
