"""The masks that a run starts from, brought to one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rotoscope.errors import InputError, shown
from rotoscope.masks.points import Points
from rotoscope.masks.prompts import masks_for
from rotoscope.methods.base import MaskLike, check_mask, check_object_id
from rotoscope.runs.points import check_points, without_points
from rotoscope.video import Video
from rotoscope.video.files import VideoFile

MaskSource = Any
"""Masks of one frame: a file or folder, an array or Pillow image, points, or ``{object id: any of these}``."""
Prompts = dict[int, dict[int, MaskLike | Points]]
"""``{frame index: {object id: mask [H, W], or points}}``."""
HARDLY = 0.1
"""Share of the smaller of two masks below which they are said to hardly overlap."""

BOTH = "Direction both answers all frames."


@dataclass(frozen=True)
class Prompt:
    """Masks of one frame, with the id that the one object among them gets.

    Attributes:
        source: what :func:`~rotoscope.masks.prompts.masks_for` takes.
        frame: the index of the frame; None for the video's first.
        object_id: the id of the object, 1 to 65535, if the source holds one; None leaves the source's own ids.
    """

    source: MaskSource
    frame: int | None = None
    object_id: int | None = None

    def described(self, frame: int) -> str:
        """What the source is called in messages about a frame."""
        if isinstance(self.source, Points):
            return "points"
        return str(self.source) if isinstance(self.source, (str, Path)) else f"the masks for frame {frame}"


def read_prompts(
    masks: MaskSource | Mapping[int, MaskSource] | Sequence[Prompt] | None,
    video: Video,
    resize: bool = False,
    notes: list[str] | None = None,
) -> Prompts:
    """Bring masks of any kind to one form; None gives none.

    A mapping is always by frame: ``{12: mask}`` is a mask of frame 12, and object 7 on frame 0 is ``{0: {7: mask}}``.

    Args:
        masks: ``{frame index: masks of that frame}``; or the masks of the video's first frame, as a file, folder,
            array or Pillow image; or a list of :class:`Prompt`. A file or folder that says itself which frames its
            masks are of gives those. Points alone are of object 1.
        video: whose frames they are.
        resize: bring masks of another size to the video's.
        notes: is told what was decided in reading, a line each.

    Raises:
        InputError: no mask is given, or one is no mask, has another size, is of a frame that the video lacks, or is
            the second of its object on its frame.
    """
    if masks is None:
        return {}
    said: list[str] = [] if notes is None else notes
    prompts: Prompts = {}
    origins: dict[tuple[int, int], str] = {}
    for prompt in _each(masks):
        index = video.start if prompt.frame is None else prompt.frame
        check_index(index, video)
        others, pointed = without_points(prompt.source)
        read: dict[int, dict[int, Any]] = {} if others is None else masks_for(others, index, video, resize, said)
        for frame, by_id in [*([(index, dict(pointed))] if pointed else []), *read.items()]:
            check_index(frame, video)
            origin = prompt.described(frame)
            for object_id, mask in _with_id(by_id, prompt.object_id, origin).items():
                if (frame, object_id) in origins:
                    raise InputError(
                        f"object {object_id} has two masks on frame {frame}: {origins[frame, object_id]} and {origin}. "
                        "Give each object an id of its own, as in 2:ball.png."
                    )
                origins[frame, object_id] = origin
                prompts.setdefault(frame, {})[object_id] = mask
    if not prompts:
        raise InputError("no mask is given. Give the masks of at least one frame.")
    return dict(sorted(prompts.items()))


def _each(masks: Any) -> list[Prompt]:
    """What was given, frame by frame."""
    if isinstance(masks, Mapping):
        return [Prompt(source, frame) for frame, source in masks.items()]
    if isinstance(masks, list) and masks and all(isinstance(prompt, Prompt) for prompt in masks):
        return masks
    return [Prompt(masks)]


def _with_id(by_id: dict[int, Any], object_id: int | None, origin: str) -> dict[int, Any]:
    """Masks of one source under the id that was asked for, if one was."""
    if object_id is None:
        return by_id
    if len(by_id) != 1:
        raise InputError(f"{origin}: holds {len(by_id)} objects; an id can only be given to one.")
    return {check_object_id(object_id): next(iter(by_id.values()))}


def unanswered(prompts: Prompts, video: Video, direction: str) -> list[str]:
    """What a direction leaves without masks, as a warning; nothing if it leaves nothing.

    Args:
        prompts: the masks given.
        video: whose frames they are.
        direction: see :func:`rotoscope.segment`.
    """
    if not prompts:
        return []
    first, last = min(prompts), max(prompts)
    if direction == "forward" and first > video.start:
        return [f"{_span(video.start, first - 1)} before the first mask and will show no object. {BOTH}"]
    end = min((e for e in (video.end, video.length) if e is not None), default=None)
    if direction == "backward" and end is not None and last < end - 1:
        return [f"{_span(last + 1, end - 1)} after the last mask and will not be answered. {BOTH}"]
    return []


def _span(first: int, last: int) -> str:
    return f"frame {first} comes" if first == last else f"frames {first} to {last} come"


def hardly_overlapping(prompts: Mapping[int, MaskLike | Points], shown: NDArray[Any], index: int) -> list[str]:
    """Warn of corrections that may be of another object: they hardly overlap what was shown of theirs.

    Args:
        prompts: masks ``[H, W]`` in [0, 1] by object id, for frame ``index``.
        shown: labels ``[H, W]`` of the frame answered before.
        index: of the frame.

    Returns: a line for each object that was shown, and whose mask shares less than :data:`HARDLY` of the smaller of
        the two.
    """
    lines = []
    for object_id, mask in prompts.items():
        if isinstance(mask, Points):  # what they mean is decided with the mask so far in view
            continue
        now = np.asarray(mask.cpu() if isinstance(mask, torch.Tensor) else mask) > 0.5
        before = shown == object_id
        smaller = min(int(np.count_nonzero(now)), int(np.count_nonzero(before)))
        if smaller and np.count_nonzero(now & before) < HARDLY * smaller:
            lines.append(
                f"the mask given for object {object_id} on frame {index} hardly overlaps what the object was just "
                "before. If it is of another object, give it another id, as in 2:ball.png@12."
            )
    return lines


def check_prompts(prompts: Prompts, video: Video) -> None:
    """See that each mask is one, has the video's size, and belongs to a frame that the video has.

    Raises:
        InputError: what is wrong with which.
    """
    for index, by_id in prompts.items():
        check_index(index, video)
        check_points(index, {i: value for i, value in by_id.items() if isinstance(value, Points)}, video.size)
        for object_id, mask in by_id.items():
            if isinstance(mask, Points):
                continue
            height, width = check_mask(mask, check_object_id(object_id)).shape
            if (width, height) != video.size:
                raise InputError(
                    f"mask of object {object_id} is {width}x{height} but frame {index} is "
                    f"{video.size[0]}x{video.size[1]}. Resize the mask."
                )
        if video.indexable and by_id:
            _check_readable(index, video)


def check_index(index: int, video: Video) -> None:
    """See that a frame lies in the part of the video that is read, as far as its length is known for certain.

    Raises:
        InputError: it does not.
    """
    if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
        raise InputError(f"mask for frame {index!r}: give the frame's index, as in {{0: mask}} or {{0: {{id: mask}}}}.")
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
            f"mask for frame {index}, but that frame of {video.name} cannot be read ({shown(error)}). "
            "Give the mask of another frame."
        ) from None
