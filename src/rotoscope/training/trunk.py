"""Begin a network's image encoder with that of other weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.methods import METHODS, method_class, method_module
from rotoscope.methods.base import Method
from rotoscope.weights.catalogue import find, verified
from rotoscope.weights.load import open_file
from rotoscope.weights.pickles import open_pickle

IMAGENET = ("conv1.weight", "layer1.0.conv1.weight")
"""Entries that tell a bare residual network, in the names of torchvision, as ImageNet weights are released."""


def begin_trunk(method: Method, name: str, weights: str) -> int:
    """Copy the image encoder of ``weights`` into a method; what the two do not share stays as it is.

    Args:
        method: changed in place.
        name: its name.
        weights: name or file of any method's weights, or a file of a bare ResNet in torchvision's names.
    Returns: how many tensors were taken.

    Raises:
        InputError: the weights are not known, or nothing of their image encoder fits.
    """
    prefix = f"network.{method_module(name, 'training').TRUNK}"
    ours = method.state_dict()
    theirs = {prefix + entry: tensor for entry, tensor in _encoder(weights).items()}
    fitting = {
        entry: tensor
        for entry, tensor in theirs.items()
        if entry in ours and ours[entry].shape == tensor.shape and tensor.is_floating_point()
    }
    if not fitting:
        raise InputError(
            f"trunk {weights}: nothing of its image encoder fits {name}. Give other weights: --set trunk=…"
        )
    method.load_state_dict(fitting, strict=False)
    return len(fitting)


def _encoder(weights: str) -> Mapping[str, Tensor]:
    """The image encoder of weights, without the prefix of its place."""
    path = Path(weights) if Path(weights).exists() else verified(find(weights))
    if path.is_file() and path.suffix != ".safetensors":
        loaded = open_pickle(path)
        if all(entry in loaded for entry in IMAGENET):
            return {str(entry): tensor for entry, tensor in loaded.items() if isinstance(tensor, Tensor)}
    source = open_file(path)
    kind = next(name for name in METHODS if method_class(name) is type(source))
    prefix = f"network.{method_module(kind, 'training').TRUNK}"
    return {k.removeprefix(prefix): tensor for k, tensor in source.state_dict().items() if k.startswith(prefix)}
