"""Are the frames that a run lists to look at the bad ones? Precision and recall of the frames with J below a bound.

Each clip is followed from its first mask, forward. A frame of an object counts as listed if the report names it for any
reason, or names the object absent there; the first frame does not count. The last column says how good the others are.

    python benchmarks/frames_to_look_at.py --dataset davis16:DAVIS --weights stcn-small
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import rotoscope
from common import options, report
from rotoscope.datasets.sequences import VideoSequence, object_ids
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import RotoscopeError
from rotoscope.evaluation import region_similarity
from rotoscope.methods.base import Method
from rotoscope.runs.job import Job
from rotoscope.runs.passes import Passes
from rotoscope.runs.watch import REASONS, Watch
from rotoscope.video.images import ImageSequence

ABSENT = "absent"
ANY = "any of them"
Where = tuple[str, int, int]
"""A mask: clip, object, frame."""


def follow(model: Method, sequence: VideoSequence, merged: bool) -> tuple[dict[Where, float], dict[Where, set[str]]]:
    """J of every mask of a clip after the first frame, and the reasons for which masks are listed."""
    names = [name for name in sequence.frames if name in sequence.images]
    truth = {
        index: sequence.labels(name) > 0 if merged else sequence.labels(name)
        for index, name in enumerate(names)
        if name in sequence.annotations
    }
    given = {0: {int(i): truth[0] == i for i in object_ids(truth[0].astype(np.uint8))}}
    watch, quality = Watch(), {}
    with ImageSequence([sequence.images[name] for name in names], sequence.name) as video:
        for step in Passes(Job(video, given, model)):
            answer = step.prediction
            watch.see(answer, given.get(answer.index, {}))
            if answer.index and answer.index in truth:
                for object_id in given[0]:
                    ours, theirs = answer.labels == object_id, truth[answer.index] == object_id
                    quality[sequence.name, object_id, answer.index] = region_similarity(ours, theirs)
    listed: dict[Where, set[str]] = {}
    for object_id in given[0]:
        reasons = watch.listed.get(object_id, {}) | {ABSENT: watch.absent.get(object_id, [])}
        for reason, frames in reasons.items():
            for index in frames:
                listed.setdefault((sequence.name, object_id, index), set()).add(reason)
    return quality, listed


def rows_of(quality: Mapping[Where, float], listed: Mapping[Where, set[str]], bound: float) -> list[dict[str, Any]]:
    """A row for each reason, and one for all: how many masks are listed, and what share of them and of the bad is both.

    Args:
        quality: J of every mask that counts.
        listed: the reasons of those that are listed.
        bound: J below which a mask is bad.
    """
    bad = {where for where, value in quality.items() if value < bound}
    rows = []
    for reason in (*REASONS, ABSENT, ANY):
        wanted = {*REASONS, ABSENT} if reason == ANY else {reason}
        named = {where for where in quality if listed.get(where, set()) & wanted}
        others = [value for where, value in quality.items() if where not in named]
        rows.append(
            {
                "reason": reason,
                "listed": len(named),
                "precision": len(named & bad) / len(named) if named else "-",
                "recall": len(named & bad) / len(bad) if bad else "-",
                "J of listed": float(np.mean([quality[where] for where in named])) if named else "-",
                "J of others": float(np.mean(others)) if others else "-",
            }
        )
    return rows


def main() -> None:
    chosen = options(__doc__, weights=["stcn-small"], dataset="", bound=0.5, precision="fast")
    torch.set_num_threads(chosen.threads)
    rows: list[dict[str, Any]] = []
    try:
        if not chosen.dataset:
            raise RotoscopeError("there is nothing to measure with. Give --dataset.")
        dataset = open_dataset(chosen.dataset)
        for name in chosen.weights:
            model = rotoscope.load(name, precision=chosen.precision)
            quality: dict[Where, float] = {}
            listed: dict[Where, set[str]] = {}
            for sequence in dataset:
                found, named = follow(model, sequence, dataset.kind == "davis16")
                quality |= found
                listed |= named
            bad = sum(value < chosen.bound for value in quality.values())
            print(f"{name}: {len(quality)} masks, {bad} with J below {chosen.bound:g}", file=sys.stderr)
            head = {"weights": name, "masks": len(quality), "bad": bad}
            rows += [{**head, **row} for row in rows_of(quality, listed, chosen.bound)]
    except RotoscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    report("frames_to_look_at", f"listed masks, and those with J below {chosen.bound:g}", rows, chosen)


if __name__ == "__main__":
    main()
