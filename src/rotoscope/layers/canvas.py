"""Between a frame's own size and the size a network works at: resizing, padding, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.layers.normalise import normalise, normalised_bytes

Resizing = Literal["bicubic", "area"]
"""``bicubic``: the normalised tensor, masks by nearest neighbour, as the released codes do; ``area``: averaging."""

Border = Literal["zeros", "black", "mirror"]
"""What fills the padding. ``zeros``: nothing, after normalising, which is the mean colour; the smaller half of it comes
first (STCN). ``black``: nothing, before normalising, where it is black (STM); masks as with ``zeros``.
``mirror``: the picture and its masks, reflected; the larger half comes first (A-GAME). A side too short to be reflected
that far repeats its edge instead."""


@dataclass(frozen=True)
class Canvas:
    """One video's geometry.

    Attributes:
        size: the width and height of the frames in pixels.
        work: the width and height after resizing, in pixels.
        multiple: the number that the sides must be multiples of; they are padded up to it.
        resizing: how images and masks are resized when ``work`` differs from ``size``.
        border: what fills the padding, and on which side its larger half is.
    """

    size: tuple[int, int]
    work: tuple[int, int]
    multiple: int = 16
    resizing: Resizing = "bicubic"
    border: Border = "zeros"

    @classmethod
    def fit(
        cls,
        size: tuple[int, int],
        *,
        short_side: int | None = None,
        max_short_side: int | None = None,
        multiple: int = 16,
        resizing: Resizing = "bicubic",
        border: Border = "zeros",
    ) -> Canvas:
        """Choose the working size.

        Args:
            size: width and height of the frames.
            short_side: resize so that the shorter side has this length; None leaves it.
            max_short_side: resize only if the shorter side is longer than this.
            multiple: pad to multiples of this.
            resizing, border: see :class:`Canvas`.
        """
        shortest = min(size)
        target = short_side or (max_short_side if max_short_side and shortest > max_short_side else shortest)
        work = (max(1, round(size[0] * target / shortest)), max(1, round(size[1] * target / shortest)))
        return cls(size, work, multiple, resizing, border)

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Left, right, top and bottom padding; see :data:`Border` for which half is larger."""
        wide, high = (-side % self.multiple for side in self.work)
        if self.border == "mirror":
            return wide - wide // 2, wide // 2, high - high // 2, high // 2
        return wide // 2, wide - wide // 2, high // 2, high - high // 2

    @property
    def area(self) -> tuple[float, float, float, float]:
        """Where what enters the network lies on the frame: left, top, right and bottom in the frame's pixels."""
        left, right, top, bottom = self.padding
        wide, high = self.size[0] / self.work[0], self.size[1] / self.work[1]
        return -left * wide, -top * high, self.size[0] + right * wide, self.size[1] + bottom * high

    @property
    def padded(self) -> tuple[int, int]:
        """Width and height that enter the network."""
        left, right, top, bottom = self.padding
        return self.work[0] + left + right, self.work[1] + top + bottom

    def image(self, image: NDArray[Any], device: torch.device) -> Tensor:
        """RGB ``[H, W, 3]`` (uint8 or float in [0, 1]) to the normalised, padded ``[1, 3, H', W']``."""
        if self.resizing == "area":
            image = self._resized(image)
        if image.dtype == np.uint8 and device.type == "cpu":
            tensor = torch.from_numpy(normalised_bytes(image)).permute(2, 0, 1)[None]
        else:
            tensor = normalise(torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None])
        if self.work != self.size and self.resizing == "bicubic":
            tensor = F.interpolate(tensor, size=self.work[::-1], mode="bicubic", align_corners=False)
        if self.border == "black":
            nothing = normalise(torch.zeros(3, 1, 1)).flatten().tolist()
            channels = zip(tensor.split(1, dim=1), nothing, strict=True)
            return torch.cat([F.pad(channel, self.padding, value=value) for channel, value in channels], dim=1)
        return self._pad(tensor)

    def seen(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """RGB uint8 ``[H, W, 3]`` at the working size, ``[H', W', 3]``, to look at: its edges go on in the padding."""
        left, right, top, bottom = self.padding
        whole = self._resized(image)
        return np.asarray(cv2.copyMakeBorder(whole, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8)

    def masks(self, masks: Tensor) -> Tensor:
        """Masks ``[N, H, W]`` in [0, 1] to the padded working size."""
        if self.work != self.size:
            mode = "nearest" if self.resizing == "bicubic" else "area"
            masks = F.interpolate(masks[None], size=self.work[::-1], mode=mode)[0]
        return self._pad(masks)

    def restore(self, probabilities: Tensor) -> Tensor:
        """Probabilities ``[C, H', W']`` back to ``[C, H, W]`` at the frame's own size."""
        left, _, top, _ = self.padding
        cropped = probabilities[:, top : top + self.work[1], left : left + self.work[0]]
        if self.work == self.size:
            return cropped.contiguous()
        if self.resizing == "area" and cropped.device.type == "cpu" and not cropped.requires_grad:
            planes = np.empty((len(cropped), *self.size[::-1]), np.float32)
            for plane, whole in zip(cropped.float().numpy(), planes, strict=True):
                cv2.resize(plane, self.size, dst=whole, interpolation=cv2.INTER_LINEAR)
            return torch.from_numpy(planes)  # the same to 2e-5, in a quarter of the time
        return F.interpolate(cropped[None], size=self.size[::-1], mode="bilinear", align_corners=False)[0]

    def _resized(self, image: NDArray[Any]) -> NDArray[Any]:
        """RGB ``[H, W, 3]`` at the working size without padding, by area where that is smaller."""
        if self.work == self.size:
            return image
        shrink = self.work[0] < self.size[0]
        how = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, self.work, interpolation=how))

    def _pad(self, tensor: Tensor) -> Tensor:
        """``[C, H, W]`` or ``[B, C, H, W]`` at the working size with its border."""
        if self.border != "mirror":
            return F.pad(tensor, self.padding)
        left, right, top, bottom = self.padding
        for margins, side in (((left, right, 0, 0), self.work[0]), ((0, 0, top, bottom), self.work[1])):
            tensor = F.pad(tensor, margins, mode="reflect" if max(margins) < side else "replicate")
        return tensor
