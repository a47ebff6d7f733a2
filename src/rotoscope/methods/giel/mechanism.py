"""Which support frames count, and which of their cells a pixel reads."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.layers.canvas import Canvas
from rotoscope.memory import MemoryBank
from rotoscope.memory.look import of_frame, weights_of
from rotoscope.methods.base import VideoLike
from rotoscope.methods.giel import GIEL
from rotoscope.methods.giel.config import GIELConfig
from rotoscope.methods.giel.memory import Asked
from rotoscope.methods.giel.network import FrameFeatures, GIELNetwork
from rotoscope.methods.giel.session import COMMON, GIELSession
from rotoscope.methods.mechanism import Bars, Grid, Mechanism, Place, cell_of, deepest
from rotoscope.methods.prediction import Prediction
from rotoscope.video.frame import Frame


class LookingGIEL(GIELSession):
    """A session that keeps its support frames as they were when one frame read them.

    Attributes:
        wanted: the index of that frame.
        stored: the indices of the frames that entered each memory, in order; 0 is the one that objects share.
        then: of each memory the bank, how the frame read it, and the indices of its frames; empty before.
    """

    def __init__(self, network: GIELNetwork, config: GIELConfig, wanted: int) -> None:
        super().__init__(network, config)
        self.wanted = wanted
        self.stored: dict[int, list[int]] = {}
        self.then: dict[int, tuple[MemoryBank, Asked, list[int]]] = {}
        self._now = self._latest = -1
        self._shape = (0, 0)

    @property
    def session(self) -> GIELSession:
        """This very session."""
        return self

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame as ever."""
        self._now = frame.index
        return super().advance(frame, prompts)

    def _follow(self, features: FrameFeatures, canvas: Canvas) -> tuple[Tensor, Tensor]:
        if self._now == self.wanted:
            self._shape = (int(features.key.shape[-2]), int(features.key.shape[-1]))
            for owner, memory in self.memories.items():
                frames = [*self.stored.get(owner, []), *([self._latest] if memory.bank.temporary else [])]
                self.then[owner] = copy.deepcopy(memory.bank), memory.asked(features.key), frames
        return super()._follow(features, canvas)

    def _remember(self, *args: Any, **how: Any) -> None:
        super()._remember(*args, **how)
        for owner in self.objects.ids if self.separate else [COMMON]:
            if not how["temporary"]:
                self.stored.setdefault(owner, []).append(self._now)
        self._latest = self._now

    def explain(self, prediction: Prediction, place: Place | None, object_id: int) -> Mechanism:
        """See :class:`~rotoscope.methods.mechanism.Looking`."""
        owner = object_id if self.separate else COMMON
        if owner not in self.then or object_id not in self.then[owner][0].object_ids:
            raise InputError(f"frame {self.wanted} reads no support of object {object_id}. Choose a later frame.")
        bank, asked, frames = self.then[owner]
        assert self.canvas is not None
        place = deepest(prediction, object_id) if place is None else place
        row, column, cell = cell_of(place, self.canvas.area, self._shape)
        query = asked.query[:, row * self._shape[1] + column, None]
        how = {"among": asked.among, "gain": asked.gain, "bias": asked.bias}
        weights = weights_of(bank, object_id, query, self.config.top_k, **how)[0].cpu()
        size = self._shape[0] * self._shape[1]
        serials = bank.serials.cpu()
        grids = []
        for number in asked.frames:
            values, missing = of_frame(weights[: len(serials)], serials, number, size)
            if bank.temporary and number == len(frames) - 1:
                values, missing = weights[len(serials) :], missing.new_zeros(size)
            told = f"frame {frames[number]}: {100 * float(values.sum()):.0f} % of the weight"
            grid = Grid(frames[number], told, values.view(self._shape), self.canvas.area, missing.view(self._shape))
            grids.append(grid)
        more = None
        if asked.weights is not None:
            names = tuple(f"frame {grid.index}" for grid in grids)
            more = Bars(
                "how much each support frame counts (line: all alike)", names, tuple(asked.weights.tolist()), 1.0
            )
        told = f"Which support frames count for frame {self.wanted}, and which of their cells a pixel reads"
        return Mechanism(told, self.wanted, place, cell, tuple(grids), more=more)


def looking(model: GIEL, video: VideoLike, wanted: int, options: Mapping[str, Any]) -> LookingGIEL:
    """A session that keeps what it did on a frame; arguments as of :meth:`~rotoscope.methods.giel.GIEL.session`."""
    return model.opened(LookingGIEL(model.network, model.configured(options), wanted))
