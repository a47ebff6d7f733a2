"""The mean of several weights of one network, tensor by tensor.

Networks that were trained on from the same beginning often have a mean that answers better than each of them (Wortsman
et al., "Model soups", ICML 2022). Networks with beginnings of their own do not: their mean answers nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.methods import name_of
from rotoscope.methods.model import Model


def averaged(models: Sequence[Model], names: Sequence[str], shares: Sequence[float] | None = None) -> dict[str, Tensor]:
    """The mean of models' state dicts.

    Args:
        models: of one method and one config, in float32.
        names: what each is called in errors, in the same order.
        shares: of each in the mean, positive, summing to 1; all alike if left out.

    Returns:
        A state dict; tensors of whole numbers are the first model's.

    Raises:
        InputError: models of different methods or configs, or shares that cannot be; says which.
    """
    shares = [1 / len(models)] * len(models) if shares is None else shares
    if len(shares) != len(models):
        raise InputError(f"{len(shares)} shares for {len(models)} weights. Give one for each.")
    if any(not share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-3:
        raise InputError(f"shares {', '.join(map(str, shares))}: must be above 0 and sum to 1.")
    kind, config = name_of(models[0]), dataclasses.asdict(models[0].config)
    for model, name in zip(models[1:], names[1:], strict=True):
        if name_of(model) != kind:
            raise InputError(f"{name}: weights of {name_of(model)}, while {names[0]} has those of {kind}.")
        other = dataclasses.asdict(model.config)
        fields = [field for field in config if config[field] != other[field]]
        if fields:
            raise InputError(
                f"{name}: its {fields[0]} is {other[fields[0]]!r}, that of {names[0]} is {config[fields[0]]!r}. "
                "Only weights of one config have a mean."
            )
    states = [model.state_dict() for model in models]
    mean = dict(states[0])
    for key, tensor in mean.items():
        if tensor.is_floating_point():
            parts = [share * state[key].double() for share, state in zip(shares, states, strict=True)]
            mean[key] = torch.stack(parts).sum(dim=0).to(tensor.dtype)
    return mean
