"""The image encoders that a config may name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import torch
from torch import Tensor

from rotoscope.errors import InputError, suggestion
from rotoscope.layers.efficientnet import EfficientNetLite
from rotoscope.layers.resnet import BLOCKS, ResNet

TrunkName = Literal[
    "resnet18", "resnet50", "resnet101", "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"
]
TRUNKS: tuple[TrunkName, ...] = get_args(TrunkName)
LITE = "efficientnet-lite"
LITE_SCALE = 0.17
"""EfficientNet-Lite's features end in no activation and deviate by about 6, where those of other layers begin near 1:
what reads them begins so much smaller."""


def is_lite(name: str) -> bool:
    """Whether a trunk is an EfficientNet-Lite, not a residual network."""
    return name.startswith(LITE)


def check_trunk(name: str, *, caffe: bool = False) -> None:
    """Refuse a name that is not known, and Caffe's layout of what is no residual network.

    Raises:
        InputError: it is none of :data:`TRUNKS`, or an EfficientNet-Lite with ``caffe``.
    """
    if name not in TRUNKS:
        raise InputError(f"trunk {name!r} is not known{suggestion(str(name), TRUNKS)}; use {', '.join(TRUNKS)}.")
    if caffe and is_lite(name):
        raise InputError(f"caffe is a layout of residual networks: with trunk={name} give caffe=false.")


def build_trunk(
    name: str,
    *,
    stages: int = 4,
    output_stride: Literal[8, 16, 32] = 32,
    last_width: int | None = None,
    caffe: bool = False,
    stem: bool = False,
) -> ResNet | EfficientNetLite:
    """Build an image encoder.

    Args:
        name: one of :data:`TRUNKS`.
        stages: how many resolutions it returns; 3 ends at stride 16, 4 at stride 32.
        output_stride: no stage goes beyond it; stages that would dilate instead.
        last_width: planes of a residual network's last stage (see :class:`~rotoscope.layers.resnet.ResNet`); other
            encoders leave it unused.
        caffe: see :class:`~rotoscope.layers.resnet.ResNet`.
        stem: return features at stride 2 as well, before the others.

    Raises:
        InputError: see :func:`check_trunk`.
    """
    check_trunk(name, caffe=caffe)
    if is_lite(name):
        return EfficientNetLite(int(name.removeprefix(LITE)), stages=stages, output_stride=output_stride, stem=stem)  # type: ignore[arg-type]
    depth = int(name.removeprefix("resnet"))
    return ResNet(
        depth,  # type: ignore[arg-type]
        stages=stages,
        output_stride=output_stride,
        last_width=last_width,
        caffe=caffe,
        stem=stem,
    )


def begin_small(trunk: str, *weights: Tensor) -> None:
    """Scale layers that read an EfficientNet-Lite's features to their size, in place; others stay as they are.

    A layer with a batch norm right behind it needs none of this.

    Args:
        trunk: one of :data:`TRUNKS`.
        weights: the weights of the layers, or the part of them that reads the features.
    """
    if is_lite(trunk):
        with torch.no_grad():
            for weight in weights:
                weight.mul_(LITE_SCALE)


def residual_name(entries: Collection[str], prefix: str, default: TrunkName) -> TrunkName:
    """The residual network that a checkpoint in torchvision's names holds, all of it or its first stages.

    Args:
        entries: names of the checkpoint's tensors.
        prefix: what stands before ``layer1``.
        default: where the number of blocks fits none, or fits this one too.
    """
    counted = tuple(
        sum(f"{prefix}layer{stage}.{index}.conv1.weight" in entries for index in range(40)) for stage in range(1, 5)
    )
    stages = sum(map(bool, counted))  # encoders of STCN and GIEL end with the third
    bottleneck = f"{prefix}layer1.0.conv3.weight" in entries
    fitting: list[TrunkName] = [
        name
        for depth, blocks in BLOCKS.items()
        for name in TRUNKS
        if name == f"resnet{depth}" and blocks[:stages] == counted[:stages] and (depth != 18) == bottleneck
    ]
    if stages and fitting and default not in fitting:
        return fitting[0]
    return default
