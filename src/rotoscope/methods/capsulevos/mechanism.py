"""How the first frame's capsules route those of the clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.methods.base import VideoLike
from rotoscope.methods.capsulevos import CapsuleVOS
from rotoscope.methods.capsulevos.capsules import Capsules, ConditionedLayer, by_place, pooled
from rotoscope.methods.capsulevos.config import CapsuleVOSConfig
from rotoscope.methods.capsulevos.network import CapsuleVOSNetwork, ClipAnswer
from rotoscope.methods.capsulevos.session import CapsuleVOSSession
from rotoscope.methods.capsulevos.tracks import Held, Track
from rotoscope.methods.mechanism import Area, Grid, Matrix, Mechanism, Place, cell_of, deepest
from rotoscope.methods.prediction import Prediction

STRIDE = 2
"""Of the routed layer in time: its cell t is around frame ``2 t`` of the clip."""


class Routed(NamedTuple):
    """What the conditioned layer was given in one clip, for one object.

    Attributes:
        video, frame: the capsules of the clip and of its first frame.
        out: what it gave.
        box: of the crops: y1, x1, y2, x2 as shares of the frame, ``[4]``.
        frames: the indices of the clip's frames.
        place: the place of the wanted frame among them.
    """

    video: Capsules
    frame: Capsules
    out: Capsules
    box: Tensor
    frames: tuple[int, ...]
    place: int


class LookingCapsuleVOS(CapsuleVOSSession):
    """A session that keeps what was routed in the clip that answers one frame.

    Attributes:
        wanted: the index of that frame.
        routed: what was routed in its clip, by object; empty before.
    """

    def __init__(self, network: CapsuleVOSNetwork, config: CapsuleVOSConfig, wanted: int) -> None:
        super().__init__(network, config)
        self.wanted = wanted
        self.routed: dict[int, Routed] = {}

    @property
    def session(self) -> CapsuleVOSSession:
        """This very session."""
        return self

    def _segment(self, held: list[Held], tracks: list[Track]) -> dict[int, ClipAnswer]:
        place = next((n for n, frame in enumerate(held) if frame.index == self.wanted and not frame.answered), None)
        if place is None:
            return super()._segment(held, tracks)
        seen: list[tuple[Capsules, Capsules, Capsules]] = []

        def keep(_: nn.Module, entered: tuple[Capsules, Capsules], out: Capsules) -> None:
            seen.append((*entered, out))

        handle = self.network.second.register_forward_hook(keep)
        try:
            answers = super()._segment(held, tracks)
        finally:
            handle.remove()
        frames = tuple(frame.index for frame in held)
        for track, (video, frame, out) in zip(tracks, seen, strict=True):
            box = answers[track.object_id].boxes[0].cpu()
            self.routed[track.object_id] = Routed(video, frame, out, box, frames, place)
        return answers

    def explain(self, prediction: Prediction, place: Place | None, object_id: int) -> Mechanism:
        """See :class:`~rotoscope.methods.mechanism.Looking`."""
        layer = self.network.second
        if not isinstance(layer, ConditionedLayer):
            raise InputError("this network does not route by attention, so there is nothing of it to show.")
        if object_id not in self.routed:
            raise InputError(f"no clip answered object {object_id} on frame {self.wanted}. Choose a later frame.")
        routed = self.routed[object_id]
        shares = shares_of(layer, routed)
        area = self._area(routed.box)
        time = min(round(routed.place / STRIDE), len(shares) - 1)
        place = deepest(prediction, object_id) if place is None else place
        row, column, cell = cell_of(place, area, shares.shape[1:3])
        asked = shares[time, row, column]
        chosen = int(asked.sum(dim=0).argmax())
        grids = []
        for number, here in enumerate(shares):
            values = here[..., chosen].sum(dim=-1)
            index = routed.frames[min(STRIDE * number, len(routed.frames) - 1)]
            share = 100 * float(values.mean())
            grids.append(Grid(index, f"around frame {index}: {share:.0f} % of the votes on average", values, area))
        told = (
            f"Share of the clip's votes that capsule {chosen + 1} of {asked.shape[1]} gets, as the object of frame "
            f"{routed.frames[0]} asks (attention routing)"
        )
        matrix = Matrix(
            "shares of the votes in the cell that asks", f"{asked.shape[0]} types of capsules of the clip",
            f"{asked.shape[1]} capsules above", asked,
        )  # fmt: skip
        return Mechanism(told, self.wanted, place, cell, tuple(grids), more=matrix)

    def _area(self, box: Tensor) -> Area:
        assert self.size is not None
        top, left, bottom, right = box.tolist()
        width, height = self.size
        return left * width, top * height, right * width, bottom * height


def shares_of(layer: ConditionedLayer, routed: Routed) -> Tensor:
    """The share of all votes of a cell that goes from each capsule of the clip to each one above.

    Returns: ``[T', h, w, I, J]``, each cell's numbers summing to 1: a capsule of the clip counts by its activation.
    """
    with torch.inference_mode(), torch.autocast(routed.video.pose.device.type, enabled=False):
        small = pooled(routed.video)
        answer = layer.route(*by_place(small), *by_place(pooled(routed.frame)))
        assignment = answer.assignment.unflatten(0, tuple(small.pose.shape[3:])).cpu()
    return assignment / assignment.sum(dim=(-2, -1), keepdim=True).clamp(min=1e-12)


def looking(model: CapsuleVOS, video: VideoLike, wanted: int, options: Mapping[str, Any]) -> LookingCapsuleVOS:
    """A session that keeps what it did on a frame; arguments as of
    :meth:`~rotoscope.methods.capsulevos.CapsuleVOS.session`."""
    return model.opened(LookingCapsuleVOS(model.network, model.configured(options), wanted))
