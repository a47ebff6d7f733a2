"""Weights in eight bits a number: half the size of half precision, for what is shipped and downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rotoscope.errors import CheckpointError
from rotoscope.weights.limits import one_line

SCALE = ".scale"
"""How the name of the tensor ends that holds a packed tensor's scales."""
LEAST = 1024
"""Numbers of the smallest tensor that is packed; what is smaller saves nothing, and norms and biases are small."""
LEVELS = 127
"""Largest whole number used, so that the range is the same on both sides of zero."""


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with every floating-point tensor as float16; others as they are."""
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are stored in eight bits.

    A tensor of two or more dimensions and at least :data:`LEAST` numbers becomes whole numbers from -127 to 127 and,
    under its name with :data:`SCALE` behind it, one float32 scale for each entry of its first dimension: the largest
    magnitude there over 127. The product of both is at most half a scale from what it was. Other floating-point
    tensors become float16.

    Args:
        state: a state dict, in any floating-point type.

    Returns:
        Tensors by name; those that were packed are int8.

    Raises:
        ValueError: a name that a scale's name would take, or a tensor that is already of whole numbers of eight bits.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.dtype == torch.int8 or (name.endswith(SCALE) and name.removesuffix(SCALE) in state):
            raise ValueError(f"{name} cannot be told from a packed tensor or its scales.")
        if tensor.is_floating_point() and tensor.dim() >= 2 and tensor.numel() >= LEAST:
            rows = tensor.detach().float().flatten(1)
            scales = rows.abs().amax(dim=1) / LEVELS
            whole = (rows / scales.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round()
            stored[name] = whole.clamp(-LEVELS, LEVELS).to(torch.int8).view(tensor.shape)
            stored[name + SCALE] = scales
        else:
            stored |= halved({name: tensor})
    return stored


def unpacked(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stored weights, with those in float32 that were packed.

    Args:
        path: named in errors.
        tensors: as :func:`packed` gave them.

    Raises:
        CheckpointError: a packed tensor without scales, or with scales that do not fit it.
    """
    opened = {}
    scales = {name + SCALE for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    for name, tensor in tensors.items():
        if name in scales:
            continue
        if tensor.dtype == torch.int8:
            scale = tensors.get(name + SCALE)
            fits = scale is not None and scale.dtype == torch.float32 and tensor.dim() >= 2
            if scale is None or not fits or scale.shape != tensor.shape[:1]:
                raise CheckpointError(
                    f"{path}: {one_line(name)} is stored in eight bits without scales that fit. Get the file again."
                )
            tensor = (tensor.float().flatten(1) * scale[:, None]).view(tensor.shape)
        opened[name] = tensor
    return opened
