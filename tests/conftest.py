from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rotoscope.methods import METHODS, method_class
from rotoscope.methods.base import Method
from rotoscope.weights import save_method

TINY = {
    "stcn": {
        "key_depth": 18,
        "value_width": 8,
        "key_dim": 16,
        "value_dim": 16,
        "thin_dim": 16,
        "decoder_dims": (16, 16, 8),
        "mem_every": 2,
    },
}
"""Sizes of a network of each method that runs in no time; a new method adds its line."""


def tiny(name: str) -> Method:
    """A small network with fixed random weights: for what does not depend on what was learnt."""
    torch.manual_seed(7)
    cls = method_class(name)
    model = cls(cls.config_class(**TINY[name])).eval()
    model.requires_grad_(False)
    for parameter in list(model.parameters())[-2:-1]:
        parameter.mul_(20)  # answers that are not all one half
    return model


@pytest.fixture(params=sorted(METHODS))
def any_method(request: pytest.FixtureRequest) -> Method:
    return tiny(request.param)


@pytest.fixture(scope="session")
def tiny_stcn() -> Method:
    return tiny("stcn")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory, tiny_stcn: Method) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_method(path, "stcn", tiny_stcn.config, tiny_stcn.state_dict())
    return path


def moving(count: int, size: tuple[int, int] = (64, 48), seed: int = 0) -> np.ndarray:
    """A square that moves over noise, ``[T, H, W, 3]``."""
    rng = np.random.default_rng(seed)
    width, height = size
    back = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
    frames = np.repeat(back[None], count, axis=0)
    side = max(2, height // 3)
    for t in range(count):
        left = (2 * t) % max(width - side, 1)
        frames[t, height // 4 : height // 4 + side, left : left + side] = (230, 180 - 20 * seed, 40)
    return frames


def first_mask(size: tuple[int, int] = (64, 48)) -> np.ndarray:
    width, height = size
    side = max(2, height // 3)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 4 + side, :side] = True
    return mask


@pytest.fixture
def clip() -> np.ndarray:
    return moving(9)


@pytest.fixture
def mask() -> np.ndarray:
    return first_mask()
