"""The built-in clip, segmented and measured against its exact masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.datasets.demo import demo_clip
from rotoscope.evaluation import region_similarity
from rotoscope.files import inside
from rotoscope.masks import contact_sheet, overlay
from rotoscope.masks.saving import save_png
from rotoscope.methods.base import Method
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.folder import holds_run
from rotoscope.runs.report import Report
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video

OBJECTS = {1: "person", 2: "cup"}
"""What the built-in clip shows, by object id."""


@dataclass(frozen=True)
class Demo:
    """What a demonstration gave.

    Attributes:
        report: the report of the run.
        scores: mean J of each object in [0, 1], first and last frame left out, by id.
        overlay: path of the video.
        contact_sheet: path of the picture.
    """

    report: Report
    scores: dict[int, float]
    overlay: Path
    contact_sheet: Path


def run_demo(model: Method, folder: Path, on_frame: Callable[[Prediction], None] | None = None) -> Demo:
    """Segment the built-in clip into a folder, draw an overlay and a contact sheet, and measure the masks.

    Args:
        model: a loaded method of task ``semi``.
        folder: where to write; an earlier demonstration there is replaced, and nothing else.
        on_frame: called with each prediction.

    Raises:
        InputError: the folder holds something that is not ours, or the method takes no masks.
    """
    clip = demo_clip()
    with open_video(clip.frames) as video:
        report = segment_to_folder(
            video,
            {0: {object_id: clip.labels[0] == object_id for object_id in OBJECTS}},
            model,
            folder,
            output_formats=["palette", "overlay"],
            overwrite=holds_run(folder),
            on_frame=on_frame,
        )
    masks = read_palette_masks(folder, len(clip.labels))
    shown = range(0, len(clip.frames), max(1, len(clip.frames) // 12))
    pictures = [overlay(clip.frames[t], masks[t]) for t in shown]
    sheet = contact_sheet(pictures, columns=4, captions=[f"frame {t}" for t in shown])
    save_png(inside(folder, "contact_sheet.png"), sheet[..., ::-1])
    scores = inner_similarity(masks, clip.labels, list(OBJECTS))
    return Demo(report, scores, folder / "overlay.mp4", folder / "contact_sheet.png")


def read_palette_masks(folder: Path, count: int) -> list[NDArray[Any]]:
    """The masks ``00000.png``, ``00001.png``, … of a folder, each labels ``[H, W]``."""
    masks = []
    for t in range(count):
        with Image.open(folder / f"{t:05d}.png") as opened:
            masks.append(np.array(opened))
    return masks


def inner_similarity(masks: Sequence[NDArray[Any]], truth: NDArray[Any], object_ids: Sequence[int]) -> dict[int, float]:
    """Mean J of each object in [0, 1], first and last frame left out.

    Args:
        masks: labels ``[H, W]`` of each of T frames.
        truth: labels ``[T, H, W]``.
        object_ids: which objects.
    """
    inner = range(1, len(truth) - 1)
    return {i: float(np.mean([region_similarity(masks[t] == i, truth[t] == i) for t in inner])) for i in object_ids}
