"""Pictures of mechanisms: what one frame of a real session read, attended to, routed or found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError, printable
from rotoscope.files import atomic_write, check_folder
from rotoscope.masks.drawing import overlay
from rotoscope.methods import looking
from rotoscope.methods.mechanism import Area, Bars, Grid, Matrix, Mechanism, Place
from rotoscope.methods.prediction import Prediction
from rotoscope.reports.figures import require
from rotoscope.runs.job import Job
from rotoscope.video import Video

SUFFIXES = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG"}
COLUMNS = 3
"""Grids in a row."""
WIDTH = 3.6
"""Of a grid in inches."""
DOTS = 100
"""Per inch."""
MARK = "#ffe14d"


@dataclass(frozen=True)
class Question:
    """What is to be explained.

    Attributes:
        frame: the index of the frame.
        place: the pixel that asks; None lets the method choose the middle of the object.
        object_id: the object; None for the first.
    """

    frame: int
    place: Place | None = None
    object_id: int | None = None


def explain(job: Job, question: Question) -> tuple[Mechanism, Prediction]:
    """Run a job's session up to a frame, and look at what its mechanism did there.

    Args:
        job: video, masks, method and options; it runs forward.
        question: what to look at.

    Raises:
        InputError: no such frame, pixel or object, or a method or network without a mechanism that can be shown.
    """
    video, wanted = job.video, question.frame
    _check(video, question)
    looks = looking(job.model, video, wanted, job.options)
    waiting, answers = dict(job.prompts), []
    for frame in video.frames(start=video.start):
        if frame.index in waiting:
            looks.session.add(waiting.pop(frame.index))
        answers = [answer for answer in looks.session.push(frame) if answer.index == wanted]
        if answers or frame.index > wanted + looks.session.latency:
            break
    if not answers:
        answers = [answer for answer in looks.session.finish() if answer.index == wanted]
    if not answers:
        raise InputError(f"{video.name}: has no frame {wanted} that can be read.")
    prediction = answers[0]
    if question.object_id is not None and question.object_id not in prediction.object_ids:
        raise InputError(
            f"object {question.object_id} is not followed on frame {wanted}; there are {_ids(prediction)}."
        )
    if not prediction.object_ids and question.place is None and question.object_id is None:
        return looks.explain(prediction, None, 0), prediction
    object_id = question.object_id or (prediction.object_ids[0] if prediction.object_ids else 0)
    return looks.explain(prediction, question.place, object_id), prediction


def _ids(prediction: Prediction) -> str:
    return ", ".join(map(str, prediction.object_ids)) or "none"


def _check(video: Video, question: Question) -> None:
    if not video.indexable or video.length is None:
        raise InputError(f"{video.name}: frames are gone back to for the picture. Save it as a file first.")
    end = video.length if video.end is None else min(video.length, video.end)
    if not video.start <= question.frame < end:
        raise InputError(f"--frame {question.frame}: {video.name} has frames {video.start} to {end - 1}.")
    if question.place is not None:
        (x, y), (width, height) = question.place, video.size
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(f"--at {x},{y}: lies outside of frames of {width}x{height}.")


def check_target(path: Path) -> None:
    """See that a picture can be written.

    Raises:
        InputError: its format is not known, or the place cannot be written to.
    """
    require()
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: is no name of a picture. Give one that ends in {', '.join(SUFFIXES)}.")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written to. Give the name of a file in a folder that is there.")
    check_folder(path.parent)


def write_picture(path: Path, mechanism: Mechanism, prediction: Prediction, video: Video) -> None:
    """Draw a mechanism over the frames that it is of, into a file of the format that its name ends in."""
    indices = {mechanism.index, *(grid.index for grid in mechanism.grids)}
    images = {index: video[index].image for index in sorted(indices)}
    drawn = draw(mechanism, prediction, images)
    with atomic_write(path) as file:
        Image.fromarray(drawn).save(file, SUFFIXES[path.suffix.lower()], quality=80, optimize=True)


def draw(mechanism: Mechanism, prediction: Prediction, images: Mapping[int, NDArray[Any]]) -> NDArray[np.uint8]:
    """A picture of a mechanism, RGB uint8 ``[H, W, 3]``.

    Args:
        mechanism: what to draw.
        prediction: the answer on its frame.
        images: RGB ``[H, W, 3]`` of that frame and of each grid's.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = images[mechanism.index].shape[:2]
    more = mechanism.more is not None
    cells = 1 + more + len(mechanism.grids)
    columns = min(COLUMNS, cells)
    rows = -(-cells // columns)
    each = WIDTH * height / width + 0.3
    with matplotlib.rc_context(rc={**matplotlib.rcParamsDefault, "font.size": 8, "text.parse_math": False}):
        figure = Figure(figsize=(WIDTH * columns, each * rows + 0.45), dpi=DOTS, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        lines = [mechanism.title, *mechanism.notes]
        figure.suptitle(printable(lines[0]) + "".join(f"\n{printable(line)}" for line in lines[1:]), fontsize=9.5)
        axes = [one for row in figure.subplots(rows, columns, squeeze=False) for one in row]
        _draw_asking(axes[0], mechanism, prediction, images[mechanism.index])
        highest = max((float(grid.values.max()) for grid in mechanism.grids), default=0.0)
        for place, grid in zip(axes[1:], mechanism.grids, strict=False):
            place.imshow(heat(images[grid.index], grid, highest if mechanism.common else float(grid.values.max())))
            place.set_title(printable(grid.title), fontsize=8)
        for place in axes:
            place.set_axis_off()
        if mechanism.more is not None:
            _draw_more(axes[1 + len(mechanism.grids)], mechanism.more)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_asking(axes: Any, mechanism: Mechanism, prediction: Prediction, image: NDArray[Any]) -> None:
    """The frame with its masks, and the cell that asks."""
    axes.imshow(overlay(np.asarray(image, np.uint8), prediction.labels))
    axes.set_title(f"frame {mechanism.index}, as it was answered", fontsize=8)
    if mechanism.cell is not None and mechanism.place is not None:
        left, top, right, bottom = mechanism.cell
        x, y = mechanism.place
        axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=MARK, linewidth=1.8)
        axes.plot(x, y, "+", color=MARK, markersize=12, markeredgewidth=1.6)
        axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
        axes.set_title(f"frame {mechanism.index}, as it was answered; yellow: the cell that asks", fontsize=8)


def _draw_more(axes: Any, more: Bars | Matrix) -> None:
    axes.set_axis_on()
    if isinstance(more, Matrix):
        axes.imshow(more.values.numpy(), cmap="inferno", vmin=0, aspect="auto", interpolation="nearest")
        axes.set(xlabel=more.columns, ylabel=more.rows, xticks=[], yticks=[])
    else:
        axes.bar(range(len(more.values)), more.values, color="#3b82c4")
        axes.set(xticks=range(len(more.names)))
        axes.set_xticklabels(more.names, rotation=35, ha="right")
        if more.even is not None:
            axes.axhline(more.even, color="#555", linestyle="--", linewidth=1)
    axes.set_title(printable(more.title), fontsize=8)


def heat(image: NDArray[Any], grid: Grid, highest: float) -> NDArray[np.uint8]:
    """A frame in dim grey with the cells of a grid over it, from dark to bright; cells that are missing are flat grey.

    Args:
        image: RGB uint8 ``[H, W, 3]``.
        grid: what lies over it.
        highest: the value that is brightest; 0 draws no cell.
    """
    from matplotlib import colormaps

    height, width = image.shape[:2]
    dim = cv2.cvtColor(cv2.cvtColor(np.asarray(image, np.uint8), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) * 0.55
    share = on_frame(grid.values.float().numpy(), grid.area, (width, height)) / (highest or 1.0)
    colour = colormaps["inferno"](0.15 + 0.85 * np.sqrt(share))[..., :3] * 255
    alpha = np.where(share > 0, 0.25 + 0.65 * np.sqrt(share), 0)[..., None]
    drawn = dim * (1 - alpha) + colour * alpha
    if grid.missing is not None:
        gone = on_frame(grid.missing.float().numpy(), grid.area, (width, height)) > 0.5
        drawn[gone] = 0.3 * dim[gone] + 105
    return np.clip(drawn, 0, 255).astype(np.uint8)


def on_frame(values: NDArray[Any], area: Area, size: tuple[int, int]) -> NDArray[np.float64]:
    """The value of the cell that the middle of each pixel lies in, ``[H, W]``; 0 outside of the cells.

    Args:
        values: of the cells, ``[h, w]``.
        area: where they lie on the frame.
        size: width and height of the frame.
    """
    left, top, right, bottom = area
    columns = np.floor((np.arange(size[0]) + 0.5 - left) / (right - left) * values.shape[1]).astype(int)
    rows = np.floor((np.arange(size[1]) + 0.5 - top) / (bottom - top) * values.shape[0]).astype(int)
    wide, high = (columns >= 0) & (columns < values.shape[1]), (rows >= 0) & (rows < values.shape[0])
    spread = np.zeros(size[::-1])
    spread[np.ix_(high, wide)] = values[np.ix_(rows[high], columns[wide])]
    return spread
