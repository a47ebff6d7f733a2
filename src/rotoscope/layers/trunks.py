"""The image encoders that a config may name."""

from __future__ import annotations

from typing import Literal, get_args

from rotoscope.errors import InputError, suggestion
from rotoscope.layers.efficientnet import EfficientNetLite
from rotoscope.layers.resnet import ResNet

TrunkName = Literal[
    "resnet18", "resnet50", "resnet101", "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"
]
TRUNKS: tuple[TrunkName, ...] = get_args(TrunkName)


def check_trunk(name: str) -> None:
    """Refuse a name that is not known.

    Raises:
        InputError: it is none of :data:`TRUNKS`.
    """
    if name not in TRUNKS:
        raise InputError(f"trunk {name!r} is not known{suggestion(str(name), TRUNKS)}; use {', '.join(TRUNKS)}.")


def build_trunk(
    name: str,
    *,
    stages: int = 4,
    output_stride: Literal[8, 16, 32] = 32,
    last_width: int | None = None,
    caffe: bool = False,
) -> ResNet | EfficientNetLite:
    """Build an image encoder.

    Args:
        name: one of :data:`TRUNKS`.
        stages: how many resolutions it returns; 3 ends at stride 16, 4 at stride 32.
        output_stride: no stage goes beyond it; stages that would dilate instead.
        last_width, caffe: of residual networks only (see :class:`~rotoscope.layers.resnet.ResNet`).

    Raises:
        InputError: the name is not known.
    """
    check_trunk(name)
    family, _, size = name.rpartition("-lite") if "-lite" in name else ("resnet", "", name.removeprefix("resnet"))
    if family == "resnet":
        return ResNet(int(size), stages=stages, output_stride=output_stride, last_width=last_width, caffe=caffe)  # type: ignore[arg-type]
    return EfficientNetLite(int(size), stages=stages, output_stride=output_stride)  # type: ignore[arg-type]
