"""Small convolutional blocks of memory networks: pre-activation residual block, CBAM, upsampling with a skip."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.packed import fused


class ResBlock(nn.Module):
    """Pre-activation residual block without normalisation (STM and STCN, released code)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(channels_in, channels_out, 3, 1, 1) if channels_in != channels_out else None
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, H, W]`` -> ``[B, channels_out, H, W]``."""
        y = fused(F.relu(x), self.conv1, activation="relu")
        return fused(y, self.conv2, plus=x if self.downsample is None else self.downsample(x))


class CellConv2d(nn.Conv2d):
    """A 1x1 convolution of square cells of pixels: of what ``F.pixel_unshuffle`` makes, without making it.

    Its weights have the shape of that 1x1 convolution, ``[channels_out, channels_in * cell**2, 1, 1]``.
    """

    def __init__(self, channels_in: int, channels_out: int, cell: int) -> None:
        super().__init__(channels_in * cell**2, channels_out, 1)
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, H, W]`` -> ``[B, channels_out, H/cell, W/cell]``."""
        weight = self.weight.reshape(self.out_channels, -1, self.cell, self.cell)
        return F.conv2d(x, weight, self.bias, self.cell)

    def whole(self) -> nn.Conv2d:
        """The plain convolution that it is, with weights ``[channels_out, channels_in, cell, cell]``."""
        channels_in = self.in_channels // self.cell**2
        made = nn.Conv2d(channels_in, self.out_channels, self.cell, self.cell, device="meta")
        weight = self.weight.reshape(self.out_channels, -1, self.cell, self.cell)
        made.weight = nn.Parameter(weight.detach(), requires_grad=self.weight.requires_grad)
        made.bias = self.bias
        return made.train(self.training)


class CBAM(nn.Module):
    """Channel, then spatial attention (Woo et al., ECCV 2018), with the reduction of 16 that STCN uses."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, max(channels // reduction, 1))
        self.excite = nn.Linear(max(channels // reduction, 1), channels)
        self.spatial = nn.Conv2d(2, 1, 7, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` -> the same shape, gated."""
        pooled = torch.stack([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))])
        x = x * torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))).sum(dim=0))[:, :, None, None]
        statistics = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.spatial(statistics))


class UpsampleBlock(nn.Module):
    """Add a finer skip to coarser features upsampled by two, then refine with a residual block."""

    def __init__(self, skip_channels: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(skip_channels, channels_in, 3, 1, 1)
        self.out_conv = ResBlock(channels_in, channels_out)

    def project(self, skip: Tensor) -> Tensor:
        """``[B, skip_channels, 2H, 2W]`` -> ``[B, channels_in, 2H, 2W]``; does not depend on the object."""
        out: Tensor = self.skip_conv(skip)
        return out

    def forward(self, x: Tensor, projected: Tensor) -> Tensor:
        """``x`` ``[B, channels_in, H, W]`` and a projected skip ``[B or 1, channels_in, 2H, 2W]``."""
        up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        out: Tensor = self.out_conv(up + projected)
        return out
