"""``rotoscope.load``: a name or a file to a method that is ready to use."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from rotoscope.errors import CheckpointError, InputError
from rotoscope.layers.precision import has_native_bfloat16, prepare
from rotoscope.methods import build_method, make_config, method_class
from rotoscope.methods.base import Method
from rotoscope.weights.arrays import tensorflow_prefix
from rotoscope.weights.catalogue import find, verified
from rotoscope.weights.files import fill, from_official, read_official, read_own

PRECISIONS = ("exact", "fast")


def load(
    name_or_path: str | Path,
    method: str | None = None,
    device: str | torch.device = "auto",
    precision: str = "fast",
    **config: Any,
) -> Method:
    """Open weights and return the method, ready for sessions.

    Args:
        name_or_path: a name that ``rotoscope methods`` lists, a file of ours (safetensors), or a checkpoint that a
            method's authors released: a file, a folder of files (RVOS), or a TensorFlow checkpoint by the part of its
            name before ``.index`` (CapsuleVOS; needs TensorFlow).
        method: which method a released checkpoint is of; found out by its names if left out.
        device: ``auto`` (CUDA, then MPS, then CPU), or a device of PyTorch such as ``cuda:1``.
        precision: ``exact`` is float32 and gives the reference numbers; ``fast`` folds batch norms, uses the
            channels-last layout, and bfloat16 where the processor has it natively.
        config: fields of the method's config that concern inference.

    Raises:
        InputError: an unknown name, device, precision or field.
        CheckpointError: a file that is truncated, foreign or of another network.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known; use {' or '.join(PRECISIONS)}.")
    target = find_device(device)
    path, entry = Path(name_or_path), None
    if not path.exists() and tensorflow_prefix(path) is None:
        if path.suffix in (".pth", ".pt", ".safetensors", ".ckpt", ".npz", ".index"):
            raise InputError(f"{path}: no such weights file.")
        entry = find(str(name_or_path))
        path = verified(entry)
    model = open_file(path, method)
    if entry is not None:  # two names may have one file
        config = {k: v for k, v in entry.config.items() if getattr(model.config, k) != v} | config
    if config:
        model.reconfigure(**config)
    model.requires_grad_(False).eval().to(target)
    prepare(model, precision, bfloat16=has_native_bfloat16(target))
    model.precision = precision
    return model


def open_file(path: Path, method: str | None = None) -> Method:
    """Build a method from a file of ours or of its authors, in float32 on the CPU."""
    if path.suffix == ".safetensors":
        name, fields, state = read_own(path)
        if method is not None and method != name:
            raise CheckpointError(f"{path}: weights of {name}, not of {method}.")
        model = build_method(name, config_from(name, fields))
        fill(model, state, path)
        return model
    name, tensors = read_official(path, method)
    return from_official(path, name, tensors)


def config_from(name: str, fields: dict[str, Any]) -> Any:
    """Build a method's config from JSON fields.

    Raises:
        CheckpointError: a field that this version does not know.
    """
    known = {field.name for field in dataclasses.fields(method_class(name).config_class)}
    foreign = sorted(set(fields) - known)
    if foreign:
        raise CheckpointError(
            f"the weights ask for {foreign[0]!r}, which this version does not know. Update rotoscope."
        )
    return make_config(name, fields)


def find_device(device: str | torch.device) -> torch.device:
    """Choose the device; ``auto`` picks CUDA, then MPS, then CPU.

    Raises:
        InputError: not a device, or one that this machine lacks.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0][:100]
        raise InputError(f"device {str(device)!r} cannot be used here ({reason}). Use auto or cpu.") from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"device {str(device)!r} cannot compute masks. Use auto, cpu, cuda or mps.")
    return chosen
