"""Sequences of pictures with alpha for other programs: PNG, and EXR with a layer for each object."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, RotoscopeError, shown
from rotoscope.files import atomic_write, inside, make_folder
from rotoscope.masks.mattes import TOGETHER, Delivery, edges
from rotoscope.masks.saving import Segmented, save_png
from rotoscope.video.looks import rgba

EXR_LEVELS = 65535
"""Levels above 0 that values of EXR are rounded to: what is finer is noise, and would not be compressed."""


def exr_library() -> Any:
    """The library that writes EXR.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module("OpenEXR")
    except ModuleNotFoundError:
        raise InputError(
            'format exr: OpenEXR is not installed. Install it: pip install -e ".[exr]". Or leave exr out.'
        ) from None


class RgbaWriter:
    """``NAME.png``: the frame with the objects' probability as alpha, RGBA with 8 bits; of each object ``ID/NAME.png``.

    Args:
        folder: where pictures are written.
        delivery: of which objects, and with what alpha.
        known: ids of objects that are known before: each has its picture of all frames, as programs that open a
            sequence expect it.
    """

    def __init__(self, folder: Path, delivery: Delivery, known: tuple[int, ...] = ()) -> None:
        self.folder = make_folder(folder)
        self.delivery = delivery
        self.known = known if delivery.objects == "each" else ()

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame."""
        if image is None:
            raise InputError("a picture with alpha needs the frame's image.")
        alphas = dict.fromkeys(self.known, np.zeros(item.labels.shape, np.float32))
        alphas |= {i: edges(matte, image, self.delivery) for i, matte in self.delivery.mattes(item).items()}
        for object_id, alpha in alphas.items():
            folder = self.folder if object_id == TOGETHER else make_folder(inside(self.folder, str(object_id)))
            picture = rgba(image, alpha, self.delivery.alpha == "premultiplied")
            save_png(inside(folder, f"{item.name}.png"), np.ascontiguousarray(picture[..., [2, 1, 0, 3]]))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""


class ExrWriter:
    """``NAME.exr``: 32-bit float, no colours: channel ``A`` of all objects together, and ``LAYER.A`` of each.

    Args:
        folder: where pictures are written.
        delivery: of which objects; edges are refined if it says so.
        known: ids of objects that are known before: they have their layer on all frames, as programs expect it.
    """

    def __init__(self, folder: Path, delivery: Delivery, known: tuple[int, ...] = ()) -> None:
        self._library = exr_library()
        self.folder = make_folder(folder)
        self.delivery = delivery
        chosen = delivery.objects
        self.known = [i for i in known if isinstance(chosen, str) or i in chosen]

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame."""
        chosen = self.delivery.objects
        each = Delivery("each").mattes(item)
        mattes = {i: edges(m, image, self.delivery) for i, m in each.items() if isinstance(chosen, str) or i in chosen}
        nothing = np.zeros(item.labels.shape, np.float32)
        # As in all other formats: between two objects none may be sure, and both together are.
        whole = Delivery("all" if isinstance(chosen, str) else chosen).mattes(item)[TOGETHER]
        together = edges(whole, image, self.delivery)
        layers = {f"{self.delivery.layer_of(i)}.A": mattes.get(i, nothing) for i in sorted({*self.known, *mattes})}
        channels = {n: np.round(v * EXR_LEVELS).astype(np.float32) / EXR_LEVELS for n, v in layers.items()}
        channels["A"] = np.round(together * EXR_LEVELS).astype(np.float32) / EXR_LEVELS
        library = self._library
        header = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}
        path = inside(self.folder, f"{item.name}.exr")
        with atomic_write(path, durable=False) as temporary:
            try:
                with library.File(header, channels) as file:
                    file.write(str(temporary))
            except RuntimeError as error:
                raise RotoscopeError(
                    f"{path}: cannot be written ({shown(error)}). Make room, then use --resume."
                ) from None

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""
