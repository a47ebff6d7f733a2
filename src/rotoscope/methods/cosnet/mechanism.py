"""Where a pixel looks in the references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.methods.base import VideoLike
from rotoscope.methods.cosnet import COSNet
from rotoscope.methods.cosnet.config import COSNetConfig
from rotoscope.methods.cosnet.network import COSNetNetwork
from rotoscope.methods.cosnet.session import COSNetSession
from rotoscope.methods.mechanism import Grid, Mechanism, Place, cell_of, deepest
from rotoscope.methods.prediction import Prediction
from rotoscope.video.frame import Frame


class LookingCOSNet(COSNetSession):
    """A session that keeps the features of one frame and of its references.

    Attributes:
        wanted: the index of that frame.
        features_then: its features ``[1, C, h, w]``; None before.
        references_then: the features of its references, by index.
    """

    def __init__(self, network: COSNetNetwork, config: COSNetConfig, video: VideoLike, wanted: int) -> None:
        super().__init__(network, config, video)
        self.wanted = wanted
        self.features_then: Tensor | None = None
        self.references_then: Mapping[int, Tensor] = {}

    @property
    def session(self) -> COSNetSession:
        """This very session."""
        return self

    def attend(self, frame: Frame, features: Tensor, references: Mapping[int, Tensor]) -> Tensor:
        """Answer a frame, and keep what was looked at if it is the one wanted."""
        if frame.index == self.wanted:
            self.features_then, self.references_then = features, dict(references)
        return super().attend(frame, features, references)

    def explain(self, prediction: Prediction, place: Place | None, object_id: int) -> Mechanism:
        """See :class:`~rotoscope.methods.mechanism.Looking`."""
        features, attention = self.features_then, self.network.attention
        if attention.kind == "none" or not self.references_then:
            raise InputError("this network looks at no references, so there is no co-attention to show.")
        assert features is not None
        assert self.size is not None
        place = deepest(prediction, object_id) if place is None else place
        area, shape = (0.0, 0.0, float(self.size[0]), float(self.size[1])), features.shape[-2:]
        row, column, cell = cell_of(place, area, shape)
        grids = []
        asking = row * shape[1] + column
        references = torch.cat(list(self.references_then.values()))
        if self.config.fusion == "group":  # one reference, as wide as all of them
            wide = attention.weights(features, references.permute(1, 2, 0, 3).flatten(2)[None], asking)[0]
            maps = wide.split(shape[1], dim=1)
        else:
            maps = attention.weights(features, references, asking).unbind()
        for index, own in zip(self.references_then, maps, strict=True):
            weights = own.cpu()
            share = float(weights.flatten().sort(descending=True).values[: max(weights.numel() // 20, 1)].sum())
            told = f"frame {index}: {100 * share / float(weights.sum()):.0f} % of its weight on 5 % of its cells"
            grids.append(Grid(index, told, weights, area))
        told = (
            f"Where a pixel of frame {self.wanted} looks in its {len(grids)} references (co-attention); 5 % of the "
            "cells would have 5 % of the weight if it looked everywhere alike"
        )
        return Mechanism(told, self.wanted, place, cell, tuple(grids), common=self.config.fusion == "group")


def looking(model: COSNet, video: VideoLike, wanted: int, options: Mapping[str, Any]) -> LookingCOSNet:
    """A session that keeps what it did on a frame; arguments as of :meth:`~rotoscope.methods.cosnet.COSNet.session`."""
    return model.opened(LookingCOSNet(model.network, model.configured(options), video, wanted))
