from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

from rotoscope.methods import METHODS, build_method, method_class
from rotoscope.methods.base import Method
from rotoscope.weights import save_method

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long an example takes says how busy the machine is, and nothing about it
# One thread, here and in what tests start, unless asked otherwise, as in `make test`: with more, a run, which shares
# them out, and a session pushed by hand round sums otherwise, and tests that ask for the same bits of both fail.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

TINY = {
    "stcn": {
        "trunk": "resnet18",
        "value_width": 8,
        "key_dim": 16,
        "value_dim": 16,
        "thin_dim": 16,
        "decoder_dims": (16, 16, 8),
        "mem_every": 2,
    },
    "stcn:light": {
        "trunk": "efficientnet-lite0",
        "value_encoder": "light",
        "value_width": 4,
        "key_dim": 16,
        "value_dim": 16,
        "thin_dim": 16,
        "decoder": "light",
        "decoder_dims": (16, 16, 8),
        "subpixel": 2,
        "previous": "matched",
        "scores": True,
        "crossings": True,
        "strays": 0.2,
        "mem_every": 2,
    },
    "rvos": {"trunk": "resnet18", "hidden": 16, "size": (32, 48)},
    "rsis": {"trunk": "resnet18", "hidden": 16, "classes": 0, "slots": 3, "stop_at": 0.0, "size": (32, 48)},
    "agame": {"trunk": "resnet18", "appearance_dim": 16, "propagation_dim": 16, "decoder_dim": 16, "mean_scores": True},
    "capsulevos": {
        "width": 2,
        "video_types": 3,
        "frame_types": 2,
        "types": 4,
        "size": (64, 96),
        "crop": (32, 32),
    },
    "cosnet": {"trunk": "resnet18", "stages": 3, "aspp_dim": 8, "dim": 16, "dilations": (1, 2), "size": (48, 64)},
    "giel": {
        "trunk": "resnet18",
        "support_width": 8,
        "shared": False,
        "key_dim": 16,
        "value_dim": 16,
        "decoder_dims": (16, 16, 8),
        "label_dim": 8,
        "coarse_dim": 8,
    },
}
"""Sizes of a network of each method that runs in no time; a new method adds its line."""


def tiny(name: str) -> Method:
    """A small network with fixed random weights: for what does not depend on what was learnt."""
    torch.manual_seed(7)
    model = build_method(name.partition(":")[0], TINY[name]).eval()
    model.requires_grad_(False)
    for parameter in list(model.parameters())[-2:-1]:
        parameter.mul_(20)  # answers that are not all one half
    return model


SEMI = sorted(name for name in METHODS if method_class(name).task == "semi")
"""Methods that are given masks; those that find objects by themselves have contract tests of their own."""


@pytest.fixture(params=[*SEMI, "stcn:light"])
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


@pytest.fixture(scope="session")
def photographs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of raw material, drawn: coloured shapes on noise, and their masks."""
    import cv2

    root = tmp_path_factory.mktemp("photographs")
    for name in ("images", "masks", "textures"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        image = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        labels = np.zeros((120, 160), np.uint8)
        for object_id in range(1, 1 + number % 3 + 1):
            centre = (int(rng.integers(30, 130)), int(rng.integers(30, 90)))
            cv2.circle(labels, centre, int(rng.integers(18, 30)), object_id, -1)
            image[labels == object_id] = rng.integers(0, 256, 3)
        Image.fromarray(image).save(root / "images" / f"coco_{number}.jpg")
        Image.fromarray(labels).save(root / "masks" / f"coco_{number}.png")
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(root / "textures" / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def every_data(photographs_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of ``rotoscope train`` that name data for stages of any kind: photographs, and a video."""
    root = tmp_path_factory.mktemp("videos")
    for number, frame in enumerate(moving(6)):
        for name, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
            path = root / name / "480p" / "square" / f"{number:05d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            labels = (frame == (230, 180, 40)).all(axis=2).astype(np.uint8)
            Image.fromarray(frame if suffix == "jpg" else labels).save(path)
    return ["--data", str(photographs_folder), "--data", f"davis17:{root}"]


@pytest.fixture(autouse=True)
def _threads_as_they_were() -> Iterator[None]:
    """Commands set the number of threads of their process, which here goes on with other tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
