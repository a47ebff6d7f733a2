"""The masks that a run starts from, brought to one form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rotoscope.errors import InputError
from rotoscope.masks.points import Points
from rotoscope.masks.prompts import masks_for
from rotoscope.methods.base import MaskLike, check_mask, check_object_id
from rotoscope.runs.points import check_points, without_points
from rotoscope.video import Video
from rotoscope.video.files import VideoFile

MaskSource = Any
"""A mask file or folder, a label map, stack or picture, or ``{object id: mask [H, W]}``; see ``masks.prompts``."""
Prompts = dict[int, dict[int, MaskLike | Points]]
"""``{frame index: {object id: mask [H, W], or points}}``."""
FRAMES = (str, Path, Mapping, Points)
"""What a frame may be given, where a mapping is one of frames."""


def read_prompts(
    masks: MaskSource | Mapping[int, MaskSource] | None,
    video: Video,
    resize: bool = False,
    notes: list[str] | None = None,
) -> Prompts:
    """Bring masks of any kind to one form; None gives none.

    Args:
        masks: what :func:`~rotoscope.masks.prompts.masks_for` takes, for the video's first frame; or ``{frame index:
            that}``. A file or folder that says itself which frames its masks are of gives those. Points stand for
            object 1 of a frame, or for a mask in ``{object id: mask}``.
        video: whose frames they are.
        resize: bring masks of another size to the video's.
        notes: is told what was decided in reading, a line each.

    Raises:
        InputError: no mask is given, or one is no mask, has another size, or is of a frame that the video lacks.
    """
    if masks is None:
        return {}
    if not isinstance(masks, Mapping) or all(not isinstance(v, FRAMES) for v in masks.values()):
        by_frame: Mapping[int, Any] = {video.start: masks}
    else:
        by_frame = masks
    for index, given in by_frame.items():
        check_index(index, video)
        if not isinstance(given, FRAMES) and len(by_frame) > 1:
            raise InputError("masks by object and masks by frame are mixed. Give {frame: {object: mask}}.")
    said: list[str] = [] if notes is None else notes
    prompts: Prompts = {}
    for index, given in sorted(by_frame.items()):
        others, pointed = without_points(given)
        if pointed:
            prompts.setdefault(index, {}).update(pointed)
        for frame, found in (masks_for(others, index, video, resize, said) if others is not None else {}).items():
            check_index(frame, video)
            if found:
                prompts.setdefault(frame, {}).update(found)
    if not prompts:
        raise InputError("no mask is given. Give the masks of at least one frame.")
    return dict(sorted(prompts.items()))


def check_prompts(prompts: Prompts, video: Video) -> None:
    """See that each mask is one, has the video's size, and belongs to a frame that the video has.

    Raises:
        InputError: what is wrong with which.
    """
    for index, given in prompts.items():
        check_index(index, video)
        check_points(index, {i: value for i, value in given.items() if isinstance(value, Points)}, video.size)
        for object_id, mask in given.items():
            if isinstance(mask, Points):
                continue
            height, width = check_mask(mask, check_object_id(object_id)).shape
            if (width, height) != video.size:
                raise InputError(
                    f"mask of object {object_id} is {width}x{height} but frame {index} is "
                    f"{video.size[0]}x{video.size[1]}. Resize the mask."
                )
        if video.indexable and given:
            _check_readable(index, video)


def check_index(index: int, video: Video) -> None:
    """See that a frame lies in the part of the video that is read, as far as its length is known for certain.

    Raises:
        InputError: it does not.
    """
    if not isinstance(index, (int, np.integer)):
        raise InputError(f"mask for frame {index!r}: give the frame's index, a whole number.")
    last = video.end - 1 if video.end is not None else None
    if video.length is not None and video.length_is_exact:
        last = video.length - 1 if last is None else min(last, video.length - 1)
    if index < video.start or (last is not None and index > last):
        span = f"{video.start} to {last}" if last is not None else f"{video.start} on"
        raise InputError(f"mask for frame {index}, but {video.name} has frames {span}.")


def _check_readable(index: int, video: Video) -> None:
    """A container may promise more frames than the file holds, and an image of a folder may be damaged: try it."""
    if index == 0 and isinstance(video, VideoFile):
        return  # decoded when it was opened; to seek, all of the file would be gone through
    try:
        video.at(index)
    except (InputError, OSError, SyntaxError, ValueError) as error:  # what readers of damaged frames raise
        raise InputError(
            f"mask for frame {index}, but that frame of {video.name} cannot be read ({error}). "
            "Give the mask of another frame."
        ) from None
