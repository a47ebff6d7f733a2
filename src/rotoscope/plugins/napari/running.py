"""A plan carried out, step by step, in whatever thread asks for the next step. Nothing of Qt is here."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import RotoscopeError, shown
from rotoscope.methods.base import Method
from rotoscope.plugins.napari.frames import ImageLayer, video_of
from rotoscope.plugins.napari.plan import Plan
from rotoscope.runs.job import Job
from rotoscope.runs.passes import Passes, Step
from rotoscope.runs.prompts import Prompts


@dataclass(frozen=True, eq=False)
class Found:
    """What came of one step.

    Attributes:
        steps: how many steps are done.
        frame: which frame was gone over; None while the weights are opened.
        labels: the answer, ``[H, W]``; None where it is not wanted, or not yet one.
        ids: the objects that are followed.
        confidence: for each of them.
    """

    steps: int
    frame: int | None = None
    labels: NDArray[Any] | None = None
    ids: tuple[int, ...] = ()
    confidence: tuple[float, ...] = ()


def carry_out(
    plan: Plan, layer: ImageLayer, model: Callable[[], Method], stopped: Callable[[], bool]
) -> Generator[Found, None, list[str]]:
    """Go over the frames of a plan.

    Args:
        plan: what to do.
        layer: the clip.
        model: opens the method; called first, in this thread, as it may take a while.
        stopped: asked after each step whether to end.

    Yields: what came of each step.

    Returns: what a person should know of it, one line each.

    Raises:
        InputError: something given does not fit, before the first frame where it can be known.
        RotoscopeError: the method failed on the way.
    """
    yield Found(0)
    method = model()
    with video_of(layer, plan.start, plan.end) as video:
        prompts: Prompts = {frame: dict(masks) for frame, masks in plan.prompts.items()}
        job = Job(video, prompts, method, plan.direction)
        passes = Passes(job)
        steps: Any = iter(passes)  # a generator, which is closed as one
        try:
            with closing(steps):
                for number, step in enumerate(steps, 1):
                    yield _found(number, step, plan)
                    if stopped():
                        break
        except RuntimeError as error:  # of PyTorch, as when memory is short; napari's workers swallow these
            raise RotoscopeError(f"the method failed: {shown(error)}") from error
        return [*passes.warnings, *passes.notes, *video.problems]


def _found(number: int, step: Step, plan: Plan) -> Found:
    prediction = step.prediction
    if step.hidden or prediction.index not in plan.answers or prediction.index in plan.prompts:
        return Found(number, prediction.index)
    labels = np.asarray(prediction.labels)
    return Found(number, prediction.index, labels, prediction.object_ids, prediction.confidence)
