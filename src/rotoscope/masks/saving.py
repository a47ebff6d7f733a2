"""What all writers of masks have in common: what they take, and how one picture is saved whole."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rotoscope.errors import RotoscopeError
from rotoscope.files import atomic_write, inside, make_folder
from rotoscope.masks.palette import palette_bytes
from rotoscope.masks.values import IDS

NO_FILTER = (cv2.IMWRITE_PNG_FILTER, 8) if hasattr(cv2, "IMWRITE_PNG_FILTER") else ()
"""Options of OpenCV from 4.11 on; older ones filter."""


class Segmented(Protocol):
    """What a writer needs of a prediction."""

    @property
    def index(self) -> int:
        """The frame's index."""

    @property
    def name(self) -> str:
        """The frame's name."""

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids, in the order of the channels."""

    @property
    def labels(self) -> NDArray[Any]:
        """Ids ``[H, W]``."""

    @property
    def probabilities(self) -> Any:
        """Tensor ``[1 + N, H, W]``, background first."""


class MaskWriter(Protocol):
    """Takes predictions in any order of frames."""

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame's masks; ``image`` is the frame, RGB uint8 ``[H, W, 3]``."""

    def flush(self) -> None:
        """Write what is held back: all that was taken so far is in files then."""

    def close(self) -> None:
        """Finish files that span the clip."""


def folder_of_object(object_id: int, parent: Path, made: dict[int, Path]) -> Path:
    """The folder of an object's masks; it is made, and tried, once a writer."""
    if object_id not in made:
        made[object_id] = make_folder(inside(parent, str(object_id)))
    return made[object_id]


def save_labels(path: Path, labels: NDArray[Any], object_ids: Collection[int]) -> None:
    """Write labels ``[H, W]`` as a palette PNG; as 16-bit grey if they need it or one of the ids is 255.

    A grey one says in its text that it holds ids, as 255 or 65535 alone would be read as white.
    """
    with atomic_write(path, durable=False) as temporary:
        if labels.dtype == np.uint8 and 255 not in object_ids:  # in 8 bits 255 reads as unknown
            picture = Image.fromarray(labels)
            picture.putpalette(palette_bytes())
            picture.save(temporary, format="PNG", compress_level=1)
        else:
            said = PngInfo()
            said.add_text(*IDS)
            Image.fromarray(labels.astype(np.uint16)).save(temporary, format="PNG", compress_level=1, pnginfo=said)


def save_png(path: Path, image: NDArray[Any]) -> None:
    """Write a PNG (grey, 16-bit grey, BGR or BGRA as OpenCV orders them) atomically."""
    data = png_bytes(image)
    with atomic_write(path, durable=False) as temporary:
        temporary.write_bytes(data)


def png_bytes(image: NDArray[Any]) -> bytes:
    """An image as a PNG; see :func:`save_png`. Masks go without filters: that takes a third of the time.

    Raises:
        RotoscopeError: it cannot be encoded.
    """
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, *(NO_FILTER if image.ndim == 2 else ())]
    done, data = cv2.imencode(".png", image, options)
    if not done:
        raise RotoscopeError(f"an image of {image.shape} could not be encoded as PNG.")
    return data.tobytes()
