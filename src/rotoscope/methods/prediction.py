"""What a session answers for a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.layers.aggregation import aggregate
from rotoscope.video.frame import Frame


@dataclass(frozen=True, eq=False)
class Prediction:
    """The masks of one frame.

    Attributes:
        index: the frame's index.
        object_ids: the caller's ids, in the order of the channels of ``probabilities``.
        probabilities: float32 ``[1 + N, H, W]`` at the frame's own size; channel 0 is the background; sums to 1.
        labels: uint8 (uint16 if an id exceeds 255) ``[H, W]``: the id of the most probable object, 0 = background.
        confidence: one number in [0, 1] per object: the IoU its mask is predicted to have, by a network that
            tells; else mean probability over its pixels, 0 if it has none.
        name: the frame's name (see :class:`~rotoscope.video.frame.Frame`).
        given: whether masks were given on this frame.
    """

    index: int
    object_ids: tuple[int, ...]
    probabilities: Tensor
    labels: NDArray[np.uint8] | NDArray[np.uint16]
    confidence: tuple[float, ...]
    name: str = ""
    given: bool = False

    @classmethod
    def from_probabilities(
        cls,
        frame: Frame,
        object_ids: Sequence[int],
        probabilities: Tensor,
        given: bool = False,
        confidence: Sequence[float] | None = None,
    ) -> Prediction:
        """Derive labels from ``probabilities`` ``[1 + N, H, W]``, and confidence where a network does not tell it."""
        ids = tuple(object_ids)
        best, slots = probabilities.max(dim=0)  # many times faster than argmax on a CPU
        if confidence is None:
            flat = slots.flatten()
            count = torch.bincount(flat, minlength=len(ids) + 1)
            total = torch.bincount(flat, best.flatten().double(), minlength=len(ids) + 1)
            confidence = (total / count.clamp(min=1))[1:].tolist()
        table = np.array((0, *ids), dtype=np.uint16 if max(ids, default=0) > 255 else np.uint8)
        labels = table[slots.cpu().numpy()]
        return cls(frame.index, ids, probabilities, labels, tuple(confidence), frame.name, given)


def as_given(frame: Frame, prediction: Prediction, given: Mapping[int, Tensor]) -> Prediction:
    """The answer of a frame with the masks given on it in place of what was predicted there.

    Args:
        frame: the frame.
        prediction: of it; its ids hold all those given.
        given: masks in [0, 1], ``[H, W]`` each, by id; of two that overlap the later is in front where both are whole.
    """
    masks = torch.stack([mask.to(prediction.probabilities.device) for mask in given.values()])
    covered = masks.amax(dim=0) > 0.5
    own = prediction.probabilities[1:].masked_fill(covered, 0)
    slots = [prediction.object_ids.index(object_id) for object_id in given]
    for slot, mask, later in zip(slots, masks, range(1, len(masks) + 1), strict=True):
        front = masks[later:].amax(dim=0) > 0.5 if later < len(masks) else torch.zeros_like(covered)
        own[slot] = mask.masked_fill(front, 0)
    confidence = [1.0 if i in given else c for i, c in zip(prediction.object_ids, prediction.confidence, strict=True)]
    return Prediction.from_probabilities(frame, prediction.object_ids, aggregate(own), prediction.given, confidence)
