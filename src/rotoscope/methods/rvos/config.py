"""Sizes and choices of an RVOS network; every ablation of the paper is a field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from rotoscope.layers.trunks import TrunkName
from rotoscope.methods.checks import Count, FixedSide, MethodConfig, Odd, Range, Share

Carry = Literal["soft", "hard"]
Merging = Literal["soft", "published"]
Recurrence = Literal["spatial-temporal", "spatial", "temporal"]


@dataclass(frozen=True)
class RVOSConfig(MethodConfig):
    """RVOS (Ventura et al., CVPR 2019); the defaults are the released one-shot network.

    Attributes:
        trunk: the name of the network that encodes frames (see :mod:`rotoscope.layers.trunks`).
        last_width: planes of a residual encoder's fourth stage, its own if None; other encoders leave it unused.
        hidden: the number of channels of the coarsest ConvLSTM; the next have 1/2, 1/4, 1/8 of it.
        kernel: the side of the ConvLSTMs' kernels, an odd number.
        one_shot: the decoder takes each object's previous mask; else objects are found without any (zero-shot).
        recurrence: over objects and time, over objects only (S), over time only (T). T still passes from object to
            object on the first frame, as the released code does.
        size: the height and width in pixels that frames are resized to, whatever their shape: 256x448 for YouTube-VOS,
            240x427 for DAVIS.
        keep_aspect: keep the frame's shape instead, at the area of ``size``, with sides that are multiples of 16.
        slots: the number of objects that zero-shot looks for.
        first_mask_again: one-shot gives the first frame's masks once more on the second (released code).
        carry: the mask that one-shot hands to the next frame: ``soft`` probabilities (released code), or ``hard``, cut
            at 0.5, which cannot fade from frame to frame.
        merging: how objects that overlap become labels: ``soft`` aggregates probabilities; ``published`` cuts at 0.5
            and paints, the best match of the first frame on top.
        objectness: zero-shot slots less sure of themselves than this are no objects; see the session. It is never below
            0.5, so that 0.5 keeps all.
        least: share of the picture that a zero-shot slot must fill to be an object.
        apart: a zero-shot slot whose mask overlaps an object's by a larger IoU than this is that object once more, and
            none of its own; 1 keeps all, as the released code.
    """

    trunk: TrunkName = "resnet101"
    last_width: Count | None = None
    hidden: Annotated[int, Range(8, multiple=8)] = 128
    kernel: Odd = 3
    one_shot: bool = True
    recurrence: Recurrence = "spatial-temporal"
    size: tuple[FixedSide, FixedSide] = (256, 448)
    keep_aspect: bool = False
    slots: Count = 10
    first_mask_again: bool = True
    carry: Carry = "soft"
    merging: Merging = "soft"
    objectness: Share = 0.5
    least: Share = 1e-3
    apart: Share = 1.0

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that the network works at for frames of ``size``, width and height."""
        if not self.keep_aspect:
            return self.size
        scale = math.sqrt(self.size[0] * self.size[1] / (size[0] * size[1]))
        height, width = (max(32, 16 * round(side * scale / 16)) for side in (size[1], size[0]))
        return height, width
