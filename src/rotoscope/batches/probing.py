"""What concerns all jobs of a method, looked at before any of them is begun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from rotoscope.batches.jobs import BatchJob
from rotoscope.errors import InputError
from rotoscope.masks.writing import formats
from rotoscope.methods.base import Method
from rotoscope.runs.job import check_direction
from rotoscope.runs.options import check_options
from rotoscope.video import open_video
from rotoscope.weights import load


@lru_cache(maxsize=2)
def _opened(name: str) -> Method:
    return load(name, device="cpu")  # where workers are, there may be another device, and here none


def takes_masks(method: str) -> bool:
    """Whether a method is given masks, and does not find objects by itself.

    Raises:
        InputError: there is no such method.
        CheckpointError: its weights are not here, or damaged.
    """
    return _opened(method).task == "semi"


def check_requests(jobs: Sequence[BatchJob]) -> None:
    """See that what is wrong with a request as a whole is said once, and not by each job.

    Raises:
        InputError: an unknown direction, format, method or option, or a method that needs masks and no job with any.
        CheckpointError: weights that are not here, or damaged.
    """
    seen: dict[str, dict[str, BatchJob]] = {}
    for job in jobs:
        try:
            check_direction(job.direction)
            if not formats(list(job.formats)):
                raise InputError("gives no output format.")
        except InputError as error:
            raise InputError(f"job {job.name}: {error}") from None
        seen.setdefault(job.method, {}).setdefault(json.dumps(job.options, sort_keys=True, default=str), job)
    blank = np.zeros((1, 48, 64, 3), np.uint8)
    for name, by_options in seen.items():
        model = _opened(name)
        for job in by_options.values():
            try:
                check_options(model, job.options)
                with open_video(blank) as video:
                    model.session(video, **job.options)
            except InputError as error:
                raise InputError(f"job {job.name}: {error}") from None
        if model.task == "semi" and not any(job.masks or job.dataset for job in jobs if job.method == name):
            raise InputError(
                f"no job has masks, and {name} needs those of at least one frame. Put a mask with the video's name "
                "beside each video, name their folder with --masks or them in a list, or take a method that finds "
                "objects by itself: --method cosnet-small."
            )
    _opened.cache_clear()
