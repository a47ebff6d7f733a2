"""Find objects once, follow them: the frame that a method without masks is surest of starts one that is given masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.methods.base import Method
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.job import Job
from rotoscope.runs.passes import Passes
from rotoscope.runs.prompts import Prompts
from rotoscope.video import Video

LEAST_SHARE = 0.01
"""Share of the picture that a mask should fill to start from; a few sure pixels are no object."""


@dataclass(frozen=True)
class StartingFrame:
    """A frame whose masks another method starts from.

    Attributes:
        index: the index of the frame to start from.
        confidence: the confidence of its masks, the mean over objects, in [0, 1].
        masks: the mask of each object on it, bool ``[H, W]``, by id.
    """

    index: int
    confidence: float
    masks: Mapping[int, NDArray[np.bool_]]

    @property
    def prompts(self) -> Prompts:
        """As :func:`rotoscope.segment` takes them."""
        return {self.index: dict(self.masks)}

    @property
    def note(self) -> str:
        """For a person."""
        return f"found on frame {self.index} with confidence {self.confidence:.2f}, and followed from there"


def find_objects(
    video: Video,
    model: Method,
    *,
    on_frame: Callable[[Prediction], None] | None = None,
    **options: Any,
) -> StartingFrame:
    """Run a method that needs no masks over a video and choose the frame to start another from.

    Chosen is the frame with the highest confidence among those whose masks fill at least a hundredth of the picture;
    if there are none, among all. The first of equals. One frame's masks are held at a time.

    Args:
        video: that can be read twice.
        model: of task ``unsupervised``.
        on_frame: called with each prediction.
        options: of the method's session.

    Raises:
        InputError: the method needs masks, the video comes only once, or nothing is found in it.
    """
    if model.task == "semi":
        raise InputError(
            "the method that finds objects needs masks itself. Choose one that finds them, such as cosnet."
        )
    if not video.indexable:
        raise InputError(f"{video.name}: is read twice to find objects and follow them. Save it as a file first.")
    best: tuple[tuple[bool, float], StartingFrame] | None = None
    for step in Passes(Job(video, {}, model, options=options)):
        prediction = step.prediction
        if on_frame is not None:
            on_frame(prediction)
        seen = {i: c for i, c in zip(prediction.object_ids, prediction.confidence, strict=True) if c > 0}
        if not seen:
            continue
        confidence = float(np.mean(list(seen.values())))
        rank = (float((prediction.labels > 0).mean()) >= LEAST_SHARE, confidence)
        if best is None or rank > best[0]:
            masks = {i: np.asarray(prediction.labels == i) for i in seen}
            best = rank, StartingFrame(prediction.index, confidence, masks)
    if best is None:
        raise InputError(f"{video.name}: nothing is found in it. Give a mask of one frame to the method that follows.")
    return best[1]
