from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.video import VideoWriter


def frames_of(count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    back = rng.integers(0, 120, (48, 64 + 2 * count, 3), dtype=np.uint8)
    clip = np.stack([back[:, 2 * t : 2 * t + 64] for t in range(count)]).copy()
    for t in range(count):
        clip[t, 12:28, (t % 40) : (t % 40) + 16] = (230, 180, 40)
    return clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve frames as images."""
    path = tmp_path / "frames"
    path.mkdir()
    for number, frame in enumerate(frames_of(12)):
        Image.fromarray(frame).save(path / f"shot{number}.png")
    return path


@pytest.fixture(scope="session")
def kept_movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty frames as a file, which tests leave as it is."""
    path = tmp_path_factory.mktemp("kept") / "movie.mp4"
    with VideoWriter(path, 25, (64, 48)) as writer:
        for frame in frames_of(60):
            writer.write(frame)
    return path


@pytest.fixture
def movie(kept_movie: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    return Path(shutil.copy(kept_movie, tmp_path))


@pytest.fixture(scope="session")
def kept_mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Object 7 of the first of those frames, which tests leave as it is."""
    labels = np.zeros((48, 64), np.uint8)
    labels[12:28, :16] = 7
    path = tmp_path_factory.mktemp("kept") / "first.png"
    Image.fromarray(labels).save(path)
    return path


@pytest.fixture
def mask_file(kept_mask: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    return Path(shutil.copy(kept_mask, tmp_path))
