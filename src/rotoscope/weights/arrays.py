"""Checkpoints that are tables of NumPy arrays: ``.npz`` files, and TensorFlow's own through TensorFlow."""

from __future__ import annotations

import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rotoscope.errors import CheckpointError, InputError

INDEX = ".index"
"""The file of a TensorFlow checkpoint that says what is in the others."""


def tensorflow_prefix(path: Path) -> Path | None:
    """What TensorFlow calls the checkpoint that a path is meant for: without ``.index``; None if it is none."""
    if path.suffix == INDEX:
        return path.with_suffix("") if path.exists() else None
    return path if path.with_name(path.name + INDEX).exists() else None


def read_npz(path: Path) -> dict[str, Tensor]:
    """Every array of an ``.npz``, by name. No Python object in the file is made.

    Raises:
        CheckpointError: truncated, or holds something else than numbers.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: truncated, or not a table of arrays ({str(error)[:120]}).") from None


def read_tensorflow(prefix: Path) -> dict[str, Tensor]:
    """Every variable of a TensorFlow checkpoint (versions 1 and 2), by name.

    Args:
        prefix: its path without ``.index`` and ``.data-…``.

    Raises:
        InputError: TensorFlow is not installed.
        CheckpointError: damaged.
    """
    try:
        tensorflow: Any = import_module("tensorflow")
    except ModuleNotFoundError:
        raise InputError(
            f"{prefix}: is a TensorFlow checkpoint, and TensorFlow is not installed. Install rotoscope[tensorflow], or "
            "run rotoscope convert where it is and bring the result."
        ) from None
    try:
        reader = tensorflow.train.load_checkpoint(str(prefix))
        names = sorted(reader.get_variable_to_shape_map())
        return {name: torch.from_numpy(np.array(reader.get_tensor(name))) for name in names}
    except (tensorflow.errors.OpError, ValueError, TypeError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise CheckpointError(f"{prefix}: damaged, or without its .data files ({reason}). Get them again.") from None
