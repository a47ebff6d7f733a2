"""Write masks as they come; every file is whole or not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.files import atomic_write, inside, make_folder, text_of
from rotoscope.masks.coco import encode
from rotoscope.masks.mattes import Delivery
from rotoscope.masks.saving import MaskWriter, Segmented, folder_of_object, save_labels, save_png
from rotoscope.masks.sequences import ExrWriter, RgbaWriter
from rotoscope.video.codings import CODINGS


class PaletteWriter:
    """``NAME.png``: palette PNG with the DAVIS palette; 16-bit grey index PNG where an id is 255 or more."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame."""
        save_labels(inside(self.folder, f"{item.name}.png"), item.labels, item.object_ids)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""


class ObjectsWriter:
    """``ID/NAME.png``: one 0/255 PNG per object."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)
        self._made: dict[int, Path] = {}

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame."""
        for object_id in item.object_ids:
            folder = folder_of_object(object_id, self.folder, self._made)
            save_png(inside(folder, f"{item.name}.png"), (item.labels == object_id).astype(np.uint8) * 255)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""


class SoftWriter:
    """``ID/NAME.png``: one 16-bit PNG per object, probability times 65,535."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)
        self._made: dict[int, Path] = {}

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame."""
        soft = item.probabilities[1:].cpu().numpy()
        for object_id, mask in zip(item.object_ids, soft, strict=True):
            folder = folder_of_object(object_id, self.folder, self._made)
            save_png(inside(folder, f"{item.name}.png"), np.round(mask * 65535).astype(np.uint16))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""


class NpzWriter:
    """``NAME.npz``: ``masks`` float16 ``[N, H, W]`` and ``ids``."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame."""
        with atomic_write(inside(self.folder, f"{item.name}.npz"), durable=False) as path, path.open("wb") as file:
            masks = item.probabilities[1:].cpu().numpy().astype(np.float16)
            np.savez_compressed(file, masks=masks, ids=np.array(item.object_ids, np.int64))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""


class CutoutWriter:
    """``NAME.png``: the frame, with the objects' probability as alpha."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Write one frame."""
        if image is None:
            raise InputError("a cut-out needs the frame's image.")
        alpha = np.round((1 - item.probabilities[0].cpu().numpy()) * 255).clip(0, 255).astype(np.uint8)
        if not item.object_ids:
            alpha[:] = 0
        save_png(inside(self.folder, f"{item.name}.png"), np.dstack([image[..., ::-1], alpha]))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""


class CocoWriter:
    """``annotations.json``: run lengths of the whole clip, in COCO form.

    Each object is a category, of its own id and of name ``object ID``. An annotation carries ``object_id`` beside
    COCO's own running ``id``, and ``score``, the mean probability over its pixels, so that pycocotools takes the
    annotations for truth and for results. The file is written whole whenever it is flushed, which is before each
    saved state, and at the end; an unfinished run's file is read back and gone on with.
    """

    def __init__(self, folder: Path) -> None:
        self.path = inside(make_folder(folder), "annotations.json")
        self._frames: dict[int, dict[str, Any]] = {}
        self._behind = True
        self.take(self.path)

    def take(self, path: Path, names: Collection[str] | None = None) -> None:
        """Take the frames of a file that such a writer wrote; nothing if there is none.

        Args:
            path: of the file.
            names: the frames to take; None for all. Of a frame that is here already the file's annotations count.

        Raises:
            InputError: it is no such file.
        """
        text = text_of(path)
        if text is None:
            return
        try:
            data, taken = json.loads(text), set()
            for image in data["images"]:
                if names is None or image["file_name"].removesuffix(".png") in names:
                    taken.add(image["id"])
                    self._frames[image["id"]] = {"image": image, "annotations": []}
            for annotation in data["annotations"]:
                if annotation["image_id"] in taken:
                    self._frames[annotation["image_id"]]["annotations"].append(annotation)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{path}: not an annotation file of an earlier run. Move it away.") from None
        self._behind = True

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Take one frame."""
        height, width = item.labels.shape
        annotations = []
        for channel, object_id in enumerate(item.object_ids, 1):
            mask = item.labels == object_id
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if not len(rows):
                continue
            left, top = int(columns[0]), int(rows[0])
            annotations.append(
                {
                    "image_id": item.index,
                    "category_id": object_id,
                    "object_id": object_id,
                    "segmentation": encode(mask),
                    "area": int(mask.sum()),
                    "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
                    "iscrowd": 0,
                    "score": round(float(np.asarray(item.probabilities[channel])[mask].mean()), 4),
                }
            )
        picture = {"id": item.index, "file_name": f"{item.name}.png", "width": width, "height": height}
        self._frames[item.index] = {"image": picture, "annotations": annotations}
        self._behind = True

    def close(self) -> None:
        """Write the file."""
        self.flush()

    def flush(self) -> None:
        """Write the file as far as it goes."""
        if not self._behind:
            return
        frames = [self._frames[index] for index in sorted(self._frames)]
        annotations = [annotation for frame in frames for annotation in frame["annotations"]]
        ids = sorted({annotation["object_id"] for annotation in annotations})
        data = {
            "images": [frame["image"] for frame in frames],
            "annotations": [{**annotation, "id": number} for number, annotation in enumerate(annotations, 1)],
            "categories": [{"id": i, "name": f"object {i}", "supercategory": "object"} for i in ids],
        }
        with atomic_write(self.path) as path:
            path.write_text(json.dumps(data), encoding="utf-8")
        self._behind = False


WRITERS: dict[str, Callable[[Path], MaskWriter]] = {
    "palette": PaletteWriter,
    "objects": ObjectsWriter,
    "soft": SoftWriter,
    "npz": NpzWriter,
    "coco": CocoWriter,
    "cutout": CutoutWriter,
}
"""Formats that are written frame by frame, as they are."""
SEQUENCES = ("png", "exr")
"""Formats of pictures for other programs, written frame by frame; see :class:`~rotoscope.masks.mattes.Delivery`."""
VIDEOS = tuple(CODINGS)
"""Formats of videos for other programs, made at the end from mattes that are kept meanwhile."""
FORMATS = (*WRITERS, "overlay", *SEQUENCES, *VIDEOS)
"""All. ``overlay`` is a video, made at the end from the palette masks on disk."""
WITH_IMAGE = ("cutout", "png")
"""Formats written frame by frame that need the frame's image."""


def open_writer(
    name: str, folder: str | Path, delivery: Delivery | None = None, known: Collection[int] = ()
) -> MaskWriter:
    """Return the writer of a format, with its folder made.

    Args:
        name: of a format that is written frame by frame.
        folder: where.
        delivery: of formats for other programs, how objects are shown; all together, straight alpha unless given.
        known: ids of objects that are known before the first frame.

    Raises:
        InputError: an unknown format, a folder that cannot be written to, or a library that is not installed.
    """
    if name == "png":
        return RgbaWriter(Path(folder), delivery or Delivery(), tuple(known))
    if name == "exr":
        return ExrWriter(Path(folder), delivery or Delivery(), tuple(known))
    if name not in WRITERS:
        raise InputError(f"format {name!r} is not known; the formats are {', '.join(FORMATS)}.")
    return WRITERS[name](Path(folder))


def formats(texts: Sequence[str]) -> list[str]:
    """Split ``palette,overlay`` and check the names.

    Raises:
        InputError: an unknown format.
    """
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise InputError(f"format {name!r} is not known; the formats are {', '.join(FORMATS)}.")
    return list(dict.fromkeys(names))
