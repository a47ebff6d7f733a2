"""What each slot of the recurrence over objects found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.methods.base import VideoLike
from rotoscope.methods.mechanism import Bars, Grid, Mechanism, Place
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.rvos import RVOS
from rotoscope.methods.rvos.config import RVOSConfig
from rotoscope.methods.rvos.network import RVOSNetwork
from rotoscope.methods.rvos.session import RVOSSession
from rotoscope.video.frame import Frame


class LookingRVOS(RVOSSession):
    """A session that keeps what all slots found on one frame.

    Attributes:
        wanted: the index of that frame.
        found_then: their probabilities ``[slots, H', W']`` at the working size; None before.
        objects_then: the ids of the objects on it.
    """

    def __init__(self, network: RVOSNetwork, config: RVOSConfig, wanted: int) -> None:
        super().__init__(network, config)
        self.wanted = wanted
        self.found_then: Tensor | None = None
        self.objects_then: tuple[int, ...] = ()

    @property
    def session(self) -> RVOSSession:
        """This very session."""
        return self

    def _answer(self, frame: Frame, probabilities: Tensor, prompts: dict[int, Tensor]) -> Prediction:
        prediction = super()._answer(frame, probabilities, prompts)
        if frame.index == self.wanted:
            self.found_then, self.objects_then = probabilities.cpu(), prediction.object_ids
        return prediction

    def explain(self, prediction: Prediction, place: Place | None, object_id: int) -> Mechanism:
        """See :class:`~rotoscope.methods.mechanism.Looking`; no pixel asks: slots see the whole frame."""
        if self.found_then is None:
            raise InputError(f"no slot ran on frame {self.wanted}. Choose a frame with an object.")
        assert self.size is not None
        area = (0.0, 0.0, float(self.size[0]), float(self.size[1]))
        grids, sure = [], []
        for slot, probabilities in enumerate(self.found_then):
            inside = probabilities[probabilities > 0.5]
            sure.append(float(inside.mean()) if len(inside) else 0.0)
            share = 100 * len(inside) / probabilities.numel()
            known = slot + 1 in self.objects_then
            name = f"object {slot + 1}" if known else "no object"
            if self.config.one_shot:
                name = f"object {self.objects_then[slot]}"
            grids.append(
                Grid(self.wanted, f"slot {slot + 1}, {name}: {share:.1f} % of the picture", probabilities, area)
            )
        names = tuple(f"slot {slot + 1}" for slot in range(len(sure)))
        even = None if self.config.one_shot else self.config.objectness
        told = "mean probability in the mask" + (" (line: what an object needs)" if even else "")
        title = f"What each slot found on frame {self.wanted}, in the order in which they run"
        return Mechanism(title, self.wanted, None, None, tuple(grids), more=Bars(told, names, tuple(sure), even))


def looking(model: RVOS, video: VideoLike, wanted: int, options: Mapping[str, Any]) -> LookingRVOS:
    """A session that keeps what it did on a frame; arguments as of :meth:`~rotoscope.methods.rvos.RVOS.session`."""
    return model.opened(LookingRVOS(model.network, model.configured(options), wanted))
