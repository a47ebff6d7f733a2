"""Which cells of which frames a pixel reads, and which features have left the memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.memory import MemoryBank
from rotoscope.memory.look import of_frame, weights_of
from rotoscope.methods.base import VideoLike
from rotoscope.methods.mechanism import Grid, Mechanism, Place, cell_of, deepest
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.stcn import STCN
from rotoscope.methods.stcn.config import STCNConfig
from rotoscope.methods.stcn.network import FrameFeatures, STCNNetwork
from rotoscope.methods.stcn.session import Answer, STCNSession
from rotoscope.video.frame import Frame

MOST = 7
"""Frames of the memory that are shown: those that most is read of."""


class LookingSTCN(STCNSession):
    """A session that keeps the memory as it was when one frame read it.

    Attributes:
        wanted: the index of that frame.
        stored: the indices of the frames that entered memory, in order.
        bank_then, key_then: the memory at that moment, and the frame's key as it compares them, ``[scales * Ck, h,
            w]``; None before.
    """

    def __init__(self, network: STCNNetwork, config: STCNConfig, budget: int | None, wanted: int) -> None:
        super().__init__(network, config, budget)
        self.wanted = wanted
        self.stored: list[int] = []
        self.bank_then: MemoryBank | None = None
        self.key_then: Tensor | None = None
        self._now = self._latest = -1

    @property
    def session(self) -> STCNSession:
        """This very session."""
        return self

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame as ever."""
        self._now = frame.index
        return super().advance(frame, prompts)

    def _follow(self, features: FrameFeatures) -> Answer:
        if self._now == self.wanted and self.objects:
            self.bank_then = copy.deepcopy(self.bank)
            self.key_then = self._compared(features).unflatten(1, features.key.shape[-2:])
            self._stored_then, self._latest_then = list(self.stored), self._latest
        return super()._follow(features)

    def _remember(self, *args: Any, **how: Any) -> None:
        super()._remember(*args, **how)
        if how.get("temporary"):
            self._latest = self._now
        else:
            self.stored.append(self._now)

    def explain(self, prediction: Prediction, place: Place | None, object_id: int) -> Mechanism:
        """See :class:`~rotoscope.methods.mechanism.Looking`."""
        bank, key = self.bank_then, self.key_then
        if bank is None or key is None or object_id not in bank.object_ids:
            raise InputError(f"frame {self.wanted} reads no memory of object {object_id}. Choose a later frame.")
        assert self.canvas is not None
        place = deepest(prediction, object_id) if place is None else place
        area, shape = self.canvas.area, (int(key.shape[1]), int(key.shape[2]))
        row, column, cell = cell_of(place, area, shape)
        weights = weights_of(bank, object_id, key[:, row, column, None].float(), self.config.top_k)[0].cpu()
        size, serials = shape[0] * shape[1], bank.serials.cpu()
        grids = []
        for number, index in enumerate(self._stored_then):
            values, missing = of_frame(weights[: len(serials)], serials, number, size)
            told = f"frame {index}: {_percent(values)} of the weight, {int((~missing).sum())}/{size} cells kept"
            grids.append(Grid(index, told, values.view(shape), area, missing.view(shape)))
        gone = [grid.index for grid in grids if grid.missing is not None and grid.missing.all()]
        kept = [grid for grid in grids if grid.index not in gone]
        shown = sorted(sorted(kept, key=lambda g: -float(g.values.sum()))[:MOST], key=lambda g: g.index)
        if bank.temporary:
            values = weights[len(serials) :].view(shape)
            told = f"frame {self._latest_then}, the last: {_percent(values)} of the weight"
            shown.append(Grid(self._latest_then, told, values, area))
        notes = [f"frames that have left the memory whole: {', '.join(map(str, gone))}"] if gone else []
        rest = [grid.index for grid in kept if grid not in shown]
        if rest:
            notes.append(f"frames that less is read of, not shown: {', '.join(map(str, rest))}")
        return Mechanism(
            f"What a pixel of frame {self.wanted} reads in memory ({self.config.memory}); grey cells have left it",
            self.wanted, place, cell, tuple(shown), notes=tuple(notes),
        )  # fmt: skip


def _percent(weights: Tensor) -> str:
    return f"{100 * float(weights.sum()):.0f} %"


def looking(model: STCN, video: VideoLike, wanted: int, options: Mapping[str, Any]) -> LookingSTCN:
    """A session that keeps what it did on a frame; arguments as of :meth:`~rotoscope.methods.stcn.STCN.session`."""
    fields = {name: value for name, value in options.items() if name != "memory_budget"}
    budget = options.get("memory_budget")
    return model.opened(LookingSTCN(model.network, model.configured(fields), budget, wanted))
