"""Which frames to look at first: where an object is unsure or gone, or its mask changes as objects seldom do.

What the reasons are worth is measured by ``benchmarks/frames_to_look_at.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.methods.prediction import Prediction

UNSURE = 0.7
"""Confidence below which a mask is worth a look; masks of an object that is really followed stay above it."""
AREA = 1.5
"""Factor by which an area seldom changes from one frame to the next."""
MOVE = 0.5
"""Way that a centre seldom goes from one frame to the next, in square roots of the area: half an object's size."""
WHOLE = 0.7
"""Share of its area that the largest part of an object should have."""
LOST = 0.2
"""How much less that share must be than that of the mask given; some objects have several parts."""
MARGIN = 0.75
"""Mean distance, over a mask, from the object's probability to that of the next best; below it the mask is doubtful."""
AGREE = 0.5
"""IoU of the masks of both passes, in direction both, below which they disagree."""
REASONS = ("unsure", "disappears", "area jumps", "centre jumps", "detached parts", "small margin", "passes disagree")


@dataclass(frozen=True)
class Shape:
    """What a mask is like.

    Attributes:
        area: the number of its pixels.
        x: the column of its centre of mass, in pixels.
        y: the row of its centre of mass, in pixels.
        whole: the share of its largest connected part, in (0, 1].
        margin: the mean, over its pixels, of how much more probable the object is than the next best; in [0, 1].
    """

    area: int
    x: float
    y: float
    whole: float
    margin: float

    @classmethod
    def of(cls, prediction: Prediction, object_id: int) -> Shape | None:
        """Measure an object's mask; None where it has no pixel."""
        mask: NDArray[np.uint8] = np.asarray(prediction.labels == object_id).view(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        if not width:
            return None
        rows, columns = slice(top, top + height), slice(left, left + width)
        cut = np.ascontiguousarray(mask[rows, columns])
        _, _, parts, centres = cv2.connectedComponentsWithStats(cut)
        areas = parts[1:, cv2.CC_STAT_AREA].astype(np.float64)
        x, y = areas @ centres[1:] / areas.sum()
        probabilities = prediction.probabilities[:, rows, columns].float().cpu().numpy()
        channel = 1 + prediction.object_ids.index(object_id)
        own, rest = probabilities[channel], np.delete(probabilities, channel, axis=0).max(axis=0)
        margin = float((own - rest)[cut > 0].mean())
        whole = float(areas.max() / areas.sum())
        return cls(int(areas.sum()), float(left + x), float(top + y), whole, margin)


@dataclass
class Watch:
    """Goes over answers in their order, and lists by object the frames to look at.

    Attributes:
        listed: indices of frames, by object and reason (one of :data:`REASONS`). A frame on which the object's mask
            was given is not listed.
        absent: indices of the frames on which an object that was given or found has no pixel, by object.
        before: the mask of each object on the frame before; objects that had none are left out.
        whole: the share of the largest part of each object's mask when it was given or first seen, by object.
    """

    listed: dict[int, dict[str, list[int]]] = field(default_factory=dict)
    absent: dict[int, list[int]] = field(default_factory=dict)
    before: dict[int, Shape] = field(default_factory=dict)
    whole: dict[int, float] = field(default_factory=dict)

    def see(
        self, prediction: Prediction, prompted: Collection[int] = (), agreement: Mapping[int, float] | None = None
    ) -> None:
        """Take the next frame into account.

        Args:
            prediction: the answer.
            prompted: objects whose masks were given on this frame.
            agreement: IoU of the masks of both passes by object, where there are two.
        """
        agreed = agreement or {}
        for object_id, confidence in zip(prediction.object_ids, prediction.confidence, strict=True):
            shape, before = Shape.of(prediction, object_id), self.before.pop(object_id, None)
            if shape is not None:
                self.before[object_id] = shape
                if object_id in prompted or object_id not in self.whole:
                    self.whole[object_id] = shape.whole
            else:
                self.absent.setdefault(object_id, []).append(prediction.index)
            if object_id in prompted:
                continue
            reasons = self._reasons(object_id, shape, before, confidence)
            if agreed.get(object_id, 1.0) < AGREE:
                reasons.append("passes disagree")
            for reason in reasons:
                self.listed.setdefault(object_id, {}).setdefault(reason, []).append(prediction.index)

    def _reasons(self, object_id: int, shape: Shape | None, before: Shape | None, confidence: float) -> list[str]:
        """Why an object's mask on one frame is worth a look."""
        if shape is None:
            return ["disappears"] if before is not None else []
        reasons = ["unsure"] if confidence < UNSURE else []
        if before is not None:
            factor = shape.area / before.area
            if max(factor, 1 / factor) > AREA:
                reasons.append("area jumps")
            if np.hypot(shape.x - before.x, shape.y - before.y) > MOVE * np.sqrt(before.area):
                reasons.append("centre jumps")
        if shape.whole < WHOLE and shape.whole < self.whole[object_id] - LOST:
            reasons.append("detached parts")
        if shape.margin < MARGIN:
            reasons.append("small margin")
        return reasons

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Watch:
        """Read what ``asdict`` and JSON made of a watch."""
        return cls(
            {int(i): {str(r): [int(t) for t in f] for r, f in by.items()} for i, by in data["listed"].items()},
            {int(i): [int(t) for t in frames] for i, frames in data["absent"].items()},
            {int(i): Shape(**shape) for i, shape in data["before"].items()},
            {int(i): float(share) for i, share in data["whole"].items()},
        )


def agreement(ahead: Prediction, behind: Prediction) -> dict[int, float]:
    """IoU of the masks of two answers of one frame by object, of the objects that both know; 1 where both are empty."""
    shares = {}
    for object_id in ahead.object_ids:
        if object_id in behind.object_ids:
            ours, theirs = ahead.labels == object_id, behind.labels == object_id
            union = int(np.count_nonzero(ours | theirs))
            shares[object_id] = int(np.count_nonzero(ours & theirs)) / union if union else 1.0
    return shares
