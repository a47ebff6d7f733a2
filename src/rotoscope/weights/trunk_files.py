"""Image encoders in files of others, in the names of torchvision's ResNets: alone, or inside a detector."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from rotoscope.layers import efficientnet
from rotoscope.layers.normalise import STD

RESIDUAL = ("conv1.weight", "layer1.0.conv1.weight")
"""Entries that tell a bare residual network, in the names of torchvision, as ImageNet weights are released."""
TORCHVISION_BODY = "backbone.body."
"""Where detectors of torchvision keep theirs."""
DETECTRON = ("backbone.bottom_up.", "backbone.", "")
"""Where networks of detectron2 keep theirs: with a feature pyramid, without, alone."""
DETECTRON_NAMES = (
    (r"^stem\.conv1\.norm\.", "bn1."),
    (r"^stem\.conv1\.", "conv1."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.shortcut\.", ".downsample.0."),
    (r"\.conv(\d)\.norm\.", r".bn\1."),
)


def bare_trunk(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The image encoder in a file of another project's, under our names; None if there is none that is known.

    Args:
        tensors: of the file, by its own names: a ResNet of torchvision, an EfficientNet-Lite as published, or a
            detector on a ResNet by torchvision or detectron2.
    """
    if all(entry in tensors for entry in RESIDUAL):
        return dict(tensors)
    if efficientnet.SIGNATURE in tensors:
        return efficientnet.renamed(tensors)
    if all(TORCHVISION_BODY + entry in tensors for entry in RESIDUAL):
        return _inside(tensors, TORCHVISION_BODY)
    for prefix in DETECTRON:
        if f"{prefix}stem.conv1.weight" in tensors and f"{prefix}res2.0.conv1.weight" in tensors:
            return _from_detectron(_inside(tensors, prefix))
    return None


def _inside(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _from_detectron(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ResNet of detectron2's model zoo in torchvision's names, for images as ours are.

    Theirs sees blue, green and red in [0, 255] less ImageNet's mean; what that differs by goes into the first
    convolution. Its bottlenecks have their stride on the first convolution, ours on the second: the weights are the
    same, and training gets used to it.
    """
    renamed = {}
    for name, tensor in tensors.items():
        stage = re.match(r"res(\d)\.", name)
        new = f"layer{int(stage[1]) - 1}.{name[stage.end() :]}" if stage else name
        for pattern, ours in DETECTRON_NAMES:
            new = re.sub(pattern, ours, new)
        renamed[new] = tensor
    scale = 255 * torch.tensor(STD, dtype=renamed[RESIDUAL[0]].dtype)
    renamed[RESIDUAL[0]] = renamed[RESIDUAL[0]].flip(1) * scale[:, None, None]
    return renamed
