"""Files of PyTorch's own format, opened without running anything in them.

They are read here, not by PyTorch: a file says of each tensor how large its storage is, and PyTorch's reader believes
it, allocates that much, and of some files reads beyond what it has. Here every size is compared with the file's own
before a tensor is made; and nothing global is changed, so that several threads may read at once.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from rotoscope.errors import CheckpointError
from rotoscope.weights.limits import check_archive, check_size, one_line
from rotoscope.weights.unpickler import Storage, Unpickler

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What a file of PyTorch before 1.6 begins with."""
MOST_PICKLED = 8 * 2**20
"""Bytes of a file that describe its tensors, without the numbers themselves; the largest released one has 0.1 MB."""


def open_pickle(path: Path) -> Mapping[Any, Any]:
    """The table of named tensors (and whatever else) in a file. Safe to call in several threads.

    Nothing in the file is run or imported. Objects of classes that are not PyTorch's own, such as the statistics that a
    training script saved beside its network, come out as empty stand-ins; a file that asks to *call* anything but what
    makes tensors is refused.

    Raises:
        CheckpointError: truncated, unsafe, malformed, larger than it may be, or not a table.
    """
    try:
        size = check_size(path)
        with path.open("rb") as file:
            loaded = _read_archive(path, file, size) if zipfile.is_zipfile(file) else _read_legacy(file, size)
    except CheckpointError:
        raise
    except MemoryError:
        raise CheckpointError(f"{path}: asks for more memory than there is. Get the file again.") from None
    except Exception as error:  # a malformed file can make the interpreter of pickles fail in any way
        unknown = isinstance(error, KeyError) and isinstance(error.args[0], int)
        reason = "an instruction that no checkpoint needs" if unknown else one_line(error)
        raise CheckpointError(f"{path}: truncated, or not a checkpoint that can be opened safely ({reason}).") from None
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__}, not a table of named tensors.")
    return loaded


def _read_archive(path: Path, file: BinaryIO, size: int) -> Any:
    """What PyTorch since 1.6 writes: an archive of one pickle, and the numbers of each storage."""
    with zipfile.ZipFile(file) as archive:
        check_archive(path, archive, size, inflation=1)
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise pickle.UnpicklingError(f"holds {len(names)} tables")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise pickle.UnpicklingError("its numbers are in the order of another kind of machine")
        table = archive.read(names[0])
        if len(table) > MOST_PICKLED:
            raise pickle.UnpicklingError(f"its table is {len(table) >> 20} MB")
        reader = Unpickler(io.BytesIO(table), size)
        loaded = reader.load()

        def numbers(storage: Storage) -> bytes:
            return archive.read(f"{folder}data/{storage.key}")

        reader.fill(numbers)
    return loaded


def _read_legacy(file: BinaryIO, size: int) -> Any:
    """What PyTorch before 1.6 wrote: five pickles, the last of which names the storages, and then their numbers."""
    file.seek(0)
    head = io.BytesIO(file.read(MOST_PICKLED))
    for expected in (MAGIC, PROTOCOL):
        version = Unpickler(head, size).load()
        if type(version) is not int or version != expected:
            raise pickle.UnpicklingError("is not of PyTorch")
    system = Unpickler(head, size).load()
    if isinstance(system, Mapping) and system.get("little_endian") is False:
        raise pickle.UnpicklingError("its numbers are in the order of another kind of machine")
    reader = Unpickler(head, size)
    loaded = reader.load()
    keys = Unpickler(head, size).load()
    if not isinstance(keys, list) or set(keys) != set(reader.storages) or len(keys) > len(reader.storages):
        raise pickle.UnpicklingError("its storages are not those of its tensors")
    places, place = {}, head.tell()
    for key in keys:
        storage = reader.storages[key]
        file.seek(place)
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise pickle.UnpicklingError(f"storage {key} holds {count} numbers, not {storage.count}")
        places[key] = place + 8
        place += 8 + storage.bytes
    if place > size:
        raise EOFError("the file ends before its numbers do")

    def numbers(storage: Storage) -> bytes:
        file.seek(places[storage.key])
        return file.read(storage.bytes)

    reader.fill(numbers)
    return loaded
