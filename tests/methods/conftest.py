from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rotoscope
from rotoscope.methods.stcn import STCN

GOLDEN = Path(__file__).parent.parent / "golden"


def seeded_state(keys: str) -> dict[str, torch.Tensor]:
    """A released layout filled by the rule that the reference networks were filled by; others have its tensors too."""
    return dict(_filled(keys))


@functools.lru_cache(maxsize=2)  # an encoder and a decoder: drawing them takes seconds
def _filled(keys: str) -> dict[str, torch.Tensor]:
    spec = importlib.util.spec_from_file_location("seeded_weights", GOLDEN / "seeded_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    table = json.loads((GOLDEN / f"{keys}.keys.json").read_text())
    return {name: torch.from_numpy(array) for name, array in module.seeded_state_dict(table).items()}


def keep_answers(monkeypatch: pytest.MonkeyPatch, network: type, method: str, kept: dict[Any, Any]) -> None:
    """Let networks encode each frame once for all tests: a deep encoder is most of the work."""
    compute = getattr(network, method)

    def once(self: Any, image: torch.Tensor) -> Any:
        key = id(self), image.numpy().tobytes()
        if key not in kept:
            kept[key] = self, compute(self, image)  # with the network, whose number no other may get
        return kept[key][1]

    monkeypatch.setattr(network, method, once)


def golden_state(network: str) -> dict[str, torch.Tensor]:
    """The same with the network's overrides."""
    state = seeded_state(network)
    for name, change in json.loads((GOLDEN / f"{network}.overrides.json").read_text()).items():
        state[name] = state[name] * change["scale"] + change["add"]
    return state


@pytest.fixture(scope="session")
def seeded() -> Callable[[str], dict[str, torch.Tensor]]:
    return seeded_state


@pytest.fixture(scope="session")
def golden_weights() -> Callable[[str], dict[str, torch.Tensor]]:
    return golden_state


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Mapping[str, np.ndarray]]:
    return lambda name: np.load(GOLDEN / f"{name}.npz")


@pytest.fixture(scope="session")
def released_stcn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the released layout with golden weights."""
    path = tmp_path_factory.mktemp("released") / "stcn.pth"
    torch.save(golden_state("stcn"), path)
    return path


@pytest.fixture(scope="session")
def stcn(released_stcn: Path) -> STCN:
    model = rotoscope.load(released_stcn, precision="exact", device="cpu")
    assert isinstance(model, STCN)
    return model
