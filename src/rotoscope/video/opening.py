"""``open_video``: whatever it is, as a video."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rotoscope.errors import InputError
from rotoscope.video.arrays import ArrayVideo, IteratorVideo
from rotoscope.video.base import Video
from rotoscope.video.files import VideoFile
from rotoscope.video.images import ImageSequence, is_image, natural_key, open_image_file
from rotoscope.video.prefetch import DEPTH
from rotoscope.video.streams import StreamVideo


def open_video(source: Any, *, prefetch: int = DEPTH, start: int = 0, end: int | None = None) -> Video:
    """Open a source of frames.

    Args:
        source: a file that FFmpeg reads, a folder of images, a glob such as ``"shots/*.png"``, ``"camera:0"``, the
            address of a stream (``rtsp://…``), an array ``[T, H, W, 3]``, a tensor of that shape or ``[T, 3, H, W]``, a
            list of image files, an iterable of arrays, Pillow images or frames (a reader of imageio or decord is one),
            or a :class:`Video`, which is returned as it is.
        prefetch: at most this many frames are decoded ahead.
        start: first frame to give.
        end: the frame after the last to give; None for all.

    Raises:
        InputError: nothing is there, it is not a video, or the range lies outside.
    """
    if isinstance(source, Video):
        return source
    if hasattr(source, "detach"):  # a tensor
        source = source.detach().cpu().numpy()
        if source.ndim == 4 and source.shape[1] in (1, 3) and source.shape[3] not in (1, 3):
            source = source.transpose(0, 2, 3, 1)
    if isinstance(source, np.ndarray):
        return ArrayVideo(source, prefetch, start, end)
    if not isinstance(source, (str, Path)):
        if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, Path)) for item in source):
            return _images_listed([Path(item) for item in source], prefetch, start, end)
        if isinstance(source, Iterable):
            return IteratorVideo(source, prefetch, start, end)
        raise InputError(f"a {type(source).__name__} is no video. Give a path, an array or an iterable of arrays.")
    text = str(source)
    if "\0" in text:
        raise InputError("a path with a zero byte in it is none. Give a path.")
    path = Path(source)
    if (text.startswith("camera:") or "://" in text) and not path.exists():
        return StreamVideo(text, prefetch, start, end)
    if path.is_dir():
        images = [p for p in path.iterdir() if is_image(p)]
        if not images:
            raise InputError(f"{path}: a folder without images. Give a folder of frames, or a video file.")
        return ImageSequence(images, path.resolve().name, prefetch, start, end)
    if path.exists():
        if is_image(path):
            return open_image_file(path, prefetch, start, end)
        if not path.is_file():
            raise InputError(f"{path}: is no file. Give a video file, or a folder of images.")
        return VideoFile(path, prefetch, start, end)
    if any(sign in text for sign in "*?["):
        return _images_listed(_matching(text), prefetch, start, end)
    raise InputError(f"{path}: no such file or folder.")


def _matching(pattern: str) -> list[Path]:
    """The images that a pattern matches, in their natural order.

    Raises:
        InputError: there is none.
    """
    matches = [path for path in map(Path, glob.glob(pattern)) if is_image(path)]
    if not matches:
        raise InputError(f"{pattern}: no image matches. Quote the pattern, and look at the folder.")
    return sorted(matches, key=natural_key)


def _images_listed(paths: list[Path], prefetch: int, start: int, end: int | None) -> Video:
    """A list of image files, in their natural order.

    Raises:
        InputError: one of them is no image.
    """
    other = next((path for path in paths if not is_image(path)), None)
    if other is not None:
        raise InputError(f"{other}: is no image. A list of paths is read as the images of one video.")
    return ImageSequence(paths, paths[0].resolve().parent.name, prefetch, start, end)
