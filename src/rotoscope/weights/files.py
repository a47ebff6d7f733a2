"""Checkpoints on disk: ours (safetensors with the config as JSON) and the authors' (PyTorch, renamed by a table)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rotoscope.errors import CheckpointError, InputError
from rotoscope.files import atomic_write
from rotoscope.methods import METHODS, MODELS, build_model, model_class, released
from rotoscope.methods.model import Model
from rotoscope.weights.arrays import read_npz, read_tensorflow, tensorflow_prefix
from rotoscope.weights.limits import MOST_ENTRIES, check_config, check_finite, check_size, one_line
from rotoscope.weights.packing import halved, packed, unpacked
from rotoscope.weights.pickles import open_pickle

FORMAT = "rotoscope-1"
PACKED = "rotoscope-2"
"""The format of files that hold tensors in eight bits, which versions before could not open."""
Store = Literal["float32", "float16", "int8"]
"""What the numbers of a file are: the model's own, halves, or :mod:`~rotoscope.weights.packing` over halves."""
MOST_CONFIG = 100_000
"""Characters of a stored config; ours have about 1,000."""
COUNTER = "num_batches_tracked"
"""How names of counters of batches end."""


def save_method(path: Path, method: str, config: Any, state: Mapping[str, Tensor], *, store: Store = "float32") -> None:
    """Write weights of ours.

    Args:
        path: a ``.safetensors`` file.
        method: its name in :data:`~rotoscope.methods.MODELS`.
        config: the method's config, a dataclass.
        state: the method's state dict.
        store: ``float32`` writes the tensors as they are, ``float16`` floating-point ones as halves, ``int8`` large
            ones in eight bits with a scale for each output channel, and all others as halves.
    """
    tensors = {name: tensor.detach() for name, tensor in state.items() if not name.endswith(COUNTER)}
    if store == "int8":
        tensors = packed(tensors)
    elif store == "float16":
        tensors = halved(tensors)
    form = PACKED if store == "int8" else FORMAT
    metadata = {"format": form, "method": method, "config": json.dumps(dataclasses.asdict(config))}
    with atomic_write(path) as temporary:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, temporary, metadata)


def read_own(path: Path) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Read weights of ours: the method's name, its config as a dict of checked fields, float32 tensors.

    Raises:
        CheckpointError: truncated, not ours, or with a config that cannot be.
    """
    check_size(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            ours = metadata.get("format") in (FORMAT, PACKED) and metadata.get("method") in MODELS
            fits = ours and len(names) <= MOST_ENTRIES
            tensors = {name: file.get_tensor(name) for name in names} if fits else {}
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, MemoryError) as error:
        raise CheckpointError(f"{path}: truncated or damaged ({one_line(error)}). Get the file again.") from None
    if not ours:
        raise CheckpointError(f"{path}: a safetensors file that is not of this project. Give one that it saved.")
    if not fits:
        raise CheckpointError(f"{path}: holds {len(names)} tensors, more than any network here. Get the file again.")
    method = metadata["method"]
    fields = check_config(path, model_class(method).config_class, upgraded(_stored_config(path, metadata)))
    if metadata["format"] == PACKED:
        tensors = unpacked(path, tensors)
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return method, fields, floats


def _stored_config(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The config in a file's metadata, unchecked."""
    text = metadata.get("config")
    if text is None:
        raise CheckpointError(f"{path}: its config is missing. Get the file again.")
    try:
        fields = json.loads(text) if len(text) <= MOST_CONFIG else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise CheckpointError(f"{path}: its config is not a table in JSON. Get the file again.")
    return fields


def upgraded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config in the fields of today.

    Before trunks had names, a config held the depth of a residual network: as ``key_depth`` (STCN), as ``depth``, or,
    of CapsuleVOS, as the number ``trunk``. CapsuleVOS's ``carry_states`` was called ``memory``, as policies are.
    """
    fields = dict(fields)
    if isinstance(fields.get("memory"), bool):
        fields["carry_states"] = fields.pop("memory")
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
        official = released(name)
        inner = official.unwrap(loaded)
        state = {str(key).removeprefix("module."): value for key, value in inner.items() if isinstance(value, Tensor)}
        if method or all(entry in state for entry in official.signature):
            return name, state
    first = ", ".join(one_line(key, 60) for key in list(loaded)[:3])
    raise CheckpointError(f"{path}: of no network known here (its first entries: {first}).")


def _read_folder(path: Path, method: str | None) -> tuple[str, dict[str, Tensor]]:
    """Read a checkpoint that was released as several files in a folder, each with a prefix of its own.

    Two methods may use the same files: the one is taken whose longest signature fits.
    """
    read: dict[str, dict[str, Tensor]] = {}
    for name in [method] if method else METHODS:
        files = released(name).files
        if not files or not all((path / file).is_file() for file in files.values()):
            continue
        same = next((known for known in read if released(known).files == files), None)
        read[name] = _files_of(path, files) if same is None else read[same]
    if not read:
        raise CheckpointError(
            f"{path}: is a folder without the files of a released checkpoint. Give the weights file itself."
        )
    fitting = [name for name, state in read.items() if all(entry in state for entry in released(name).signature)]
    best = max(fitting, key=lambda name: len(released(name).signature), default=next(iter(read)))
    return best, read[best]


def _files_of(path: Path, files: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a folder's files, by their names with each file's prefix."""
    state = {}
    for prefix, file in files.items():
        for key, value in open_pickle(path / file).items():
            if isinstance(value, Tensor):
                state[prefix + str(key).removeprefix("module.")] = value
    return state


def from_official(path: Path, method: str, state: dict[str, Tensor]) -> Model:
    """Build the released network and fill it with the authors' tensors.

    Raises:
        CheckpointError: entries that are missing, unexpected, or of another shape; the first are named.
    """
    official = released(method)
    missing = [entry for entry in official.signature if entry not in state]
    config_of = official.config_of
    if missing and config_of is not None:
        raise CheckpointError(f"{path}: does not fit {method}: {missing[0]} is missing.")
    try:
        config = official.config if config_of is None else config_of(state)
        state = official.adapt(dict(state))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (InputError, IndexError, ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        # sizes are read off the shapes, of tensors that may have any
        raise CheckpointError(f"{path}: its tensors have not the shapes of {method} ({one_line(error)}).") from None
    renamed, unexpected = official.renamed(state)
    return build(method, config, renamed, path, unexpected)


def build(
    method: str, config: Any, state: Mapping[str, Tensor], path: Path, unexpected: list[str] | None = None
) -> Model:
    """Build a network and fill it.

    Whether it fits is seen on a network without numbers, so that a file whose config asks for a huge one makes none.
    That network then gets the numbers: to draw some first would take longer than to read them.

    Args:
        method: its name.
        config: its config.
        state: tensors under our names.
        path: named in errors.
        unexpected: names of further entries of the file.

    Raises:
        CheckpointError: they do not fit, or are not finite.
    """
    try:
        with torch.device("meta"):
            planned = build_model(method, config)
    except (RuntimeError, ValueError, TypeError, ArithmeticError, IndexError, MemoryError) as error:
        raise CheckpointError(
            f"{path}: asks for a network that cannot be built ({one_line(error)}). Get the file again."
        ) from None
    check_fit(planned, state, path, unexpected)
    planned.load_state_dict({name: _own(state, name, slot) for name, slot in planned.state_dict().items()}, assign=True)
    return planned


def _own(state: Mapping[str, Tensor], name: str, slot: Tensor) -> Tensor:
    """What stands under a name, shared with nothing else, of the type of ``slot``; a counter begins at 0."""
    if name.endswith(COUNTER):
        return torch.zeros(slot.shape, dtype=slot.dtype)
    return state[name].to(slot.dtype, copy=True, memory_format=torch.contiguous_format)


def fill(model: Model, state: Mapping[str, Tensor], path: Path) -> None:
    """Load ``state`` strictly; see :func:`check_fit`."""
    check_fit(model, state, path)
    model.load_state_dict(_lasting(state), strict=False)


def _lasting(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without counters of batches, which older files lack and nothing here needs."""
    return {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}


def check_fit(model: Model, state: Mapping[str, Tensor], path: Path, unexpected: list[str] | None = None) -> None:
    """See whether tensors are those of a network, and finite.

    Raises:
        CheckpointError: they are not; names the first entries that do not fit.
    """
    expected, loaded = _lasting(model.state_dict()), _lasting(state)
    faults = [f"{name} is missing" for name in expected if name not in loaded]
    foreign = [*(unexpected or []), *(name for name in loaded if name not in expected)]
    faults += [f"{one_line(name)} is not expected" for name in foreign]
    for name, tensor in expected.items():
        tensor_loaded = loaded.get(name)
        if tensor_loaded is None:
            continue
        if tensor_loaded.shape != tensor.shape:
            faults.append(f"{name} is {list(tensor_loaded.shape)}, expected {list(tensor.shape)}")
        elif tensor_loaded.is_floating_point() != tensor.is_floating_point() or tensor_loaded.is_complex():
            faults.append(f"{name} is {_kind(tensor_loaded)}, expected {_kind(tensor)}")
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CheckpointError(f"{path}: does not fit the network: {'; '.join(faults[:3])}{more}.")
    check_finite(path, loaded)


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
