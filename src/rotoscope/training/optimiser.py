"""The optimiser that a recipe asks for, and the parts of a network that it leaves alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rotoscope.errors import InputError
from rotoscope.methods import training_of
from rotoscope.methods.recipe import Recipe


def freeze(network: nn.Module, frozen: tuple[str, ...]) -> None:
    """Leave parameters whose names begin so out of training.

    Raises:
        InputError: no parameter's name begins so.
    """
    for beginning in frozen:
        chosen = [parameter for name, parameter in network.named_parameters() if name.startswith(beginning)]
        if not chosen:
            raise InputError(f"frozen {beginning!r}: the network has no such part.")
        for parameter in chosen:
            parameter.requires_grad_(False)


def hold_norms(network: nn.Module, recipe: Recipe) -> None:
    """Put the recipe's frozen batch norms into evaluation: they neither use nor change the batch's statistics."""
    for name, module in network.named_modules():
        if is_held(name, recipe) and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def is_held(name: str, recipe: Recipe) -> bool:
    """Whether a batch norm of that name keeps its statistics."""
    return recipe.frozen_norms or f"{name}.".startswith(recipe.frozen)


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; each group of parameters carries the share of the rate that it gets."""
    trunk = training_of(recipe.method).image_encoder
    beginnings = sorted({name for stage in recipe.kinds() for name in stage.rates}, key=len, reverse=True)
    groups: dict[tuple[str, float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        share = recipe.trunk_rate if name.startswith(trunk) else 1.0
        part = next((beginning for beginning in beginnings if name.startswith(beginning)), "")
        decayed = recipe.optimiser != "adamw" or parameter.ndim > 1
        groups.setdefault((part, share, recipe.weight_decay if decayed else 0.0), []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": decay, "share": share, "part": part}
        for (part, share, decay), parameters in groups.items()
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(listed, lr=recipe.learning_rate, momentum=recipe.betas[0])
    kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    return kind(listed, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.epsilon)
