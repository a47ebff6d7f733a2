"""Files of PyTorch's own format, opened without running anything in them."""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch

from rotoscope.errors import CheckpointError

LEGACY_PICKLES = 4
"""Pickles at the beginning of a file of PyTorch before 1.6: magic number, version, system, and the object itself."""

PLAIN_DATA = frozenset(
    f"{module}.{name}"
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    for name in ("scalar", "_reconstruct")
) | {"numpy.dtype", "_codecs.encode"}
"""Functions of NumPy's numbers and arrays. A file may ask for them (statistics often hold such numbers); they are not
called either, and what they would have made is left out."""


class _Inert(type):
    """A class of stand-ins: their instances hold nothing, and calling one is refused."""

    def __call__(cls, *arguments: object, **named: object) -> NoReturn:
        raise pickle.UnpicklingError(f"asks to call {cls.__module__}.{cls.__name__}")


class _Harmless(_Inert):
    """The same, but calling one gives an instance."""

    def __call__(cls, *arguments: object, **named: object) -> Any:
        return type.__call__(cls)


def open_pickle(path: Path) -> Mapping[Any, Any]:
    """The table of named tensors (and whatever else) in a file.

    Nothing in the file is run or imported. Objects of classes that are not PyTorch's own, such as the statistics that a
    training script saved beside its network, come out as empty stand-ins; a file that asks to *call* anything that is
    not PyTorch's own is refused.

    Raises:
        CheckpointError: truncated, unsafe, or not a table.
    """
    try:
        loaded = _load(path)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, zipfile.BadZipFile, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: truncated, or not a checkpoint that can be opened safely ({reason}).") from None
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__}, not a table of named tensors.")
    return loaded


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        names = sorted(set(_named(path)))
        if not names:
            raise
    # PyTorch looks among its own first, and blocks modules such as os whatever is listed here.
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([_stand_in(name) for name in names])
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _stand_in(name: str) -> type:
    module, _, short = name.rpartition(".")
    kind = _Harmless if name in PLAIN_DATA else _Inert
    members = {
        "__module__": module,
        "__new__": lambda cls, *arguments: object.__new__(cls),
        "__setstate__": lambda self, state: None,
    }
    return kind(short, (), members)


def _named(path: Path) -> Iterator[str]:
    """Every class and function that a file names; the file is read as a list of instructions, none of them followed."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                if entry.endswith("/data.pkl"):
                    yield from _globals(archive.open(entry))
        return
    with path.open("rb") as file:
        for _ in range(LEGACY_PICKLES):
            yield from _globals(file)


def _globals(file: Any) -> Iterator[str]:
    """Names in one pickle; the file then stands behind it. PyTorch reads no pickle that names them in another way."""
    for operation, argument, _ in pickletools.genops(file):
        if operation.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
