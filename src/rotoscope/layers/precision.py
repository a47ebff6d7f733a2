"""The fast form of a network: norms folded into convolutions, these packed, channels last, native bfloat16."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rotoscope.layers.blocks import CellConv2d
from rotoscope.layers.packed import PackedConv2d, has_packed

CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Processor flags of native bfloat16: two of x86, one of ARM."""


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 rather than imitating it; a processor must have it and oneDNN use it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    described = Path("/proc/cpuinfo")
    if not described.exists():
        return False
    lines = described.read_text().splitlines()
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return bool(CPU_FLAGS & set(flags.split())) and has_packed(torch.bfloat16)


def fold_batch_norms(model: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place.

    A pair is a module ``convN`` with a sibling ``bnN``, or a convolution followed by a batch norm in a Sequential.
    """
    for parent in list(model.modules()):
        names = [name for name, _ in parent.named_children()]
        pairs = [(name, name.replace("conv", "bn")) for name in names if name.startswith("conv")]
        if isinstance(parent, nn.Sequential):
            pairs += list(itertools.pairwise(names))
        for first, second in pairs:
            convolution, norm = getattr(parent, first), getattr(parent, second, None)
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, first, fuse_conv_bn_eval(convolution, norm))
                setattr(parent, second, nn.Identity())


def pack_convolutions(model: nn.Module) -> None:
    """Put packed convolutions in the place of plain ones, in place; nothing where PyTorch has no oneDNN."""
    if not has_packed():
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            plain = child.whole() if isinstance(child, CellConv2d) else child
            if type(plain) is nn.Conv2d and plain.padding_mode == "zeros" and not isinstance(plain.padding, str):
                setattr(parent, name, PackedConv2d.of(plain))


def apply_precision(model: nn.Module, precision: str, *, bfloat16: bool) -> None:
    """Put a network in its fast form, in place; ``exact`` leaves it as it is."""
    if precision == "exact":
        return
    fold_batch_norms(model)
    for parameter in model.parameters():  # those of 3-D convolutions have a layout of their own
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(parameter.ndim)
        if layout is not None:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    if bfloat16:
        model.to(torch.bfloat16)
    if all(parameter.device.type == "cpu" for parameter in model.parameters()):
        pack_convolutions(model)
