from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


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
