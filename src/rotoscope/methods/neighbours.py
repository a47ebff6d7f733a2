"""Predictions as other libraries of Python want them, and as a notebook shows them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.masks.coco import encode
from rotoscope.masks.palette import colour, davis_palette
from rotoscope.masks.saving import Segmented

WIDEST = 480
"""Pixels of the picture that a notebook shows, at most."""


class Prediction(Segmented, Protocol):
    """What is asked of a prediction; see :class:`~rotoscope.methods.prediction.Prediction`."""

    @property
    def confidence(self) -> tuple[float, ...]:
        """A number in [0, 1] for each object."""


def masks_of(prediction: Prediction) -> NDArray[np.bool_]:
    """Each object's own pixels, bool ``[N, H, W]`` in the order of ``object_ids``; no pixel is two objects'."""
    ids = np.array(prediction.object_ids, prediction.labels.dtype).reshape(-1, 1, 1)
    return np.asarray(prediction.labels[None] == ids)


def boxes_of(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Left, top, right and bottom of masks ``[N, H, W]``, right and bottom exclusive, ``[N, 4]``; zeros where empty."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def to_supervision(prediction: Prediction) -> Any:
    """``supervision.Detections`` of the objects that show on the frame, their ids as ``tracker_id``.

    Raises:
        InputError: the package ``supervision`` is not installed.
    """
    try:
        from supervision import Detections
    except ImportError:
        raise InputError("to_supervision needs the package supervision: pip install supervision") from None
    masks = masks_of(prediction)
    shown = masks.any(axis=(1, 2))
    ids = np.array(prediction.object_ids, int)[shown]
    return Detections(
        xyxy=boxes_of(masks[shown]),
        mask=masks[shown],
        confidence=np.array(prediction.confidence, np.float32)[shown],
        class_id=np.zeros(len(ids), int),
        tracker_id=ids,
    )


def to_coco(prediction: Prediction, image_id: int, categories: Mapping[int, int]) -> list[dict[str, Any]]:
    """Annotations in COCO's form, run lengths, of the objects that show on the frame."""
    annotations = []
    masks = masks_of(prediction)
    parts = zip(prediction.object_ids, masks, boxes_of(masks).tolist(), prediction.confidence, strict=True)
    for object_id, mask, (left, top, right, bottom), confidence in parts:
        if mask.any():
            annotations.append(
                {
                    "image_id": image_id,
                    "category_id": categories.get(object_id, object_id),
                    "object_id": object_id,
                    "segmentation": encode(mask),
                    "area": int(mask.sum()),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                    "score": round(float(confidence), 4),
                }
            )
    return annotations


def to_html(prediction: Prediction) -> str:
    """A picture of the masks and a line per object, for a notebook; it needs no file and no script."""
    labels = prediction.labels
    step = max(1, -(-labels.shape[1] // WIDEST))
    picture = Image.fromarray((labels[::step, ::step] % 256).astype(np.uint8))
    picture.putpalette(davis_palette().ravel().tolist())
    file = io.BytesIO()
    picture.save(file, format="PNG")
    data = base64.b64encode(file.getvalue()).decode()
    rows = []
    for object_id, confidence in zip(prediction.object_ids, prediction.confidence, strict=True):
        share = 100 * float((labels == object_id).mean())
        swatch = "rgb({}, {}, {})".format(*colour(object_id))
        rows.append(
            f'<tr><td><span style="display:inline-block;width:1em;height:1em;background:{swatch}"></span> {object_id}'
            f"</td><td>{share:.1f} %</td><td>{confidence:.2f}</td></tr>"
        )
    name = html.escape(prediction.name or str(prediction.index))
    head = "<tr><th>object</th><th>of the picture</th><th>confidence</th></tr>"
    picture_of = f'<img alt="masks of frame {name}" src="data:image/png;base64,{data}">'
    table = f"<table>{head}{''.join(rows)}</table>"
    return f'<figure style="margin:0"><figcaption>frame {name}</figcaption>{picture_of}{table}</figure>'
