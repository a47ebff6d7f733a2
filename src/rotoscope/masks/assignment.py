"""Which proposal is which object: RVOS's published merging, and Hungarian matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.layers.assignment import least_cost
from rotoscope.masks.values import label_type


def hungarian(scores: NDArray[Any]) -> dict[int, int]:
    """Assign columns to rows so that the sum of scores is largest.

    Args:
        scores: ``[objects, proposals]``.
    Returns: ``{row: column}``, for as many rows as have a column.
    """
    rows, columns = least_cost(-np.asarray(scores))
    return {int(r): int(c) for r, c in zip(rows, columns, strict=True)}


class FirstFrameAssignment:
    """RVOS's protocol: an object belongs to the slot that overlaps it best in its first annotated frame.

    When new objects appear, those known keep their slots at no cost and the assignment is made afresh for all; the
    slots' masks are painted in the order of decreasing cost, so that the best match lies on top. In the frame where an
    object appears its annotation is the answer.

    Args:
        slots: number of proposals.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.slot_of: dict[int, int] = {}
        self.cost_of: dict[int, float] = {}

    def appear(self, prompts: Mapping[int, NDArray[Any]], proposals: Mapping[int, NDArray[Any]]) -> None:
        """Objects that appear in a frame.

        Args:
            prompts: their annotated masks.
            proposals: the frame's masks by slot, from 1.
        """
        ids = sorted({*self.slot_of, *prompts})
        costs = np.ones((len(ids), max(self.slots, len(ids))))
        for row, object_id in enumerate(ids):
            if object_id in self.slot_of:
                costs[row, self.slot_of[object_id] - 1] = 0.0
                continue
            for slot in range(1, self.slots + 1):
                mask = proposals.get(slot)
                empty = mask is None and not prompts[object_id].any()
                overlap = 1.0 if empty else 0.0 if mask is None else _overlap(mask, prompts[object_id])
                costs[row, slot - 1] = 1 - overlap
        for row, column in zip(*least_cost(costs), strict=True):
            self.slot_of[ids[row]] = int(column) + 1
            if ids[row] in prompts:
                self.cost_of[ids[row]] = float(costs[row, column])

    def leave(self, object_id: int, slot: int) -> None:
        """An object is no more, and one slot, from 1, is closed: those after it move up.

        If another object had that slot's proposals, it takes over those that this object had.
        """
        freed = self.slot_of.pop(object_id, slot)
        self.cost_of.pop(object_id, None)
        for other, own in self.slot_of.items():
            own = freed if own == slot else own
            self.slot_of[other] = own - 1 if own > slot else own

    def paint(
        self,
        proposals: Mapping[int, NDArray[Any]],
        prompts: Mapping[int, NDArray[Any]],
        shape: tuple[int, ...],
        listed: Sequence[int] | None = None,
        numbers: Mapping[int, int] | None = None,
    ) -> NDArray[Any]:
        """Labels of a frame, 8 bits each, or more where what is painted asks for them.

        Args:
            proposals: masks by slot.
            prompts: annotated masks of the objects that appear in this frame; they go on top.
            shape: the shape of the labels.
            listed: the objects to paint; all known unless said.
            numbers: what to paint for each object; its id unless said.
        """
        painted = {*self.slot_of, *prompts} if numbers is None else numbers.values()
        labels = np.zeros(shape, label_type(painted))
        ids = [i for i in (self.slot_of if listed is None else listed) if i in self.slot_of and i not in prompts]
        for object_id in sorted(ids, key=lambda i: -self.cost_of[i]):
            mask = proposals.get(self.slot_of[object_id])
            if mask is not None:
                labels[mask.astype(bool)] = object_id if numbers is None else numbers[object_id]
        for object_id, mask in prompts.items():
            labels[mask.astype(bool)] = object_id if numbers is None else numbers[object_id]
        return labels


def _overlap(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int(np.count_nonzero(ours | theirs))
    return int(np.count_nonzero(ours & theirs)) / union if union else 1.0
