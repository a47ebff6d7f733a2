"""A prediction as other libraries want it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco

from rotoscope.errors import InputError
from rotoscope.methods.prediction import Prediction
from rotoscope.video import Frame, open_video


@pytest.fixture
def prediction() -> Prediction:
    """Objects 3, 300 and 5; the last has no pixel."""
    whole = torch.zeros(4, 20, 30)
    whole[0] = 0.3
    whole[1, 2:8, 4:10] = 0.9
    whole[2, 10:15, 20:30] = 0.8
    frame = Frame(7, np.zeros((20, 30, 3), np.uint8), name="<b>7")
    return Prediction.from_probabilities(frame, (3, 300, 5), whole / whole.sum(0))


def test_masks_and_probabilities(prediction: Prediction) -> None:
    assert prediction.masks.shape == (3, 20, 30)
    assert [int(mask.sum()) for mask in prediction.masks] == [36, 50, 0]
    soft = prediction.to_numpy()
    assert list(soft) == [3, 300, 5]
    np.testing.assert_allclose(soft[3][3, 5], 0.75)
    empty = Prediction.empty(Frame(0, np.zeros((20, 30, 3), np.uint8)))
    assert empty.masks.shape == (0, 20, 30)
    assert empty.to_coco() == []


def test_coco(prediction: Prediction) -> None:
    one, other = prediction.to_coco(image_id=4, categories={3: 9})
    assert (one["image_id"], one["category_id"], one["object_id"], one["bbox"]) == (4, 9, 3, [4, 2, 6, 6])
    assert (other["image_id"], other["category_id"], other["area"]) == (4, 300, 50)
    np.testing.assert_array_equal(coco.decode(other["segmentation"]), prediction.labels == 300)


def test_supervision(prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the package where it is installed; else against what its description says it takes."""
    try:
        import supervision  # noqa: F401
    except ImportError:
        standing = ModuleType("supervision")
        standing.Detections = lambda **fields: type("Detections", (), fields)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "supervision", standing)
    found: Any = prediction.to_supervision()
    assert found.tracker_id.tolist() == [3, 300]
    assert found.xyxy.tolist() == [[4, 2, 10, 8], [20, 10, 30, 15]]
    assert found.mask.shape == (2, 20, 30)
    np.testing.assert_allclose(found.confidence, prediction.confidence[:2])
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match="pip install supervision"):
        prediction.to_supervision()


def test_what_a_notebook_shows(prediction: Prediction) -> None:
    text = prediction._repr_html_()
    assert "&lt;b&gt;7" in text
    assert "<b>" not in text
    assert text.count("<tr>") == 4
    assert "data:image/png;base64," in text


class Foreign:
    """An array of decord's."""

    def asnumpy(self) -> np.ndarray[Any, Any]:
        return np.full((20, 30, 3), 5, np.uint8)


@pytest.mark.parametrize(
    "source",
    [
        torch.full((4, 20, 30, 3), 5, dtype=torch.uint8),
        torch.full((4, 3, 20, 30), 5, dtype=torch.uint8),
        [torch.full((3, 20, 30), 5, dtype=torch.uint8)] * 4,
        [Foreign()] * 4,
        (Image.new("RGB", (30, 20), (5, 5, 5)) for _ in range(4)),
    ],
    ids=["tensor", "channels first", "tensors", "decord", "Pillow"],
)
def test_videos_of_other_libraries(source: Any) -> None:
    with open_video(source) as video:
        frames = list(video)
    assert len(frames) == 4
    assert all(frame.size == (30, 20) and (frame.image == 5).all() for frame in frames)
