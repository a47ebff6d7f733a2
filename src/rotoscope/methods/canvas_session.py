"""Sessions of networks that work at the frame's own shape: they share a canvas, and how given masks enter it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.layers.aggregation import aggregate, put_in
from rotoscope.layers.canvas import Border, Canvas, Resizing
from rotoscope.methods.base import Session
from rotoscope.methods.prediction import Prediction
from rotoscope.video.frame import Frame


class CanvasSession(Session):
    """A session whose frames are resized by their short side and padded.

    Its config has the fields ``short_side`` and ``max_short_side``, which mean the same for every method that has them,
    and may have ``resizing`` and ``border``.

    Attributes:
        canvas: the geometry, from the first frame on; None before.
        resizing: how frames are resized, where the config does not say.
        border: what fills the padding, where the config does not say.
    """

    resizing: ClassVar[Resizing] = "area"
    border: ClassVar[Border] = "zeros"

    canvas: Canvas | None = None

    def begin(self, size: tuple[int, int]) -> None:
        """Choose the working size."""
        self.canvas = self.fitted(size)

    def fitted(self, size: tuple[int, int]) -> Canvas:
        """The canvas of frames of a width and height."""
        config = self.config
        return Canvas.fit(
            size,
            short_side=config.short_side,
            max_short_side=config.max_short_side,
            resizing=getattr(config, "resizing", self.resizing),
            border=getattr(config, "border", self.border),
        )

    def with_prompts(self, probabilities: Tensor, prompts: Mapping[int, Tensor]) -> Tensor:
        """Follow the objects that were given, with their masks in place of what was predicted.

        Args:
            probabilities: background and the objects followed so far, at the working size, ``[1 + N, H', W']``.
            prompts: masks in [0, 1] at the frame's own size, ``[H, W]`` each, by id; new ones become objects.
        Returns: the same with the new objects, aggregated again.
        """
        assert self.canvas is not None
        masks = self.canvas.masks(torch.stack(list(prompts.values())).to(probabilities.device))
        new = self.objects.enter(prompts)
        own = F.pad(probabilities[1:], (0, 0, 0, 0, 0, len(new)))
        return aggregate(put_in(own, self.objects.slots(prompts), masks))

    def restored(
        self,
        frame: Frame,
        probabilities: Tensor,
        prompts: Mapping[int, Tensor],
        confidence: Sequence[float] | None = None,
    ) -> Prediction:
        """What is answered: probabilities ``[1 + N, H', W']``, brought to the frame's own size once they are wanted.

        A run wants them in the thread that writes masks, while the next frame is in the network.
        """
        canvas = self.canvas
        assert canvas is not None

        def restore() -> Tensor:
            with self.timings.part("restore"):
                return canvas.restore(probabilities.float())

        return Prediction.to_come(frame, self.objects.ids, restore, bool(prompts), confidence)
