"""Checkpoints that ask for too much, or are not what they say: one line, and nothing allocated."""

from __future__ import annotations

import io
import json
import pickle
import struct
import threading
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import TINY, tiny
from rotoscope.cli import main
from rotoscope.errors import CheckpointError, InputError
from rotoscope.methods import METHODS, released
from rotoscope.weights import load, save_method
from rotoscope.weights.arrays import read_npz
from rotoscope.weights.files import FORMAT, build
from rotoscope.weights.pickles import open_pickle

HUGE = 10**9
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
HEADERS = (
    b"{}",
    b"[" * 5000,
    b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}',
    b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4000]}}',
    b"\xff\xfe",
)
"""Of safetensors files with four bytes of numbers."""


def stored(path: Path, zipped: bool, value: object) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def with_table(path: Path, change: Any) -> None:
    """Rewrite the pickle inside a file of PyTorch's archive format."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)


def refused(path: Path, match: str) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        open_pickle(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_is_read_as_torch_reads_it(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(24.0)
    content: dict[str, Any] = {dtype_name: torch.ones(3, 2).to(getattr(torch, dtype_name)) for dtype_name in DTYPES}
    content |= {
        "view": base.reshape(4, 6).T[1:3],
        "shared": base,
        "zero": torch.tensor(3.5),
        "empty": torch.empty(0, 4),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "nested": OrderedDict(a=[torch.zeros(1), {"b": (1, "two", None, 2.5, True)}]),
    }
    path = stored(tmp_path / "a.pth", zipped, content)
    ours, theirs = open_pickle(path), torch.load(path, weights_only=True)
    assert list(ours) == list(theirs)
    for name in [name for name in ours if name != "nested"]:
        assert ours[name].dtype == theirs[name].dtype
        assert torch.equal(ours[name], theirs[name])
        assert ours[name].stride() == theirs[name].stride()
    assert ours["nested"]["a"][1] == {"b": (1, "two", None, 2.5, True)}
    state = tiny("capsulevos").state_dict()
    stored(path, zipped, state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in open_pickle(path).items())


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_larger_than_its_storage(tmp_path: Path, zipped: bool) -> None:
    path = stored(tmp_path / "a.pth", zipped, {"a": torch.zeros(1).expand(30_000, 30_000)})
    refused(path, r"a tensor of \[30000, 30000\] asks for more numbers than its storage's 1")
    path = stored(tmp_path / "b.pth", zipped, {str(n): torch.zeros(10_000)[:] for n in range(3)})
    open_pickle(path)
    shared = torch.zeros(10_000)
    refused(stored(path, zipped, {str(n): shared[:] for n in range(9)}), "larger together than the file")


def test_a_storage_that_says_it_is_larger_than_it_is(tmp_path: Path) -> None:
    """PyTorch's reader would give a tensor that shows memory beyond what was read."""
    path = stored(tmp_path / "a.pth", True, {"a": torch.arange(1000.0)})
    small, large = pickle.BININT2 + struct.pack("<H", 1000), pickle.BININT + struct.pack("<i", 1001)
    with_table(path, lambda table: table.replace(small, large))
    refused(path, "has 4000 bytes, not 4004")
    stored(path, True, {"a": torch.arange(1000.0)})
    with_table(path, lambda table: table.replace(small, pickle.BININT + struct.pack("<i", HUGE)))
    refused(path, "more than the file holds|more numbers than")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_at_any_place(tmp_path: Path, zipped: bool) -> None:
    whole = stored(tmp_path / "a.pth", zipped, {"a": torch.arange(40.0), "b": {"c": [1, 2]}}).read_bytes()
    path = tmp_path / "cut.pth"
    for end in range(0, len(whole) - 30, 7):
        path.write_bytes(whole[:end])
        refused(path, "truncated|malformed")


TABLES = {
    "deep lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep tuples as a name": b"}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
    "deep marks": b"(" * 100_000 + b".",
    "a huge bytearray": b"\x96" + struct.pack("<Q", 2**33) + b".",
    "a far memo": b"Nr\xff\xff\xff\x7f.",
    "a huge text": b"X\xff\xff\xff\x7fabc.",
    "a long number": b"\x8b\xff\xff\xff\x7f1.",
    "nothing": b".",
    "no end": b"}",
    "an unknown instruction": b"\xfe.",
    "a storage without numbers": b"(X\x07\x00\x00\x00storagetQ.",
    "a call of a text": b"X\x01\x00\x00\x00a)R.",
    "an extension": b"\x82\x01.",
    "a set": b"\x8f.",
    "a list": b"].",
    "a number": b"K\x01.",
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("zipped", [True, False])
def test_malformed_tables(tmp_path: Path, table: str, zipped: bool) -> None:
    path = stored(tmp_path / "a.pth", True, {})
    if zipped:
        with_table(path, lambda _: TABLES[table])
    else:
        parts = [pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        path.write_bytes(b"".join(parts) + TABLES[table] + pickle.dumps([], protocol=2))
    refused(path, "safely|holds a")


def test_nothing_that_a_file_names_is_made_or_changed(tmp_path: Path) -> None:
    class Sly:
        def __reduce__(self) -> tuple[Any, ...]:
            return (bytearray, (2**33,))

    refused(stored(tmp_path / "a.pth", True, {"a": Sly()}), r"asks to call \w+\.bytearray")
    path = stored(tmp_path / "b.pth", True, {})
    with_table(path, lambda _: b"}X\x01\x00\x00\x00actorch\nload\n)\x81s.")
    assert vars(open_pickle(path)["a"]) == {}


@pytest.mark.parametrize("kind", ["double", "inflated", "two tables", "big-endian"])
def test_malformed_archives(tmp_path: Path, kind: str) -> None:
    path = stored(tmp_path / "a.pth", True, {"a": torch.zeros(1_000_000)})
    with zipfile.ZipFile(path) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.namelist()]
    entries = [(n, b"big" if n.endswith("byteorder") and kind == "big-endian" else c) for n, c in entries]
    if kind == "double":
        entries.append(entries[0])
    if kind == "two tables":
        entries.append(("other/data.pkl", b"}."))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if kind == "inflated" else zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    refused(path, {"double": "of one name", "inflated": "would unpack", "two tables": "2 tables"}.get(kind, "order"))


def test_several_threads_read_at_once(tmp_path: Path) -> None:
    """Each file names classes of its own, which PyTorch would have to be told of one by one."""
    paths = []
    for number in range(6):
        kind = type(f"Meter{number}", (), {"__module__": f"of_someone_{number}"})
        path = stored(tmp_path / f"{number}.pth", True, {"w": torch.full((3,), float(number))})
        cls = f"cof_someone_{number}\nMeter{number}\n)\x81".encode("latin-1")
        with_table(path, lambda table, cls=cls: table.removesuffix(b".") + b"X\x01\x00\x00\x00s" + cls + b"s.")
        paths.append(path)
        assert kind.__name__ in type(open_pickle(path)["s"]).__name__
    before = list(torch.serialization.get_safe_globals())
    faults: list[object] = []

    def read(number: int) -> None:
        try:
            for _ in range(20):
                opened = open_pickle(paths[number])
                assert torch.equal(opened["w"], torch.full((3,), float(number)))
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=read, args=(n % 6,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert list(torch.serialization.get_safe_globals()) == before


def test_arrays_that_say_they_are_larger(tmp_path: Path) -> None:
    header = np.lib.format.header_data_from_array_1_0(np.zeros(3)) | {"shape": (HUGE, 8)}
    entry = io.BytesIO()
    np.lib.format.write_array_header_1_0(entry, header)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", entry.getvalue() + bytes(24))
    with pytest.raises(CheckpointError, match=r"says it is .*, more than it holds"):
        read_npz(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(2 * 10**8))
    with pytest.raises(CheckpointError, match="would unpack to"):
        read_npz(path)
    np.savez(path, a=np.asfortranarray(np.arange(6.0).reshape(2, 3)), b=np.arange(3, dtype=">i4"), c=np.float32(2))
    found = read_npz(path)
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].tolist() == [0, 1, 2]
    assert found["c"].shape == ()


def ours(path: Path, fields: object, **metadata: str) -> Path:
    """A file of ours with another config."""
    config = fields if isinstance(fields, str) else json.dumps(fields)
    save_file({"network.a": torch.zeros(2)}, path, {"format": FORMAT, "method": "stcn", "config": config} | metadata)
    return path


CONFIGS: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "not a table in JSON"),
    "a list": ([1], "not a table in JSON"),
    "deep": ("[" * 100_000, "not a table in JSON"),
    "long": (json.dumps({"memory": "x" * 200_000}), "not a table in JSON"),
    "unknown": ({"of the future\x1b[31m": 1}, r"asks for 'of the future\\x1b.* Update"),
    "a text for a number": ({"key_dim": "64"}, "says key_dim is '64'"),
    "a truth for a number": ({"key_dim": True}, "says key_dim is True"),
    "huge": ({"value_dim": 10**9}, "says value_dim is 1000000000"),
    "large": ({"value_dim": 10**6, "key_dim": 10**6}, "does not fit the network|cannot be built"),
    "negative": ({"key_dim": -5}, "has a config that cannot be"),
    "infinite": ('{"least_quality": Infinity, "scores": true, "decoder": "light"}', "says least_quality is inf"),
    "NaN": ('{"least_quality": NaN}', "says least_quality is nan"),
    "a table": ({"decoder_dims": {"a": 1}}, "says decoder_dims"),
    "too few": ({"decoder_dims": [1, 2]}, "says decoder_dims"),
    "many": ({"decoder_dims": [1] * 1000}, "says decoder_dims"),
    "an unknown trunk": ({"trunk": "resnet9000"}, "says trunk is"),
    "an old depth": ({"key_depth": 9000}, "says trunk is 'resnet9000'"),
    "contradicting": ({"scores": True}, "has a config that cannot be"),
    "null": ({"trunk": None}, "says trunk is None"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configs_that_cannot_be(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    fields, words = CONFIGS[case]
    path = ours(tmp_path / "a.safetensors", fields)
    with pytest.raises(CheckpointError, match=words):
        load(path, device="cpu")
    assert main(["check", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_config_that_is_missing(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"format": FORMAT, "method": "stcn"})
    with pytest.raises(CheckpointError, match="config is missing"):
        load(tmp_path / "a.safetensors", device="cpu")


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("length", [None, 2**63, 10**9])
def test_headers_that_lie(tmp_path: Path, header: bytes, length: int | None) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + bytes(4))
    with pytest.raises(CheckpointError, match=r"truncated or damaged|not of this project"):
        load(path, device="cpu")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(tmp_path: Path, tiny_weights: Path, value: float) -> None:
    path = tmp_path / "a.safetensors"
    tensors = load_file(tiny_weights)
    name = sorted(tensors)[3]
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[-1] = value
    model = tiny("stcn")
    save_method(path, "stcn", model.config, tensors)
    with pytest.raises(CheckpointError, match=f"{name} holds NaN or infinity"):
        load(path, device="cpu")


def test_numbers_of_another_kind_do_not_fit(tmp_path: Path) -> None:
    model = tiny("stcn")
    state = dict(model.state_dict())
    name = next(iter(state))
    for other, words in ((state[name].to(torch.int32), "is int32"), (state[name].to(torch.complex64), "is complex64")):
        with pytest.raises(CheckpointError, match=f"{name} {words}, expected float32"):
            build("stcn", model.config, state | {name: other}, tmp_path / "a")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_released_layouts_with_any_shapes(tmp_path: Path, method: str) -> None:
    """Sizes are read off the tensors' shapes, which may have none, or cannot be."""
    signature = released(method).signature
    path = tmp_path / "a.pth"
    for shape in ((), (0,), (1,), (2, 0, 3), (1, 1, 1, 1), (7, 5, 3, 2), (100_000, 1, 1, 1), (1, 1, 1, 1, 1)):
        torch.save({name: torch.zeros(shape) for name in signature}, path)
        with pytest.raises(CheckpointError):
            load(path, device="cpu")


def test_what_is_no_file(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("pipe.pth", "folder.safetensors"):
        with pytest.raises(CheckpointError, match="is not a plain file"):
            load(tmp_path / name, device="cpu")
    for name in ("a\0b", "x" * 5000, "no/such/file"):
        with pytest.raises(InputError):
            load(name, device="cpu")


def test_a_folder_called_like_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rvos-small").mkdir()
    assert type(load("rvos-small", device="cpu")).__name__ == "RVOS"
    for other in ("./rvos-small", Path("rvos-small"), str(tmp_path / "rvos-small")):
        with pytest.raises(CheckpointError, match="is a folder without the files"):
            load(other, device="cpu")
    assert {name.partition(":")[0] for name in TINY} == set(METHODS)
