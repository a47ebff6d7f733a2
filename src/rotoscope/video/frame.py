"""One frame of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, shown
from rotoscope.files import is_plain_name


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame.

    Attributes:
        index: position in the video, from 0.
        image: RGB, uint8 ``[H, W, 3]`` in [0, 255], already turned upright and without alpha.
        time: presentation time in seconds, or None where the source has none.
        name: what the frame is called in its source (an image's stem), else the index in five digits;
            masks written for the frame carry this name, so it is the name of a file, and nothing of a path.

    Raises:
        InputError: the name leads to another folder.
    """

    index: int
    image: NDArray[np.uint8]
    time: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"{self.index:05d}")
        elif not is_plain_name(self.name):
            raise InputError(f"frame {self.index} is named {shown(repr(self.name), 80)}; give a name without a path.")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]
