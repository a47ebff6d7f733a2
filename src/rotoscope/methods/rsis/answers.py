"""Which steps on a picture are objects, and which object of the frame before each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rotoscope.layers.matching import assign, soft_iou_costs

LEAST_OVERLAP = 0.2
"""IoU that an object must have with its mask of the frame before, to be it."""


@dataclass(frozen=True, eq=False)
class Instance:
    """An object found on a picture.

    Attributes:
        step: the step that found it, from 0.
        mask: bool ``[H, W]``.
        stop: its stop score in [0, 1]: how sure the network is that it is an object.
        scores: of each class but 0, the probability of the class times the stop score, ``[classes - 1]``; None without
            a class head.
        label: its best class, 0 for none of them; None without a class head.
    """

    step: int
    mask: Tensor
    stop: float
    scores: Tensor | None = None
    label: int | None = None

    @property
    def score(self) -> float:
        """Of its best class; the stop score without a class head, 0 if it is of none of the classes."""
        if self.scores is None or self.label is None:
            return self.stop
        return float(self.scores[self.label - 1]) if self.label else 0.0


def objects_of(
    probabilities: Tensor,
    stop: Tensor,
    classes: Tensor | None = None,
    *,
    stop_at: float = 0.5,
    ending: str = "skip",
    mask_at: float = 0.5,
    least: float = 1e-3,
    ignored: Tensor | None = None,
) -> list[Instance]:
    """The steps that are objects (RSIS, released evaluation on Pascal VOC; RIS with ``ending="end"``).

    Args:
        probabilities: masks at the picture's own size, ``[T, H, W]``.
        stop: stop scores in [0, 1], ``[T]``.
        classes: probabilities of the classes, class 0 first, ``[T, classes]``.
        stop_at, ending, mask_at, least: see :class:`~rotoscope.methods.rsis.config.RSISConfig`.
        ignored: pixels of unknown truth, bool ``[H, W]``, which no mask keeps.
    """
    objects = []
    for step, score in enumerate(stop.tolist()):
        if score < stop_at:
            if ending == "end":
                break
            continue
        mask = probabilities[step] > mask_at
        if ignored is not None:
            mask = mask & ~ignored
        if mask.float().sum().item() < least * mask.numel() or not bool(mask.any()):
            continue
        scores = label = None
        if classes is not None:
            scores, label = classes[step, 1:] * score, int(classes[step].argmax())
        objects.append(Instance(step, mask, score, scores, label))
    return objects


def named(objects: Sequence[Instance], class_at: float) -> list[Instance]:
    """Those whose best class is one of the classes and scores enough (RSIS, released display).

    Args:
        objects: objects; without classes all of them are returned.
        class_at: the least score.
    """
    return [one for one in objects if one.label is None or (one.label > 0 and one.score >= class_at)]


class Links:
    """Ids of a clip's objects, from frame to frame, by the overlap of their masks.

    There are at most ``most`` ids. If all are in use, a new object gets the id that has been unseen longest.

    Args:
        most: ids, and objects on a frame.

    Attributes:
        masks: the last mask of each id, float ``[h, w]`` at the working size.
        unseen: for how many frames each id has not been found.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.masks: dict[int, Tensor] = {}
        self.unseen: dict[int, int] = {}

    @property
    def ids(self) -> list[int]:
        """All ids so far, in their order."""
        return sorted(self.masks)

    def link(self, masks: Tensor) -> list[int]:
        """The ids of a frame's objects, in their order.

        Args:
            masks: 0 or 1, ``[N, h, w]``; N is at most ``most``.
        """
        known = self.ids
        ids: list[int | None] = [None] * len(masks)
        if known and len(masks):
            before = torch.stack([self.masks[i] for i in known])
            costs = soft_iou_costs(masks[None].float(), before[None].float())
            for number, row in enumerate(assign(costs)[0].tolist()):
                if costs[0, row, number].item() <= 1 - LEAST_OVERLAP and known[row] not in ids:
                    ids[number] = known[row]
        taken = {i for i in ids if i is not None}
        free = [i for i in range(1, self.most + 1) if i not in self.masks]
        free += sorted((i for i in known if i not in taken), key=lambda i: -self.unseen[i])
        chosen = [free.pop(0) if one is None else one for one in ids]
        self.unseen = {i: self.unseen.get(i, 0) + 1 for i in {*known, *chosen}}
        for one, mask in zip(chosen, masks, strict=True):
            self.masks[one], self.unseen[one] = mask.float(), 0
        return chosen

    def state(self) -> dict[str, Any]:
        """Masks and counts, as a flat dict of tensors and plain values."""
        return {f"mask.{i}": mask for i, mask in self.masks.items()} | {
            "unseen": [[i, count] for i, count in self.unseen.items()]
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        self.unseen = {int(i): int(count) for i, count in state["unseen"]}
        self.masks = {i: state[f"mask.{i}"] for i in self.unseen}
