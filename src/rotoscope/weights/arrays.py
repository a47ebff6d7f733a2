"""Checkpoints that are tables of NumPy arrays: ``.npz`` files, and TensorFlow's own through TensorFlow."""

from __future__ import annotations

import zipfile
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rotoscope.errors import CheckpointError, InputError
from rotoscope.weights.limits import check_archive, check_size, one_line

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
        CheckpointError: truncated, holds something else than numbers, or says it is larger than it is.
    """
    size = check_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive, size)
            return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in archive.infolist()}
    except CheckpointError:
        raise
    except Exception as error:  # a malformed header can make NumPy's parser of it fail in any way
        raise CheckpointError(f"{path}: truncated, or not a table of arrays ({one_line(error)}).") from None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Tensor:
    """One array, whose header is compared with the entry's size before its numbers are read."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.kind not in "fiub":
            raise ValueError(f"{entry.filename} holds {dtype}, not numbers")
        count = prod(shape)
        if min(shape, default=0) < 0 or count * dtype.itemsize > entry.file_size:
            raise ValueError(f"{entry.filename} says it is {list(shape)}, more than it holds")
        numbers = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    ordered = numbers.reshape(shape[::-1]).T if fortran else numbers.reshape(shape)
    return torch.from_numpy(np.array(ordered, dtype=dtype.newbyteorder("=")))


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
            f"{prefix}: is a TensorFlow checkpoint, and TensorFlow is not installed. Install it: pip install -e "
            '".[tensorflow]". Or run rotoscope convert where it is, and bring the result.'
        ) from None
    try:
        reader = tensorflow.train.load_checkpoint(str(prefix))
        names = sorted(reader.get_variable_to_shape_map())
        return {name: torch.from_numpy(np.array(reader.get_tensor(name))) for name in names}
    except (tensorflow.errors.OpError, ValueError, TypeError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise CheckpointError(f"{prefix}: damaged, or without its .data files ({reason}). Get them again.") from None
