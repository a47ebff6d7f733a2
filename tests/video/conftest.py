from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

MakeVideo = Callable[..., Path]


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame that tells its number: brightness of the left half, and a bar that moves."""
    image = np.full((height, width, 3), 30, np.uint8)
    image[:, : width // 2] = (index * 7) % 200 + 20
    image[:, (index * 3) % width] = 250
    return image


def number(image: np.ndarray) -> int:
    """The number modulo about 28, from the brightness of the left half."""
    return round((float(np.median(image[:, : image.shape[1] // 2])) - 20) / 7)


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    def make(
        name: str = "clip.mp4", frames: int = 25, size: tuple[int, int] = (64, 48), gop: int = 6, vfr: bool = False
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
            stream.options = {"crf": "10", "g": str(gop), "bf": "2"}
            for index in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
                if vfr:
                    frame.pts = index * (index + 1) // 2 + index
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make
