"""What any method should beat, as methods of ``rotoscope benchmark``."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rotoscope import segment
from rotoscope.cli import main
from rotoscope.evaluation.region import region_similarity
from rotoscope.methods.baselines import BASELINES, baseline

SIZE = 96
rng = np.random.default_rng(0)
TEXTURE = cv2.resize(rng.integers(0, 256, (24, 24, 3)).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def clip(step: int, frames: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A textured square that moves over another texture, and its masks."""
    images, masks = [], []
    for t in range(frames):
        mask = np.zeros((SIZE, SIZE), bool)
        left = 16 + step * t
        mask[32:64, left : left + 32] = True
        image = TEXTURE[::-1].copy()
        image[32:64, left : left + 32] = TEXTURE[:32, :32]
        images.append(image)
        masks.append(mask)
    return np.stack(images), np.stack(masks)


@pytest.mark.parametrize("name", BASELINES)
def test_what_stands_still_is_kept(name: str) -> None:
    images, masks = clip(0)
    found = [p.labels == 1 for p in segment(images, {0: {1: masks[0]}}, baseline(name))]
    assert all(region_similarity(ours, theirs) > 0.99 for ours, theirs in zip(found, masks, strict=True))


def test_the_first_mask_stays_and_flow_moves_it() -> None:
    images, masks = clip(4)
    last = {
        name: [p.labels == 1 for p in segment(images, {0: {1: masks[0]}}, baseline(name))][-1] for name in BASELINES
    }
    assert np.array_equal(last["first-mask"], masks[0])
    assert region_similarity(last["flow"], masks[-1]) > 0.65 > 0.5 > region_similarity(last["first-mask"], masks[-1])


def test_objects_come_late_and_go() -> None:
    images, masks = clip(4)
    session = baseline("flow").session()
    session.add({4: masks[0]})
    session.push(images[0])
    session.add({9: np.roll(masks[1], 30, axis=0)})
    assert session.push(images[1])[0].object_ids == (4, 9)
    again = baseline("flow").session()
    again.restore(session.state())
    session.remove(4)
    assert session.push(images[2])[0].object_ids == (9,)
    assert again.push(images[2])[0].object_ids == (4, 9)


def test_benchmark_scores_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, masks = clip(3)
    for t, (image, mask) in enumerate(zip(images, masks, strict=True)):
        for room, picture, suffix in (("JPEGImages", image, "png"), ("Annotations", mask.astype(np.uint8), "png")):
            (tmp_path / "data" / room / "v").mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(tmp_path / "data" / room / "v" / f"{t:05d}.{suffix}")
    j = {}
    for name in BASELINES:
        out = tmp_path / name
        given = ["benchmark", name, "--dataset", f"pairs:{tmp_path / 'data'}", "-o", str(out), "--jobs", "1"]
        assert main(given) == 0
        scores = json.loads((out / "scores.json").read_text())
        assert scores["method"]["weights"] is None
        j[name] = scores["overall"]["J mean"]
    assert j["flow"] > j["first-mask"] + 0.1
    assert main(["benchmark", "flow", "--dataset", f"pairs:{tmp_path / 'data'}", "--weights", "x.safetensors"]) == 2
    assert "is a baseline without weights" in " ".join(capsys.readouterr().err.split())
