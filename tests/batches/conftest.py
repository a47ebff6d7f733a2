from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rotoscope
from conftest import first_mask, moving
from rotoscope.batches.jobs import BatchJob


def write_clip(folder: Path, frames: int, seed: int = 0) -> Path:
    """A clip as a folder of images."""
    folder.mkdir(parents=True)
    for t, frame in enumerate(moving(frames, seed=seed)):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    return folder


def write_mask(path: Path) -> Path:
    Image.fromarray(first_mask().astype(np.uint8) * 255).save(path)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Four short clips with a mask of the same name beside each."""
    root = tmp_path / "clips"
    for number in range(4):
        write_clip(root / f"clip{number}", 5, number)
        write_mask(root / f"clip{number}.png")
    return root


def masks_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def alone(job: BatchJob, folder: Path, weights: Path) -> dict[str, bytes]:
    """The masks that ``rotoscope segment`` writes for a job."""
    from rotoscope.runs.segment import segment_to_folder
    from rotoscope.video import open_video

    with open_video(job.video) as video:
        segment_to_folder(video, {0: Path(job.masks[0])}, rotoscope.load(weights), folder, output_formats="palette")
    return masks_of(folder)
