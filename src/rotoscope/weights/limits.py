"""What a checkpoint may ask for, seen before anything is allocated."""

from __future__ import annotations

import dataclasses
import types
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from rotoscope.errors import CheckpointError, shown

MOST_BYTES = 4 * 2**30
"""Of a checkpoint, on disk and unpacked; the largest released one holds a third of a gigabyte."""
MOST_INFLATION = 100
"""Times its own size that a packed file may unpack to: weights hardly pack at all, what an optimiser kept may."""
MOST_ENTRIES = 100_000
"""Tensors of a checkpoint, and files in an archive; the largest released one has about 2,000."""
MOST_NUMBER = 2**20
"""No number in a config, such as channels or a side in pixels, may be larger, or smaller than its negative."""
MOST_ITEMS = 16
"""Of a list in a config."""
MOST_TEXT = 200
"""Characters of a text in a config."""


def check_size(path: Path) -> int:
    """Bytes of a checkpoint.

    Raises:
        CheckpointError: no plain file, cannot be read, or larger than :data:`MOST_BYTES`.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: is not a plain file. Give the weights file itself.")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise CheckpointError(f"{path}: is {size / 2**30:.1f} GB; weights of at most {MOST_BYTES >> 30} GB are opened.")
    return size


def check_archive(path: Path, archive: zipfile.ZipFile, size: int, inflation: float = MOST_INFLATION) -> None:
    """Refuse an archive that would unpack to much more than it is, or whose entries share names.

    Args:
        path: named in the error.
        archive: opened.
        size: of the file, in bytes.
        inflation: times that size which the entries may have together.

    Raises:
        CheckpointError: it would, or they do.
    """
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    unpacked = sum(entry.file_size for entry in entries)
    if len(names) < len(entries) or len(entries) > MOST_ENTRIES:
        raise CheckpointError(f"{path}: malformed, it holds entries of one name, or too many. Get the file again.")
    if unpacked > min(MOST_BYTES, inflation * size + 2**20):
        raise CheckpointError(
            f"{path}: would unpack to {unpacked / 2**20:.0f} MB from {size / 2**20:.1f}. Get the file again."
        )
    if any(entry.flag_bits & 1 for entry in entries):
        raise CheckpointError(f"{path}: is locked with a password. Get the file again.")


def check_config(path: Path, config_class: type[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a stored config, if this version knows them and they have the right types and sizes; lists as tuples.

    Args:
        path: named in the error.
        config_class: the method's config, a dataclass.
        fields: as read from JSON.

    Raises:
        CheckpointError: says which field is wrong.
    """
    hints = get_type_hints(config_class)
    known = {field.name for field in dataclasses.fields(config_class)}
    checked = {}
    for name, value in fields.items():
        if name not in known:
            raise CheckpointError(
                f"{path}: asks for {_shown(name)}, which this version does not know. Update rotoscope, or get the file "
                "again."
            )
        value = tuple(value) if isinstance(value, list) else value
        if not (_is_small(value) and _is_of(value, hints[name])):
            raise CheckpointError(f"{path}: says {name} is {_shown(value)}, which it cannot be. Get the file again.")
        checked[name] = value
    return checked


def one_line(text: object, most: int = 120) -> str:
    """What a file or a library says, as part of a message: one line, cut; see :func:`~rotoscope.errors.shown`."""
    return shown(text, most)


def _shown(value: object) -> str:
    return one_line(ascii(value), 40)


def _is_small(value: object) -> bool:
    if isinstance(value, tuple):
        return len(value) <= MOST_ITEMS and all(_is_small(item) for item in value)
    if isinstance(value, str):
        return len(value) <= MOST_TEXT
    return not isinstance(value, (int, float)) or abs(value) <= MOST_NUMBER  # NaN is not


def _is_of(value: object, hint: Any) -> bool:
    """Whether a value read from JSON is of a type that a config's field may have."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is_of(value, choice) for choice in arguments)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(_is_of(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(_is_of, value, arguments))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else False


def check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse weights that hold NaN or infinity.

    Raises:
        CheckpointError: names the first tensor that does.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"{path}: {name} holds NaN or infinity. Get the file again, or take an earlier checkpoint."
            )
