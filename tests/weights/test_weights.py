from __future__ import annotations

import builtins
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rotoscope.errors import CheckpointError, InputError
from rotoscope.methods.base import Method
from rotoscope.methods.stcn import STCN, STCNConfig
from rotoscope.methods.stcn.official import OFFICIAL, adapt
from rotoscope.weights import CATALOGUE, load
from rotoscope.weights.catalogue import find
from rotoscope.weights.files import from_official, upgraded
from rotoscope.weights.load import find_device
from rotoscope.weights.pickles import open_pickle

WEIGHTS = [entry for entry in CATALOGUE.values() if entry.file]


def released(model: Method) -> dict[str, torch.Tensor]:
    """A state dict of ours under the names that the authors use."""
    names = {ours: theirs.replace("\\", "") for theirs, ours in OFFICIAL.items()}
    state = {}
    for name, tensor in model.state_dict().items():
        prefix = max((p for p in names if name.startswith(p)), key=len)
        inside = name[len(prefix) :]
        if name.startswith("network.key_encoder.layer1."):
            theirs = "key_encoder.res2." + name.removeprefix("network.key_encoder.layer1.")
        elif prefix == "network." and not inside.startswith(("compress", "up_", "pred")):
            continue
        else:
            theirs = names[prefix] + inside
        state[theirs] = tensor
    return state


@pytest.fixture(scope="module")
def full() -> STCN:
    torch.manual_seed(0)
    return STCN(STCNConfig()).eval()


def test_the_released_layout_loads_also_from_wrappers(full: STCN, tmp_path: Path) -> None:
    state = released(full)
    assert len(state) == 405
    for name, wrapped in (
        ("plain", state),
        ("training", {"it": 3, "network": state, "optimizer": {}}),
        ("parallel", {f"module.{k}": v for k, v in state.items()}),
    ):
        path = tmp_path / f"{name}.pth"
        torch.save(wrapped, path)
        model = load(path, device="cpu", precision="exact")
        assert isinstance(model, STCN)
        assert torch.equal(model.network.pred.weight, full.network.pred.weight)
        assert torch.equal(model.network.key_encoder.conv1.weight, full.network.key_encoder.conv1.weight)


def test_single_object_pretraining_gets_a_fifth_channel(full: STCN) -> None:
    state = released(full)
    state["value_encoder.conv1.weight"] = state["value_encoder.conv1.weight"][:, :4].clone()
    adapted = adapt(state)["value_encoder.conv1.weight"]
    assert adapted.shape == (64, 5, 7, 7)
    assert not adapted[:, 4].any()


def test_what_does_not_fit_is_named(full: STCN) -> None:
    state = released(full)
    del state["decoder.pred.weight"]
    state["head.weight"] = torch.zeros(1)
    state["key_comp.bias"] = torch.zeros(7)
    with pytest.raises(CheckpointError) as caught:
        from_official(Path("stcn.pth"), "stcn", state)
    text = str(caught.value)
    assert "network.pred.weight is missing" in text
    assert "head.weight is not expected" in text
    assert "network.key_comp.bias is [7], expected [512]" in text


def test_files_that_are_no_weights(tmp_path: Path, tiny_weights: Path) -> None:
    whole = tiny_weights.read_bytes()
    for name, content in (("cut.safetensors", whole[:5000]), ("cut.pth", b"PK\x03\x04broken"), ("empty.pth", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="truncated"):
            load(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds a list"):
        load(tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        load(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="not of this project"):
        load(tmp_path / "foreign.safetensors")


def test_a_folder_or_file_named_like_a_model_does_not_stand_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stcn-small").mkdir()
    (tmp_path / "cosnet-small").write_text("notes")
    assert type(load("stcn-small", device="cpu")).__name__ == "STCN"
    assert type(load("cosnet-small", device="cpu")).__name__ == "COSNet"
    with pytest.raises(CheckpointError, match="is a folder"):
        load("./stcn-small")
    with pytest.raises(CheckpointError, match=r"opened safely|not a checkpoint"):
        load(Path("cosnet-small"))


class Calls:
    """Asks whoever opens it to call something."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.asked = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.asked


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("by", ["torch", "pickle"])
@pytest.mark.parametrize("function", [os.system, exec, subprocess.call, builtins.__import__])
def test_a_pickle_that_runs_code_is_not_opened(
    tmp_path: Path, function: Callable[..., object], by: str, zipped: bool
) -> None:
    path = tmp_path / "evil.pth"
    mark = tmp_path / "executed"
    command = [f"open({str(mark)!r}, 'w')"] if function is exec else [f"touch {mark}"]
    content = {"a": torch.zeros(1), "b": Calls(function, *command)}
    if by == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2 if zipped else None))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="safely"):
        load(path)
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_of_foreign_classes_come_out_empty(tmp_path: Path, zipped: bool) -> None:
    """As a training script of 2019 left them beside its network; nothing of that class is here to be imported."""
    module = ModuleType("utils_of_someone")

    class Meter:
        def __init__(self) -> None:
            self.values = [np.float64(0.5), torch.ones(2)]

        def __setstate__(self, state: object) -> None:
            raise AssertionError("was run")

    Meter.__module__, Meter.__qualname__ = "utils_of_someone", "Meter"
    module.Meter = Meter  # type: ignore[attr-defined]
    sys.modules["utils_of_someone"] = module
    path = tmp_path / "checkpoint.pth"
    try:
        content = {"net": {"w": torch.arange(3)}, "stats": {"loss": Meter()}, "best": np.float64(0.25)}
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        opened = open_pickle(path)
        assert type(opened["stats"]["loss"]) is not Meter
    finally:
        del sys.modules["utils_of_someone"]
    opened = open_pickle(path)
    assert torch.equal(opened["net"]["w"], torch.arange(3))
    assert vars(opened["stats"]["loss"]) == {}
    assert "Meter" not in str(torch.serialization.get_safe_globals())


@pytest.mark.parametrize(
    ("stored", "today"),
    [
        ({"key_depth": 18, "key_dim": 64}, {"trunk": "resnet18", "key_dim": 64}),
        ({"depth": 101}, {"trunk": "resnet101"}),
        ({"trunk": 50}, {"trunk": "resnet50"}),
        ({"trunk": None}, {"trunk": None}),
        ({"trunk": "efficientnet-lite0"}, {"trunk": "efficientnet-lite0"}),
        ({"width": 8}, {"width": 8}),
    ],
)
def test_configs_from_before_trunks_had_names(stored: dict[str, object], today: dict[str, object]) -> None:
    kept = dict(stored)
    assert upgraded(stored) == today
    assert stored == kept


def test_weights_from_before_trunks_had_names(tiny_weights: Path, tmp_path: Path) -> None:
    with safe_open(tiny_weights, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    config = json.loads(metadata["config"])
    assert config.pop("trunk") == "resnet18"
    metadata["config"] = json.dumps({"key_depth": 18, **config})
    save_file(tensors, tmp_path / "older.safetensors", metadata)
    older, today = (load(path, device="cpu") for path in (tmp_path / "older.safetensors", tiny_weights))
    assert older.config == today.config


def test_options_can_be_given_on_loading(tiny_weights: Path) -> None:
    assert load(tiny_weights, device="cpu", memory="lfu:2", top_k=5).config.top_k == 5
    with pytest.raises(InputError, match="no option 'key_dim'"):
        load(tiny_weights, device="cpu", key_dim=3)
    with pytest.raises(InputError, match="precision"):
        load(tiny_weights, precision="quick")


def test_names() -> None:
    with pytest.raises(CheckpointError, match="comes without weights"):
        load("stcn")
    with pytest.raises(InputError, match="did you mean 'stcn-small'"):
        find("stcn-smal")
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="cannot compute"):
        find_device("meta")


@pytest.mark.parametrize("entry", WEIGHTS, ids=lambda entry: entry.name)
def test_built_in_weights(entry: object) -> None:
    from rotoscope.weights.catalogue import Entry

    assert isinstance(entry, Entry)
    assert entry.path is not None
    assert entry.path.stat().st_size < 25_000_000
    assert entry.sha256 is not None
    model = load(entry.name, device="cpu", precision="exact")
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(entry.parameters, abs=0.06)
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    card = entry.path.with_suffix(".md").read_text(encoding="utf-8")
    assert "steps" in card
