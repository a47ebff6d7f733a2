"""The whole state of a training run in one safetensors file, written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rotoscope.errors import CheckpointError, WriteError, shown
from rotoscope.files import atomic_write


def save_run(
    path: Path,
    model: nn.Module,
    average: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    facts: Mapping[str, Any],
) -> None:
    """Save weights, their moving average, the optimiser's moments, and ``facts`` (JSON-able).

    Raises:
        WriteError: they cannot be written; what was saved before is as it was.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
    try:
        with atomic_write(path) as temporary:
            save_file(
                {name: t.detach().contiguous().clone() for name, t in tensors.items()},
                temporary,
                {"facts": json.dumps(facts)},
            )
    except SafetensorError as error:  # what it makes of a full disk
        raise WriteError(f"{path}: cannot be written ({shown(error)}). Make room or choose another place.") from None


def load_run(
    path: Path, model: nn.Module, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore what :func:`save_run` saved, in place, and return its ``facts``.

    Raises:
        CheckpointError: the file is truncated, or belongs to another run.
    """
    try:
        with safe_open(path, "pt") as file:
            facts: dict[str, Any] = json.loads((file.metadata() or {})["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a training checkpoint ({shown(error)}). Remove it to start again."
        ) from None
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    try:
        model.load_state_dict(parts["model"])
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: of another network than the recipe's ({str(error).splitlines()[1].strip()})"
        ) from None
    for name, tensor in parts["average"].items():
        average[name].copy_(tensor)
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        index, _, slot = name.partition(".")
        state.setdefault(int(index), {})[slot] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return facts
