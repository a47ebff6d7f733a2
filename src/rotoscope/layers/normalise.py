"""Images as networks pre-trained on ImageNet expect them."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(image: Tensor) -> Tensor:
    """RGB ``[..., 3, H, W]``, uint8 in [0, 255] or float in [0, 1], to float32 less the mean, over the deviation."""
    scaled = image.to(torch.float32) / 255 if image.dtype == torch.uint8 else image.to(torch.float32)
    mean = torch.tensor(MEAN, device=image.device)[:, None, None]
    std = torch.tensor(STD, device=image.device)[:, None, None]
    return (scaled - mean) / std


def normalised_bytes(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same of RGB uint8 ``[H, W, 3]``, to float32 ``[H, W, 3]``: every value from a table, in one pass."""
    return np.asarray(cv2.LUT(image, _table()), np.float32)


@functools.cache
def _table() -> NDArray[np.float32]:
    """What :func:`normalise` makes of each value of each channel, ``[1, 256, 3]``."""
    values = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    return np.ascontiguousarray(normalise(values).permute(1, 2, 0).numpy())


def denormalise(image: Tensor) -> Tensor:
    """Back to RGB in [0, 1], for networks that take images as they are: the inverse of :func:`normalise`."""
    mean = torch.tensor(MEAN, device=image.device)[:, None, None]
    std = torch.tensor(STD, device=image.device)[:, None, None]
    return image * std + mean
