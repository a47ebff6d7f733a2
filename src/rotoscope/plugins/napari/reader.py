"""How napari opens videos, and the sample clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LayerData = tuple[Any, dict[str, Any], str]
"""Data, options and kind of a layer, as napari takes them."""


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """What reads a path; None for several paths to be stacked, which are no video."""
    return read if isinstance(path, (str, Path)) else None


def read(path: str | Sequence[str]) -> list[LayerData]:
    """A video as an Image layer whose frames are decoded when they are shown.

    Raises:
        InputError: it is no video.
    """
    from rotoscope.plugins.napari.frames import VideoFrames

    frames = VideoFrames(str(path))
    video = frames.video
    about: dict[str, Any] = {"name": video.name, "rgb": True, "metadata": {"fps": video.fps, "notes": video.notes}}
    if video.aspect is not None:
        about["scale"] = (1, 1, float(video.aspect))
    return [(frames, about, "image")]


def sample(frames: int = 60) -> list[LayerData]:
    """The built-in clip, and a Labels layer with the masks of its first frame and nothing on the others.

    Args:
        frames: length of the clip; napari asks for the whole.

    Raises:
        InputError: scikit-image is not installed.
    """
    from rotoscope.datasets.demo import demo_clip

    clip = demo_clip(frames)
    labels = clip.labels.copy()
    labels[1:] = 0
    return [(clip.frames, {"name": "sample", "rgb": True}, "image"), (labels, {"name": "sample masks"}, "labels")]
