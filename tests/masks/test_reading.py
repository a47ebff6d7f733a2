from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from rotoscope.errors import InputError
from rotoscope.masks import davis_palette, read_masks

A = np.zeros((40, 60), bool)
A[5:20, 10:30] = True
B = np.zeros((40, 60), bool)
B[25:35, 35:55] = True
LABELS = A.astype(np.uint8) + 7 * B.astype(np.uint8)


def same(found: dict[int, np.ndarray], expected: dict[int, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[i], expected[i]) for i in expected)


def save(path: Path, array: np.ndarray, palette: bool = False) -> Path:
    image = Image.fromarray(array)
    if palette:
        image.putpalette(davis_palette().ravel().tolist())
    image.save(path)
    return path


def test_palette_png_keeps_ids_and_leaves_void_out(tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[0, :5] = 255
    reading = read_masks(save(tmp_path / "a.png", labels, palette=True))
    assert same(reading.masks, {1: A, 7: B})
    assert any("255 left out" in line for line in reading.account)
    assert reading.size == (60, 40)


@pytest.mark.parametrize("top", [1, 255])
def test_a_mask_of_one_object(tmp_path: Path, top: int) -> None:
    reading = read_masks(save(tmp_path / "a.png", A.astype(np.uint8) * np.uint8(top)))
    assert same(reading.masks, {1: A})
    assert f"0/{top} mask read as one object" in reading.account


def test_grey_index(tmp_path: Path) -> None:
    assert same(read_masks(save(tmp_path / "a.png", LABELS)).masks, {1: A, 7: B})


def test_soft_edges_stay_soft(tmp_path: Path) -> None:
    soft = cv2.GaussianBlur(A.astype(np.uint8) * 255, (5, 5), 1.0)
    reading = read_masks(save(tmp_path / "a.png", soft))
    assert list(reading.masks) == [1]
    assert reading.masks[1].dtype == np.float32
    np.testing.assert_allclose(reading.masks[1], soft / 255, atol=1e-6)
    between = len(np.unique(soft)) - 2
    assert f"0/255 mask read as one object, {between} soft-edge values merged" in reading.account


def test_three_soft_values(tmp_path: Path) -> None:
    image = A.astype(np.uint8) * 255
    image[5, 10:30], image[19, 10:30], image[6:19, 10] = 60, 128, 190
    reading = read_masks(save(tmp_path / "a.png", image))
    assert "0/255 mask read as one object, 3 soft-edge values merged" in reading.account


@pytest.mark.parametrize("grey", [127, 128])
def test_a_second_object_is_not_taken_for_an_edge(tmp_path: Path, grey: int) -> None:
    image = A.astype(np.uint8) * 255 + B.astype(np.uint8) * np.uint8(grey)
    reading = read_masks(save(tmp_path / "a.png", image))
    assert same(reading.masks, {1: B, 2: A})
    assert "spread evenly" in reading.account[0]


def test_colours(tmp_path: Path) -> None:
    palette = davis_palette()
    reading = read_masks(save(tmp_path / "a.png", palette[LABELS]))
    assert same(reading.masks, {1: A, 7: B})
    assert "colours read as ids by the DAVIS palette" in reading.account
    own = np.zeros((40, 60, 3), np.uint8)
    own[A], own[B] = (250, 120, 10), (10, 200, 230)
    assert same(read_masks(save(tmp_path / "b.png", own)).masks, {1: A, 2: B})
    soft = cv2.GaussianBlur(own, (3, 3), 0)
    reading = read_masks(save(tmp_path / "c.png", soft))
    assert list(reading.masks) == [1, 2]
    assert (reading.masks[1] ^ A).mean() < 0.02
    assert any("soft-edge colours merged" in line for line in reading.account)


def test_a_photograph_is_no_mask(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="photograph"):
        read_masks(save(tmp_path / "a.png", noise))


def test_deep_one_bit_and_alpha(tmp_path: Path) -> None:
    deep = A.astype(np.uint16) * 300 + B.astype(np.uint16) * 7
    assert same(read_masks(save(tmp_path / "deep.png", deep)).masks, {7: B, 300: A})
    assert same(read_masks(save(tmp_path / "bits.png", A)).masks, {1: A})
    rgba = np.dstack([np.full((40, 60, 3), 9, np.uint8), A.astype(np.uint8) * 255])
    reading = read_masks(save(tmp_path / "alpha.png", rgba))
    assert same(reading.masks, {1: A})
    assert "alpha channel read as the mask" in reading.account


def test_a_folder_with_one_file_per_object(tmp_path: Path) -> None:
    save(tmp_path / "mask_7.png", A.astype(np.uint8) * 255)
    save(tmp_path / "mask_300.png", B.astype(np.uint8) * 255)
    assert same(read_masks(tmp_path).masks, {7: A, 300: B})


def test_a_folder_with_words_for_names(tmp_path: Path) -> None:
    save(tmp_path / "cat.png", A.astype(np.uint8) * 255)
    save(tmp_path / "dog.png", B.astype(np.uint8) * 255)
    reading = read_masks(tmp_path)
    assert same(reading.masks, {1: A, 2: B})
    assert "numbered in the order of their names" in reading.account[0]


def run_lengths(mask: np.ndarray) -> dict[str, object]:
    flat = mask.T.ravel()
    change = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
    counts = np.diff(np.concatenate([[0], change, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": counts}


def compressed(mask: np.ndarray) -> dict[str, object]:
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}


@pytest.mark.parametrize("form", ["file", "list", "single", "bare"])
@pytest.mark.parametrize("encode", [run_lengths, compressed])
def test_coco_run_lengths(tmp_path: Path, form: str, encode: object) -> None:
    assert callable(encode)
    annotations = [
        {"id": 7, "image_id": 3, "segmentation": encode(A)},
        {"id": 300, "image_id": 3, "segmentation": encode(B)},
    ]
    data: object = {"images": [{"id": 3, "height": 40, "width": 60}], "annotations": annotations}
    expected = {7: A, 300: B}
    if form == "list":
        data = annotations
    elif form == "single":
        data, expected = annotations[0], {7: A}
    elif form == "bare":
        data, expected = encode(B), {1: B}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    assert same(read_masks(path).masks, expected)


def test_coco_polygons(tmp_path: Path) -> None:
    polygon = [[10.0, 5.0, 30.0, 5.0, 30.0, 20.0, 10.0, 20.0]]
    data = {
        "images": [{"id": 1, "height": 40, "width": 60}],
        "annotations": [{"image_id": 1, "id": 4, "segmentation": polygon}],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    assert same(read_masks(path).masks, {4: A})
    path.write_text(json.dumps([{"id": 4, "segmentation": polygon}]))
    with pytest.raises(InputError, match="size of the image"):
        read_masks(path)


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", LABELS)
    assert same(read_masks(tmp_path / "labels.npy").masks, {1: A, 7: B})
    np.savez(tmp_path / "stack.npz", masks=np.stack([A, B]), ids=[7, 300])
    assert same(read_masks(tmp_path / "stack.npz").masks, {7: A, 300: B})
    np.savez(tmp_path / "named.npz", **{"7": A, "object_300": B})
    assert same(read_masks(tmp_path / "named.npz").masks, {7: A, 300: B})
    np.savez(tmp_path / "unnamed.npz", A + 2 * B.astype(np.uint8))  # NumPy calls it arr_0, which is no id
    assert same(read_masks(tmp_path / "unnamed.npz").masks, {1: A, 2: B})
    np.savez(tmp_path / "unnamed.npz", A, B)
    assert same(read_masks(tmp_path / "unnamed.npz").masks, {1: A, 2: B})
    np.save(tmp_path / "soft.npy", A * 0.25)
    assert read_masks(tmp_path / "soft.npy").masks[1].max() == np.float32(0.25)


def test_size_and_resize(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", LABELS)
    with pytest.raises(InputError, match="mask is 60x40 but the video is 120x80"):
        read_masks(path, size=(120, 80))
    reading = read_masks(path, size=(120, 80), resize=True)
    assert reading.masks[7].shape == (80, 120)
    assert reading.masks[7].sum() == 4 * B.sum()
    assert "resized from 60x40 to 120x80" in reading.account


def test_the_one_object_can_be_named(tmp_path: Path) -> None:
    assert list(read_masks(save(tmp_path / "a.png", A), object_id=300).masks) == [300]
    with pytest.raises(InputError, match="holds 2 objects"):
        read_masks(save(tmp_path / "b.png", LABELS), object_id=3)


def test_what_is_no_mask(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without any object"):
        read_masks(save(tmp_path / "empty.png", np.zeros((4, 4), np.uint8)))
    with pytest.raises(InputError, match="no such mask"):
        read_masks(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match="cannot be read as an image"):
        read_masks(tmp_path / "text.png")
    (tmp_path / "a.doc").write_text("hello")
    with pytest.raises(InputError, match="not a mask format"):
        read_masks(tmp_path / "a.doc")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_masks(tmp_path / "a.json")
    whole = tmp_path / "a.npz"
    np.savez(whole, masks=A)
    whole.write_bytes(whole.read_bytes()[:60])
    with pytest.raises(InputError, match="truncated"):
        read_masks(whole)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="without mask images"):
        read_masks(tmp_path / "none")
    np.save(tmp_path / "negative.npy", np.full((4, 4), -2))
    with pytest.raises(InputError, match="object id -2"):
        read_masks(tmp_path / "negative.npy")
