"""Data sets in miniature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Writer = Callable[..., Path]


@pytest.fixture
def image(tmp_path: Path) -> Writer:
    """Write a small photograph (or ppm, bmp, …) at a path under ``tmp_path``."""

    def write(name: str, size: tuple[int, int] = (12, 8)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def mask(tmp_path: Path) -> Writer:
    """Write a mask whose columns hold the given values in turn."""

    def write(name: str, values: tuple[int, ...] = (0, 255), palette: bool = False) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.tile(np.array(values, np.uint8)[np.arange(12) * len(values) // 12], (8, 1))
        picture = Image.fromarray(array)
        if palette:
            picture.putpalette([5 * i % 256 for i in range(768)])
        picture.save(path)
        return path

    return write
