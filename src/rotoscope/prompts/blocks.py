"""Convolutions with batch norms, as the click network uses them, and the maps that its clicks become."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.folding import convolve

REACHES = (4.0, 20.0, 80.0)
"""Pixels over which the maps of clicks fall off: a spot, its surroundings, its part of the picture."""
EDGE = 6.0
"""Pixels over which a box's outline falls off in its map."""
CLICK_MAPS = 2 * len(REACHES) + 2
"""Channels of :func:`click_maps`."""


class ConvNorm(nn.Sequential):
    """A convolution and its batch norm, folded into one wherever the norm's statistics are fixed."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(channels_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, H, W]`` -> ``[B, channels_out, H / stride, W / stride]``."""
        convolution, norm = self[0], self[1]
        assert isinstance(convolution, nn.Conv2d)
        return convolve(x, convolution, norm)


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity; ends in a ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = ConvNorm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, H, W]`` -> the same shape."""
        return F.relu(x + self.second(F.relu(self.first(x), inplace=True)), inplace=True)


def doubled(x: Tensor, size: torch.Size) -> Tensor:
    """Features brought to the height and width of finer ones."""
    return F.interpolate(x, size=size[-2:], mode="bilinear", align_corners=False)


def centres(height: int, width: int, stride: int, like: Tensor) -> Tensor:
    """Centres of cells in pixels, x and y, ``[height, width, 2]``; a pixel's own centre lies at a half."""
    ys = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) * stride
    xs = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) * stride
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)


def click_maps(points: Tensor, signs: Tensor, boxes: Tensor, height: int, width: int, stride: int) -> Tensor:
    """Clicks and boxes as pictures.

    Args:
        points: places in pixels, ``[N, K, 2]``, x and y.
        signs: ``[N, K]``: 1 wanted, -1 not wanted, 0 no click.
        boxes: left, top, right and bottom in pixels, ``[N, 4]``; one without area stands for no box.
        height, width: of the maps.
        stride: side of their cells in pixels.
    Returns: ``[N, C, height, width]`` in [0, 1]: nearness to wanted clicks at each reach, to those not wanted, the
        box's inside, and its outline.
    """
    grid = centres(height, width, stride, points)
    apart = (points[:, :, None, None] - grid).square().sum(dim=-1)
    maps = []
    for sign in (1, -1):
        nearest = apart.masked_fill((signs != sign)[:, :, None, None], float("inf")).amin(dim=1).sqrt()
        maps += [torch.exp(-((nearest / REACHES[0]) ** 2) / 2), *(torch.exp(-nearest / reach) for reach in REACHES[1:])]
    return torch.stack([*maps, *box_maps(boxes, grid)], dim=1)


def box_maps(boxes: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """The inside of boxes and nearness to their outlines, ``[N, height, width]`` each; see :func:`click_maps`."""
    low, high = boxes[:, None, None, :2], boxes[:, None, None, 2:]
    depth = torch.minimum(grid - low, high - grid).amin(dim=-1)
    there = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)[:, None, None].to(depth.dtype)
    return torch.sigmoid(depth / 2) * there, torch.exp(-depth.abs() / EDGE) * there
