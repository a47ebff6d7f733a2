from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli import main

FRAMES, SIZE = 12, (64, 48)


def square(t: int, left: int = 0) -> np.ndarray:
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[10:30, 10 + left + t : 30 + left + t] = 1
    return labels


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips in the layout of DAVIS 2017 and masks of them, scored twice: ``one.json``, ``two.json``.

    Clip ``a`` has one object, found but for a column; ``b<i>`` has two, of which the second is lost on frame 6.
    """
    root = tmp_path_factory.mktemp("scored")
    rng = np.random.default_rng(0)
    for name in ("a", "b<i>"):
        ground = rng.integers(0, 90, (*SIZE[::-1], 3), dtype=np.uint8)
        for t in range(FRAMES):
            truth = square(t)
            if name != "a":
                truth[34:44, 4 + t : 14 + t] = 2
            found = np.roll(truth, 1, axis=1)
            if t == 6:
                found[found == 2] = 0
            image = ground.copy()
            image[truth > 0] = (220, 160, 40)
            for place, picture in (
                (root / "data/JPEGImages/480p" / name / f"{t:05d}.jpg", image),
                (root / "data/Annotations/480p" / name / f"{t:05d}.png", truth),
                (root / "masks" / name / f"{t:05d}.png", found),
                (root / "others" / name / f"{t:05d}.png", np.roll(truth, 3, axis=1)),
            ):
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(place)
    for folder, file in (("masks", "one.json"), ("others", "two.json")):
        arguments = ["evaluate", str(root / folder), "--dataset", f"davis17:{root}/data", "--jobs", "1"]
        assert main([*arguments, "--json", str(root / file)]) == 0
    return root
