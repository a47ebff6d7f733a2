"""Of the answers of a forward and a backward pass to one frame, one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch

from rotoscope.methods.prediction import Prediction
from rotoscope.video import Frame


def share_of_forward(given: Collection[int], index: int) -> float:
    """How much the forward pass counts for an object on a frame, in [0, 1]; the rest is the backward pass's.

    Both know an object between two frames on which it was given, and the nearer one counts more. Before the first of
    them only the backward pass knows it, and after the last only the forward pass.

    Args:
        given: the frames on which the object was given; at least one.
        index: the frame.
    """
    before = max((i for i in given if i <= index), default=None)
    after = min((i for i in given if i >= index), default=None)
    if before is None:
        return 0.0
    return 1.0 if after is None or after == before else (after - index) / (after - before)


def blend(ahead: Prediction, behind: Prediction, given: Mapping[int, Collection[int]]) -> Prediction:
    """Mix two answers to one frame, each object by the distance in time to where it was itself given.

    Where both passes claim a pixel for different objects, shares of more than 1 are brought to 1. Confidence is the
    mean probability of the mixed mask, which tells where the two answers differ.

    Args:
        ahead: the answer of the forward pass.
        behind: that of the backward pass.
        given: by object, the frames on which it was given; all objects of both answers.
    """
    ids = tuple(dict.fromkeys((*ahead.object_ids, *behind.object_ids)))
    objects = torch.zeros(len(ids), *ahead.probabilities.shape[1:])
    for slot, object_id in enumerate(ids):
        share = share_of_forward(given[object_id], ahead.index)
        for prediction, weight in ((ahead, share), (behind, 1 - share)):
            if weight and object_id in prediction.object_ids:
                channel = 1 + prediction.object_ids.index(object_id)
                objects[slot] += weight * prediction.probabilities[channel].cpu()
    total = objects.sum(dim=0, keepdim=True)
    mixed = torch.cat([(1 - total).clamp(min=0), objects / total.clamp(min=1)])
    return Prediction.from_probabilities(frame_of(ahead), ids, mixed, ahead.prompted)


def frame_of(prediction: Prediction) -> Frame:
    """A frame that carries a prediction's index and name; only these are asked for."""
    return Frame(prediction.index, np.empty((*prediction.labels.shape, 0), np.uint8), name=prediction.name)
