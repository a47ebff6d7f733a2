"""Checkpoints on disk: ours (safetensors with the config as JSON) and the authors' (PyTorch, renamed by a table)."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rotoscope.errors import CheckpointError
from rotoscope.files import atomic_write
from rotoscope.methods import METHODS, method_class, method_module
from rotoscope.methods.base import Method
from rotoscope.weights.arrays import read_npz, read_tensorflow, tensorflow_prefix
from rotoscope.weights.pickles import open_pickle

FORMAT = "rotoscope-1"


def save_method(path: Path, method: str, config: Any, state: Mapping[str, Tensor], *, half: bool = False) -> None:
    """Write weights of ours.

    Args:
        path: a ``.safetensors`` file.
        method: its name in :data:`~rotoscope.methods.METHODS`.
        config: the method's config, a dataclass.
        state: the method's state dict.
        half: store floating-point tensors as float16.
    """
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().contiguous().clone()
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
    metadata = {"format": FORMAT, "method": method, "config": json.dumps(dataclasses.asdict(config))}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata)


def read_own(path: Path) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Read weights of ours: the method's name, its config as a dict, float32 tensors.

    Raises:
        CheckpointError: truncated, or not ours.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: truncated or damaged ({error}). Get the file again.") from None
    if metadata.get("format") != FORMAT or metadata.get("method") not in METHODS:
        raise CheckpointError(f"{path}: a safetensors file that is not of this project. Give one that it saved.")
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return metadata["method"], upgraded(json.loads(metadata["config"])), floats


def upgraded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config in the fields of today.

    Before trunks had names, a config held the depth of a residual network: as ``key_depth`` (STCN), as ``depth``, or,
    of CapsuleVOS, as the number ``trunk``.
    """
    fields = dict(fields)
    depth = fields.pop("key_depth", fields.pop("depth", fields.get("trunk")))
    if isinstance(depth, int):
        fields["trunk"] = f"resnet{depth}"
    return fields


def read_official(path: Path, method: str | None) -> tuple[str, dict[str, Tensor]]:
    """Read a checkpoint of PyTorch, NumPy or TensorFlow, unwrapped; find out whose it is by its names unless told.

    Raises:
        CheckpointError: truncated, unsafe, or of no known network.
        InputError: of TensorFlow, which is not installed.
    """
    prefix = tensorflow_prefix(path)
    if path.is_dir():
        return _read_folder(path, method)
    loaded: Mapping[Any, Any]
    if prefix is not None:
        loaded = read_tensorflow(prefix)
    else:
        loaded = read_npz(path) if path.suffix == ".npz" else open_pickle(path)
    for name in [method] if method else METHODS:
        official = method_module(name, "official")
        state = official.unwrap(loaded)
        state = {str(key).removeprefix("module."): value for key, value in state.items() if isinstance(value, Tensor)}
        if method or all(entry in state for entry in official.SIGNATURE):
            return name, state
    first = ", ".join(str(key) for key in list(loaded)[:3])
    raise CheckpointError(f"{path}: of no network known here (its first entries: {first}).")


def _read_folder(path: Path, method: str | None) -> tuple[str, dict[str, Tensor]]:
    """Read a checkpoint that was released as several files in a folder, each with a prefix of its own."""
    for name in [method] if method else METHODS:
        files: Mapping[str, str] = getattr(method_module(name, "official"), "FILES", {})
        if not files or not all((path / file).is_file() for file in files.values()):
            continue
        state = {}
        for prefix, file in files.items():
            for key, value in open_pickle(path / file).items():
                if isinstance(value, Tensor):
                    state[prefix + str(key).removeprefix("module.")] = value
        return name, state
    raise CheckpointError(
        f"{path}: is a folder without the files of a released checkpoint. Give the weights file itself."
    )


def from_official(path: Path, method: str, state: dict[str, Tensor]) -> Method:
    """Build the released network and fill it with the authors' tensors.

    Raises:
        CheckpointError: entries that are missing, unexpected, or of another shape; the first are named.
    """
    official = method_module(method, "official")
    missing = [entry for entry in official.SIGNATURE if entry not in state]
    config_of = getattr(official, "config_of", None)
    if missing and config_of is not None:
        raise CheckpointError(f"{path}: does not fit {method}: {missing[0]} is missing.")
    model = method_class(method)(official.CONFIG if config_of is None else config_of(state))
    state = official.adapt(dict(state))
    renamed: dict[str, Tensor] = {}
    unexpected: list[str] = []
    for name, tensor in state.items():
        for pattern, prefix in official.OFFICIAL.items():
            match = re.match(pattern, name)
            if match:
                renamed[prefix + name[match.end() :]] = tensor
                break
        else:
            unexpected.append(name)
    fill(model, renamed, path, unexpected)
    return model


def fill(model: Method, state: Mapping[str, Tensor], path: Path, unexpected: list[str] | None = None) -> None:
    """Load ``state`` strictly, naming the first entries that do not fit."""
    expected = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    faults = [f"{name} is missing" for name in expected if name not in given]
    faults += [f"{name} is not expected" for name in [*(unexpected or []), *(n for n in given if n not in expected)]]
    faults += [
        f"{name} is {list(given[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CheckpointError(f"{path}: does not fit the network: {'; '.join(faults[:3])}{more}.")
    model.load_state_dict(given, strict=False)
