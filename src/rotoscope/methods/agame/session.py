"""One video's state under A-GAME: how each object looks, where it began and where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from rotoscope.layers.aggregation import leaned
from rotoscope.layers.canvas import Border, Canvas
from rotoscope.methods.agame.config import AGAMEConfig
from rotoscope.methods.agame.network import (
    AGAMENetwork,
    Answer,
    FrameFeatures,
    Memory,
    aggregate_pairs,
    shrink,
    with_background,
)
from rotoscope.methods.canvas_session import CanvasSession
from rotoscope.methods.prediction import Prediction
from rotoscope.video.frame import Frame

OBJECTS_AT_ONCE = 8
"""Objects that the heads run for in one batch; more go in several, which bounds the memory of forty objects."""


class AGAMESession(CanvasSession):
    """Segments one video.

    Between frames it holds, for each object, its appearance model, what its first frame contributes to the propagation,
    and its last mask, both at stride 16; nothing grows with the video. Masks given on a frame are the answer on it
    (unless ``predict_given``); where they cover, they replace what was predicted for other objects. A known object that
    is given again begins anew from that frame.
    """

    network: AGAMENetwork
    prepares = True
    config: AGAMEConfig
    border: ClassVar[Border] = "mirror"

    def __init__(self, network: AGAMENetwork, config: AGAMEConfig) -> None:
        super().__init__(network, config)
        self._memory: Memory | None = None

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame."""
        if not self.objects and not prompts:
            return [Prediction.empty(frame)]
        canvas = self.canvas
        assert canvas is not None
        features = self.encoded(frame)
        copied = list(prompts) if not (self.objects and self.config.predict_given) else []
        pairs = {i: with_background(mask) for i, mask in self._begin(features, prompts, canvas).items() if i in copied}
        with self.timings.part("heads"):
            followed = [object_id for object_id in self.objects.ids if object_id not in copied]
            answer = self._follow(features, followed)
        if answer is not None:
            covered = torch.stack([pair[1] for pair in pairs.values()]).gt(0.5).any(dim=0) if pairs else None
            pairs |= zip(followed, _softmax_outside(answer.final, covered, self.config.lean), strict=True)
        stacked = torch.stack([pairs[object_id] for object_id in self.objects.ids])
        with self.timings.part("aggregate"):
            probabilities = aggregate_pairs(stacked)
        if answer is not None:
            with self.timings.part("update"):
                self._update(features, followed, answer, probabilities, stacked)
        return [self.restored(frame, probabilities, prompts)]

    def encode(self, frame: Frame) -> FrameFeatures:
        """The frame's features."""
        weight = self.network.fusion.conv2.weight
        return self.network.encode(self.fitted(frame.size).image(frame.image, weight.device).to(weight.dtype))

    def forget(self, object_id: int) -> None:
        """Drop what is remembered of the object."""
        if self._memory is not None:
            kept = [row for row, known in enumerate(self.objects.ids) if known != object_id]
            self._memory = self._memory.select(self._index(kept)) if kept else None

    def memory_state(self) -> dict[str, Any]:
        """The objects' memory."""
        return {} if self._memory is None else self._memory._asdict()

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Continue where :meth:`memory_state` was taken."""
        self._memory = Memory(**memory) if memory else None

    def _index(self, rows: Sequence[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.long, device=self.device)

    def _begin(self, features: FrameFeatures, prompts: dict[int, Tensor], canvas: Canvas) -> dict[int, Tensor]:
        """Remember given objects, new ones behind the known; return their masks at the padded working size."""
        if not prompts:
            return {}
        device = features.s16.device
        masks = canvas.masks(torch.stack(list(prompts.values())).to(device))
        fresh = self.network.begin(features, shrink(with_background(masks)))
        rows = [*range(len(self.objects.ids))]
        self.objects.enter(prompts)
        joined = fresh if self._memory is None else Memory(*map(torch.cat, zip(self._memory, fresh, strict=True)))
        rows += [0] * (len(self.objects.ids) - len(rows))
        for number, slot in enumerate(self.objects.slots(prompts)):
            rows[slot] = len(joined.previous) - len(prompts) + number
        self._memory = joined.select(self._index(rows))
        return dict(zip(prompts, masks, strict=True))

    def _follow(self, features: FrameFeatures, object_ids: Sequence[int]) -> Answer | None:
        """Logits of some of the objects; None for none."""
        if not object_ids:
            return None
        assert self._memory is not None
        rows = self._index(self.objects.slots(object_ids))
        parts = [self.network.segment(features, self._memory.select(part)) for part in rows.split(OBJECTS_AT_ONCE)]
        return Answer(*map(torch.cat, zip(*parts, strict=True)))

    def _update(
        self,
        features: FrameFeatures,
        object_ids: Sequence[int],
        answer: Answer,
        probabilities: Tensor,
        pairs: Tensor,
    ) -> None:
        """Remember followed objects by what was found; those that were given have just begun."""
        assert self._memory is not None
        rows = self._index(self.objects.slots(object_ids))
        if self.config.recurrence == "coarse":
            masks = torch.softmax(answer.coarse, dim=1)
        elif self.config.recurrence == "own":
            masks = shrink(pairs[rows])
        else:
            masks = shrink(with_background(probabilities[1 + rows]))
        rate = masks.new_full((len(rows),), self.config.update_rate)
        if self.config.freeze_hidden:
            rate = rate * (probabilities[1 + rows] > 0.5).flatten(1).any(dim=1)
        for part in torch.arange(len(rows), device=rows.device).split(OBJECTS_AT_ONCE):
            updated = self.network.update(features, self._memory.select(rows[part]), masks[part], rate[part])
            self._memory = Memory(
                *(old.index_copy(0, rows[part], new) for old, new in zip(self._memory, updated, strict=True))
            )


def _softmax_outside(logits: Tensor, covered: Tensor | None, lean: float) -> Tensor:
    """Pairs ``[N, 2, H, W]``, with ``lean`` towards the target; all background where given masks cover."""
    pairs = torch.softmax(torch.cat([logits[:, :1], leaned(logits[:, 1:], lean)], dim=1), dim=1)
    if covered is None:
        return pairs
    return torch.stack([pairs[:, 0].masked_fill(covered, 1), pairs[:, 1].masked_fill(covered, 0)], dim=1)
