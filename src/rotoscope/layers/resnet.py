"""Residual networks as encoders that return features at several strides (He et al., CVPR 2016).

Names and layout follow torchvision (stride on the 3x3 convolution of a bottleneck), so that the ImageNet weights
of the papers fit. Only what a segmentation encoder needs is built: no pooling to a vector, no classifier.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.packed import fused

Depth = Literal[18, 50, 101]
OutputStride = Literal[8, 16, 32]
BLOCKS: dict[int, tuple[int, ...]] = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut."""

    expansion = 1

    def __init__(self, channels_in: int, planes: int, stride: int, bias: bool, dilation: tuple[int, int]) -> None:
        super().__init__()
        first, second = dilation
        self.conv1 = nn.Conv2d(channels_in, planes, 3, stride, first, first, bias=bias)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, second, second, bias=bias)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = make_shortcut(channels_in, planes, stride, bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, H, W]`` -> ``[B, planes, H/stride, W/stride]``."""
        y = fused(x, self.conv1, self.bn1, activation="relu")
        shortcut = x if self.downsample is None else self.downsample(x)
        return fused(y, self.conv2, self.bn2, activation="relu", plus=shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 (carrying the stride) and 1x1 convolutions with batch norm and a shortcut."""

    expansion = 4

    def __init__(self, channels_in: int, planes: int, stride: int, bias: bool, dilation: tuple[int, int]) -> None:
        super().__init__()
        spread = dilation[0]
        self.conv1 = nn.Conv2d(channels_in, planes, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, spread, spread, bias=bias)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * 4, 1, bias=bias)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.downsample = make_shortcut(channels_in, planes * 4, stride, bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, H, W]`` -> ``[B, 4 * planes, H/stride, W/stride]``."""
        y = fused(x, self.conv1, self.bn1, activation="relu")
        y = fused(y, self.conv2, self.bn2, activation="relu")
        shortcut = x if self.downsample is None else self.downsample(x)
        return fused(y, self.conv3, self.bn3, activation="relu", plus=shortcut)


def make_shortcut(channels_in: int, channels_out: int, stride: int, bias: bool) -> nn.Sequential | None:
    """Return the 1x1 projection of a block's shortcut, or None where the identity fits."""
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride, bias=bias), nn.BatchNorm2d(channels_out))


class ResNet(nn.Module):
    """A residual network without its classifier.

    Args:
        depth: 18, 50 or 101.
        stages: how many of the four stages to build; 3 ends at stride 16, 4 at stride 32.
        channels_in: channels of the input, 3 for RGB.
        width: channels of the first convolution, 64 as published.
        last_width: planes of the fourth stage, where two thirds of a small network are; 8 times ``width`` if None.
        bias: whether the convolutions have a bias (STCN's value encoder does).
        output_stride: no stage goes beyond it. A stage that would halve the picture once more keeps its size and
            dilates instead: the 3x3 convolution that gives up its stride keeps the dilation that came before it, all
            after it get twice that. So every weight still sees the cells that it was trained for.
        caffe: the layout of networks that were converted from Caffe, such as DeepLab's: a bottleneck has its stride on
            its first 1x1 convolution, the pooling takes in an incomplete last cell, and a stage that keeps its size
            has its whole dilation from its first convolution on.
        stem: return the features before the pooling, at stride 2, before those of the stages.
    """

    def __init__(
        self,
        depth: Depth = 50,
        *,
        stages: int = 4,
        channels_in: int = 3,
        width: int = 64,
        last_width: int | None = None,
        bias: bool = False,
        output_stride: OutputStride = 32,
        caffe: bool = False,
        stem: bool = False,
    ) -> None:
        super().__init__()
        block = BasicBlock if depth == 18 else Bottleneck
        self.caffe = caffe
        self.conv1 = nn.Conv2d(channels_in, width, 7, 2, 3, bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.stem = stem
        self.channels: list[int] = [width] if stem else []
        self.stages = stages
        channels, dilation = width, 1
        for stage in range(stages):
            planes = last_width if last_width is not None and stage == 3 else width * 2**stage
            stride, before = (2 if stage else 1), dilation
            if 2 ** (2 + stage) > output_stride:
                stride, dilation = 1, 2 * dilation
            layers = []
            for index in range(BLOCKS[depth][stage]):
                first = index == 0
                spread = (before if first and not caffe else dilation, dilation)
                layers.append(block(channels, planes, stride if first else 1, bias, spread))
                if caffe and isinstance(layers[-1], Bottleneck):
                    layers[-1].conv1.stride, layers[-1].conv2.stride = layers[-1].conv2.stride, (1, 1)
                channels = planes * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            self.channels.append(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # a second to import what does it there
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of every stage, finest first.

        Args:
            x: normalised image, ``[B, channels_in, H, W]``.
        Returns: ``[B, channels[i], H / s, W / s]`` for each stage ``i``, after its last ReLU; ``s`` is ``2**(2 + i)``,
            at most ``output_stride``. With ``stem``, before them those at stride 2.
        """
        x = fused(x, self.conv1, self.bn1, activation="relu")
        features = [x] if self.stem else []
        x = F.max_pool2d(x, 3, 2, 1, ceil_mode=self.caffe)
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            features.append(x)
        return features
