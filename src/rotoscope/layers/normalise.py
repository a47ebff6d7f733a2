"""Images as networks pre-trained on ImageNet expect them."""

from __future__ import annotations

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(image: Tensor) -> Tensor:
    """RGB ``[..., 3, H, W]``, uint8 in [0, 255] or float in [0, 1], to float32 less the mean, over the deviation."""
    scaled = image.to(torch.float32) / 255 if image.dtype == torch.uint8 else image.to(torch.float32)
    mean = torch.tensor(MEAN, device=image.device)[:, None, None]
    std = torch.tensor(STD, device=image.device)[:, None, None]
    return (scaled - mean) / std


def denormalise(image: Tensor) -> Tensor:
    """Back to RGB in [0, 1], for networks that take images as they are: the inverse of :func:`normalise`."""
    mean = torch.tensor(MEAN, device=image.device)[:, None, None]
    std = torch.tensor(STD, device=image.device)[:, None, None]
    return image * std + mean
