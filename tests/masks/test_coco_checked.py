"""COCO files that are damaged, odd or hostile are refused in a line; what pycocotools is given it can take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from rotoscope.errors import InputError
from rotoscope.masks import open_writer, read_masks, reading
from rotoscope.masks.coco import decode, encode, masks_of_json
from rotoscope.methods.base import Prediction
from rotoscope.runs.prompts import read_prompts
from rotoscope.video import Frame, open_video

RING = [10, 10, 40, 10, 40, 40, 10, 40]


def written(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data))
    return path


def of_image(segmentation: Any, **image: Any) -> dict[str, Any]:
    picture = {"id": 1, "width": 96, "height": 64, **image}
    return {"images": [picture], "annotations": [{"id": 1, "image_id": 1, "segmentation": segmentation}]}


ODD: dict[str, tuple[Any, str]] = {
    "annotations are an object": ({"annotations": {"0": {"id": 1}}}, "list of objects"),
    "images are an object": ({"images": {"id": 1}, "annotations": []}, "images"),
    "nothing in it": ({"annotations": []}, "no annotation"),
    "an empty segmentation": (of_image([]), "annotation 0"),
    "a point": (of_image([[1, 1]]), "three corners"),
    "a box for a polygon": (of_image([[1, 1, 5, 5]]), "three corners"),
    "no number": (of_image([[None, 1, 5, 5, 7, 9]]), "for a coordinate"),
    "not a number": (of_image([[float("nan"), 0, 5, 0, 5, 5]]), "for a coordinate"),
    "endless": (of_image([[float("inf"), 0, 5, 0, 5, 5]]), "for a coordinate"),
    "words": (of_image("here"), "annotation 0"),
    "no size": (of_image([RING], width=None), "size of the image"),
    "a size of words": (of_image([RING], width="wide"), "height and width"),
    "a size below nothing": (of_image([RING], width=-3), "height and width"),
    "a size of a fraction": (of_image([RING], width=3.5), "height and width"),
    "a huge size": (of_image([RING], width=10**6, height=10**6), "more pixels"),
    "huge run lengths": ({"size": [10**6, 10**6], "counts": "`0"}, "more pixels"),
    "run lengths that end early": ({"size": [64, 96], "counts": [5, 5]}, "add up to 10"),
    "run lengths below nothing": ({"size": [2, 2], "counts": [8, -4]}, "no whole numbers"),
    "run lengths of words": ({"size": [2, 2], "counts": ["2", 2]}, "no whole numbers"),
    "compressed and cut": ({"size": [64, 96], "counts": "P`beim"}, "cut short|characters|add up"),
    "compressed nonsense": ({"size": [64, 96], "counts": "\x01\x02"}, "characters"),
    "one side": ({"size": [64], "counts": [64]}, "height and width"),
    "another size than its image": (of_image({"size": [2, 2], "counts": [4]}), "but its image is"),
    "another tool's file": ({"type": "FeatureCollection", "features": []}, "GeoJSON"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_refused_in_a_line(tmp_path: Path, name: str) -> None:
    data, message = ODD[name]
    with pytest.raises(InputError, match=message) as caught:
        read_masks(written(tmp_path / "a.json", data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("far", [1e3, 1e9, 1e300])
def test_polygons_beyond_the_image_are_cut_at_it(tmp_path: Path, far: float) -> None:
    reading = read_masks(written(tmp_path / "a.json", of_image([[0, 0, far, 0, far, far, 0, far]])))
    assert reading.masks[1].all()
    half = read_masks(written(tmp_path / "b.json", of_image([[48, -far, far, -far, far, far, 48, far]])))
    assert np.array_equal(half.masks[1], np.broadcast_to(np.arange(96) >= 48, (64, 96)))


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(of_image([RING])).encode())
    assert list(read_masks(path).masks) == [1]


def test_depth_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(InputError, match="not JSON"):
        read_masks(tmp_path / "a.json")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_run_lengths_come_back(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert np.array_equal(decode(encode(mask), (height, width))[0], mask)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_any_text_for_run_lengths_is_read_or_refused(counts: str, size: tuple[int, int]) -> None:
    try:
        mask, _ = decode({"size": list(size), "counts": counts}, None)
    except (ValueError, InputError):
        return
    assert mask.shape == size


def test_what_is_written_scores_perfectly_against_itself(tmp_path: Path) -> None:
    writer = open_writer("coco", tmp_path)
    for t in range(3):
        labels = np.zeros((64, 96), np.int64)
        labels[10:40, 10 + t : 50 + t], labels[42:60, 60:90] = 1, 2
        probabilities = torch.nn.functional.one_hot(torch.from_numpy(labels), 3).permute(2, 0, 1).float()
        frame = Frame(t, np.zeros((64, 96, 3), np.uint8))
        writer.write(Prediction.from_probabilities(frame, (4, 9), probabilities), None)
    writer.close()
    truth = COCO(str(tmp_path / "annotations.json"))
    found = truth.loadRes(json.loads((tmp_path / "annotations.json").read_text())["annotations"])
    scores = COCOeval(truth, found, "segm")
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    assert scores.stats[0] == pytest.approx(1.0)
    assert [category["id"] for category in truth.loadCats(truth.getCatIds())] == [4, 9]
    assert {image["file_name"] for image in truth.imgs.values()} == {"00000.png", "00001.png", "00002.png"}


@pytest.mark.parametrize("counts", [2**40, 5, 0.5, True, None, {}])
def test_counts_that_are_a_number_ask_for_no_memory(counts: object) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        masks_of_json({"size": [48, 64], "counts": counts}, Path("a.json"))


def test_an_image_id_that_is_a_long_text_is_told_shortly(tmp_path: Path) -> None:
    one = {"segmentation": {"size": [2, 2], "counts": [0, 4]}, "image_id": "x" * 100_000}
    (tmp_path / "a.json").write_text(json.dumps([one, {**one, "image_id": 2}]))
    with pytest.raises(InputError) as raised:
        read_prompts({0: str(tmp_path / "a.json")}, open_video(np.zeros((2, 2, 2, 3), np.uint8)))
    assert len(str(raised.value)) < 1000


def test_too_little_memory_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: Path) -> None:
        raise MemoryError

    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr(reading, "masks_of_image", none_left)
    with pytest.raises(InputError, match="more memory to read than there is"):
        read_masks(tmp_path / "a.png")
