"""EfficientNet-Lite as an encoder that returns features at several strides (Google, Apache-2.0; Tan and Le, ICML 2019).

Lite networks are EfficientNets without squeeze-and-excitation and with ReLU6, made for processors without a GPU. The
layout follows the published TensorFlow weights, padding included, so that weights learnt on ImageNet fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.layers.folding import convolve
from rotoscope.layers.normalise import MEAN, STD
from rotoscope.layers.packed import PackedConv2d
from rotoscope.layers.tracing import is_traced

LiteSize = Literal[0, 1, 2]
EPSILON = 1e-3
STAGE_ENDS = (1, 2, 4, 6)
"""Features at stride 4, 8, 16 and 32 are those after these stages, counted from 0."""
STRIP = 9 << 19
"""Bytes of expanded features, 4.5 MiB, that a processor's cache takes; more than twice as many are made in strips."""


class StageShape(NamedTuple):
    """One stage: output channels, kernel side, stride of its first block, expansion, number of blocks."""

    channels: int
    kernel: int
    stride: int
    expansion: int
    blocks: int


STEM = 32
HEAD = 1280
CLASSES = 1000
SHAPES: dict[int, tuple[StageShape, ...]] = {
    size: tuple(
        StageShape(*shape)
        for shape in zip(
            channels, (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (1, 6, 6, 6, 6, 6, 6), blocks, strict=True
        )
    )
    for size, channels, blocks in (
        (0, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
        (1, (16, 24, 40, 80, 112, 192, 320), (1, 3, 3, 4, 4, 5, 1)),
        (2, (16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
    )
}
"""Stages of Lite 0, 1 and 2."""


class LiteBlock(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise convolution, linear 1x1 projection.

    Args:
        channels_in: channels of the input.
        shape: kernel, stride and expansion of the stage; its stride is the block's.
        dilation: the dilation of the depthwise convolution.
    """

    def __init__(self, channels_in: int, shape: StageShape, dilation: int = 1) -> None:
        super().__init__()
        inner = channels_in * shape.expansion
        self.expands = shape.expansion > 1
        self.residual = shape.stride == 1 and channels_in == shape.channels
        if self.expands:
            self.conv1 = nn.Conv2d(channels_in, inner, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(inner, eps=EPSILON)
        padding = 0 if shape.stride == 2 else shape.kernel // 2 * dilation
        self.conv2 = nn.Conv2d(inner, inner, shape.kernel, shape.stride, padding, dilation, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner, eps=EPSILON)
        self.conv3 = nn.Conv2d(inner, shape.channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(shape.channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels_in, H, W]`` -> ``[B, channels, H/stride, W/stride]``."""
        strided, kernel = self.conv2.stride[0] == 2, self.conv2.kernel_size[0]
        # padding fewer channels is cheaper, but writes zeros into views, which neither gradients nor traces can follow
        late = strided and self.expands and not torch.is_grad_enabled() and not is_traced()
        margins = same_margins(x, kernel)
        if late:
            return self._in_strips(F.pad(x, margins), margins)
        y = convolve(x, self.conv1, self.bn1, activation="relu6") if self.expands else x
        y = convolve(F.pad(y, margins) if strided else y, self.conv2, self.bn2, activation="relu6")
        return convolve(y, self.conv3, self.bn3, plus=x if self.residual else None)

    def _in_strips(self, x: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
        """A strided block on ``x`` with its margins, ``[B, C, H, W]``: few rows at a time where there are many.

        What one row of the result is made of does not depend on the others, so strips give the same numbers.
        """
        left, right, top, bottom = margins
        kernel, height = self.conv2.kernel_size[0], x.shape[-2]
        rows = (height - kernel) // 2 + 1
        packed = isinstance(self.conv1, PackedConv2d) and self.conv1.takes(x) and len(x) == 1
        expanded = self.conv1.out_channels * height * x.shape[-1] * x.element_size()
        strips = -(-expanded // STRIP) if packed and expanded > 2 * STRIP else 1
        each = -(-rows // strips)
        parts = []
        for row in range(0, rows, each):
            first, last = 2 * row, 2 * (min(row + each, rows) - 1) + kernel
            y = convolve(x[:, :, first:last], self.conv1, self.bn1, activation="relu6")
            clear_margins(y, (left, right, max(top - first, 0), max(last - (height - bottom), 0)))
            y = convolve(y, self.conv2, self.bn2, activation="relu6")
            parts.append(convolve(y, self.conv3, self.bn3))
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]


class EfficientNetLite(nn.Module):
    """An EfficientNet-Lite without its classifier.

    Args:
        size: 0, 1 or 2.
        stages: how many resolutions to return; 3 ends at stride 16, 4 at stride 32.
        output_stride: no stage goes beyond it; a stage that would halve the picture once more keeps its size, and all
            depthwise convolutions after it dilate instead.
        classifier: build the 1x1 head and the classifier as well, for :meth:`classify`.
        stem: return the features after the first stage, at stride 2, before the others.
    """

    def __init__(
        self,
        size: LiteSize = 0,
        *,
        stages: int = 4,
        output_stride: int = 32,
        classifier: bool = False,
        stem: bool = False,
    ) -> None:
        super().__init__()
        self.size = size
        self.conv1 = nn.Conv2d(3, STEM, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM, eps=EPSILON)
        channels, stride, dilation = STEM, 2, 1
        self.channels: list[int] = []
        ends = ((0,) if stem else ()) + STAGE_ENDS[:stages]
        self.ends: list[int] = []
        blocks: list[LiteBlock] = []
        for number, shape in enumerate(SHAPES[size][: ends[-1] + 1]):
            step, spread = shape.stride, dilation
            if step == 2 and stride >= output_stride:
                step, dilation = 1, dilation * 2
            stride *= step
            for index in range(shape.blocks):
                first = shape._replace(stride=step if index == 0 else 1)
                blocks.append(LiteBlock(channels, first, spread if index == 0 else dilation))
                channels = shape.channels
            if number in ends:
                self.channels.append(channels)
                self.ends.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self.head: nn.Conv2d | None = None
        if classifier:
            self.head = nn.Conv2d(channels, HEAD, 1, bias=False)
            self.head_norm = nn.BatchNorm2d(HEAD, eps=EPSILON)
            self.fc = nn.Linear(HEAD, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # a second to import what does it there
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features at stride (2,) 4, 8, 16 (and 32), finest first.

        Args:
            x: image normalised with ImageNet's mean and deviation, ``[B, 3, H, W]``, any size.
        Returns: ``[B, channels[i], H / s, W / s]``, rounded up at every halving, for each resolution ``i``, without
            activation; ``s`` is ``2**(2 + i)`` (with ``stem`` ``2**(1 + i)``), at most ``output_stride``.
        """
        x = pad_same(published_range(x), 3)
        x = convolve(x, self.conv1, self.bn1, activation="relu6")
        features = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.ends:
                features.append(x)
        return features

    def classify(self, x: Tensor) -> Tensor:
        """Logits of ImageNet's classes, ``[B, 1000]``, for a network built with its classifier and all stages."""
        if self.head is None:
            raise ValueError("this network was built without its classifier")
        y = F.relu6(convolve(self.forward(x)[-1], self.head, self.head_norm))
        logits: Tensor = self.fc(y.mean(dim=(2, 3)))
        return logits


def published_range(image: Tensor) -> Tensor:
    """From ImageNet's mean and deviation to what the published weights expect, ``(255 * RGB - 127) / 128``.

    Done on the image rather than in the first convolution, since the zeros around it are zeros in that range.
    """
    scale = image.new_tensor([255 * deviation / 128 for deviation in STD])[:, None, None]
    shift = image.new_tensor([(255 * mean - 127) / 128 for mean in MEAN])[:, None, None]
    if image.dtype in (torch.bfloat16, torch.float16):  # the same numbers, four times as fast on a CPU as in that type
        return image.float().mul_(scale.float()).add_(shift.float()).to(image.dtype)
    return torch.addcmul(shift, image, scale)


def same_margins(x: Tensor, kernel: int) -> tuple[int, int, int, int]:
    """Left, right, top and bottom zeros of a convolution of stride 2 as TensorFlow's SAME adds them.

    Args:
        x: ``[B, C, H, W]``; a side that is even gets ``kernel - 2`` cells in all, an odd one ``kernel - 1``, the
            smaller half first.
        kernel: side of the convolution's kernel, odd.
    """
    height, width = (kernel - 2 + side % 2 for side in x.shape[-2:])
    return width // 2, width - width // 2, height // 2, height - height // 2


def pad_same(x: Tensor, kernel: int) -> Tensor:
    """Zeros around ``x``; see :func:`same_margins`."""
    return F.pad(x, same_margins(x, kernel))


def clear_margins(x: Tensor, margins: tuple[int, int, int, int]) -> None:
    """Put margins back to zero, in place, after layers that do not leave zeros as they are."""
    left, right, top, bottom = margins
    height, width = x.shape[-2:]
    for edge in (x[..., :top, :], x[..., height - bottom :, :], x[..., :left], x[..., width - right :]):
        edge.zero_()


PUBLISHED: dict[str, str] = {
    r"_conv_stem\.": "conv1.",
    r"_bn0\.": "bn1.",
    r"_blocks\.(\d+)\._expand_conv\.": r"blocks.\1.conv1.",
    r"_blocks\.(\d+)\._bn0\.": r"blocks.\1.bn1.",
    r"_blocks\.(\d+)\._depthwise_conv\.": r"blocks.\1.conv2.",
    r"_blocks\.(\d+)\._bn1\.": r"blocks.\1.bn2.",
    r"_blocks\.(\d+)\._project_conv\.": r"blocks.\1.conv3.",
    r"_blocks\.(\d+)\._bn2\.": r"blocks.\1.bn3.",
    r"_conv_head\.": "head.",
    r"_bn1\.": "head_norm.",
    r"_fc\.": "fc.",
}
"""Beginnings of the published names and what they are here."""

SIGNATURE = "_conv_stem.weight"
"""An entry that tells these weights from others."""


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights under our names.

    Raises:
        InputError: an entry that no name of the published layout fits.
    """
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for pattern, replacement in PUBLISHED.items():
            ours_name, count = re.subn(rf"^{pattern}", replacement, name)
            if count:
                ours[ours_name] = tensor
                break
        else:
            raise InputError(f"{name!r} is no entry of EfficientNet-Lite's published weights.")
    return ours
