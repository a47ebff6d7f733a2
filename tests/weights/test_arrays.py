"""Checkpoints of NumPy and TensorFlow; the latter through a stand-in, as TensorFlow itself is not here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import tiny
from rotoscope.cli import main
from rotoscope.errors import CheckpointError, InputError
from rotoscope.weights import load
from rotoscope.weights.arrays import read_npz, read_tensorflow, tensorflow_prefix

VARIABLES = {"network/a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "global_step": np.int64(7)}


class DamagedError(Exception):
    """What TensorFlow would raise."""


def stand_in(prefix: Path) -> SimpleNamespace:
    def load_checkpoint(given: str) -> SimpleNamespace:
        if given != str(prefix):
            raise DamagedError("Unsuccessful TensorSliceReader constructor\nmore")
        shapes = {name: list(np.shape(array)) for name, array in VARIABLES.items()}
        return SimpleNamespace(get_variable_to_shape_map=lambda: shapes, get_tensor=VARIABLES.__getitem__)

    return SimpleNamespace(
        train=SimpleNamespace(load_checkpoint=load_checkpoint), errors=SimpleNamespace(OpError=DamagedError)
    )


def test_a_tensorflow_checkpoint_is_known_by_its_index(tmp_path: Path) -> None:
    prefix = tmp_path / "model4_394.ckpt"
    assert tensorflow_prefix(prefix) is None
    Path(f"{prefix}.index").write_bytes(b"")
    assert tensorflow_prefix(prefix) == prefix
    assert tensorflow_prefix(Path(f"{prefix}.index")) == prefix


def test_without_tensorflow_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    prefix = tmp_path / "model4_394.ckpt"
    Path(f"{prefix}.index").write_bytes(b"")
    with pytest.raises(InputError, match=r"TensorFlow is not installed\. Install it: pip install -e"):
        load(prefix, device="cpu")
    assert main(["convert", str(prefix), "-o", str(tmp_path / "out.safetensors")]) == 2


def test_variables_are_read_through_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = tmp_path / "model4_394.ckpt"
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in(prefix))
    found = read_tensorflow(prefix)
    assert torch.equal(found["network/a/kernel"], torch.arange(6.0).reshape(2, 3))
    assert found["global_step"].item() == 7
    with pytest.raises(CheckpointError, match=r"damaged, or without its \.data files \(Unsuccessful"):
        read_tensorflow(tmp_path / "other.ckpt")


def test_arrays_are_read_without_making_objects(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **VARIABLES)
    assert set(read_npz(tmp_path / "a.npz")) == set(VARIABLES)
    np.savez(tmp_path / "words.npz", a=np.array(["one"]))
    with pytest.raises(CheckpointError, match="not a table of arrays"):
        read_npz(tmp_path / "words.npz")


def test_a_file_is_converted_to_ours(tmp_path: Path, tiny_weights: Path) -> None:
    assert main(["convert", str(tiny_weights), "-o", str(tmp_path / "ours.safetensors")]) == 0
    ours, theirs = load(tmp_path / "ours.safetensors", device="cpu"), load(tiny_weights, device="cpu")
    assert ours.config == theirs.config
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())
    assert main(["convert", str(tiny_weights), "-o", str(tmp_path / "ours.safetensors")]) == 2
    assert main(["convert", str(tiny_weights), "-o", str(tmp_path / "ours.pth")]) == 2
    assert type(ours) is type(tiny("stcn"))
