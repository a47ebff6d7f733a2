from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawn import contents
from rotoscope.methods.base import Method
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video


@pytest.fixture
def earlier(tmp_path: Path, clip: np.ndarray, mask: np.ndarray, tiny_stcn: Method) -> Path:
    """A folder with the results of a finished run."""
    out = tmp_path / "out"
    with open_video(clip) as video:
        segment_to_folder(video, {0: {1: mask}}, tiny_stcn, out, output_formats="palette,npz")
    assert len(contents(out)) == 19  # a palette and an NPZ mask for each frame, and the report
    return out
