"""What is given as masks: folders of frames or objects, our own outputs, arrays, Pillow images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.masks import davis_palette, open_writer, read_masks
from rotoscope.masks.prompts import masks_for
from rotoscope.methods.base import Prediction
from rotoscope.video import Frame, open_video

SIZE = (96, 64)
A = np.zeros((64, 96), bool)
A[10:30, 10:40] = True
B = np.zeros((64, 96), bool)
B[35:60, 50:90] = True


def labels(t: int) -> np.ndarray:
    return (np.roll(A, t, axis=1) + 2 * np.roll(B, -t, axis=1)).astype(np.uint8)


def palette(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    image.putpalette(davis_palette().ravel().tolist())
    image.save(path)


def white(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


@pytest.fixture
def video(tmp_path: Path) -> Any:
    for t in range(6):
        path = tmp_path / "frames" / f"{t:05d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((64, 96, 3), 20 * t, np.uint8)).save(path)
    return open_video(tmp_path / "frames")


def given(source: Any, video: Any, resize: bool = False) -> dict[int, dict[int, np.ndarray]]:
    return masks_for(source, 0, video, resize, [])


def test_a_folder_of_frames_masks_is_of_those_frames(tmp_path: Path, video: Any) -> None:
    for t in (0, 2, 3):
        palette(tmp_path / f"masks/{t:05d}.png", labels(t))
    found = given(tmp_path / "masks", video)
    assert {t: sorted(masks) for t, masks in found.items()} == {0: [1, 2], 2: [1, 2], 3: [1, 2]}
    assert np.array_equal(found[3][2], labels(3) == 2)
    with pytest.raises(InputError, match="holds the masks of 3 frames"):
        read_masks(tmp_path / "masks")


@pytest.mark.parametrize("step", [1, 40])
def test_one_object_on_frames_is_one_object(tmp_path: Path, video: Any, step: int) -> None:
    for t in range(2):
        white(tmp_path / f"masks/{t:05d}.png", np.roll(A, step * t, axis=1))
    found = given(tmp_path / "masks", video)
    assert {t: list(masks) for t, masks in found.items()} == {0: [1], 1: [1]}


def test_a_folder_of_objects_is_of_one_frame(tmp_path: Path, video: Any) -> None:
    white(tmp_path / "masks/object_3.png", A)
    white(tmp_path / "masks/object_5.png", B)
    assert list(given(tmp_path / "masks", video)[0]) == [3, 5]


def test_frames_of_other_names_are_refused(tmp_path: Path, video: Any) -> None:
    for t in range(3):
        palette(tmp_path / f"masks/shot{t}.png", labels(t))
    with pytest.raises(InputError, match="shot0 is no frame of the video"):
        given(tmp_path / "masks", video)


def test_what_may_be_objects_or_frames_is_refused(tmp_path: Path) -> None:
    for t in (1, 2):
        path = tmp_path / "frames" / f"{t}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(path)
    white(tmp_path / "masks/1.png", A)
    white(tmp_path / "masks/2.png", B)
    with pytest.raises(InputError, match="per object or per frame"):
        given(tmp_path / "masks", open_video(tmp_path / "frames"))


@pytest.mark.parametrize("form", ["palette", "objects", "soft", "npz", "coco"])
def test_our_own_outputs_read_back(tmp_path: Path, video: Any, form: str) -> None:
    writer = open_writer(form, tmp_path / "out")
    for t in range(3):
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(labels(t)).long(), 3).permute(2, 0, 1).float()
        frame = Frame(t, np.zeros((64, 96, 3), np.uint8))
        writer.write(Prediction.from_probabilities(frame, (1, 2), one_hot), None)
    writer.close()
    path = tmp_path / "out/annotations.json" if form == "coco" else tmp_path / "out"
    found = given(path, video)
    assert sorted(found) == [0, 1, 2]
    for t in range(3):
        assert sorted(found[t]) == [1, 2]
        assert all(np.array_equal(found[t][i] > 0.5, labels(t) == i) for i in (1, 2))


ARGUMENTS: dict[str, Any] = {
    "label map": labels(0),
    "label map of int64": labels(0).astype(np.int64),
    "label map of floats": labels(0).astype(np.float64),
    "stack": np.stack([A, B]),
    "stack with the background": np.stack([~(A | B), A, B]).astype(np.float32),
    "channels last": np.moveaxis(np.stack([np.pad(A, ((0, 32), (0, 0))), np.pad(B, ((0, 32), (0, 0)))]), 0, 2),
    "tensor": torch.from_numpy(labels(0)),
    "Pillow": Image.fromarray(labels(0)),
    "Pillow in colours": Image.fromarray(davis_palette()[labels(0)]),
    "by id": {1: A, 2: B.astype(np.uint8) * 255},
    "by id, tensors": {1: torch.from_numpy(A), 2: torch.from_numpy(B).half()},
    "by id, Pillow": {1: Image.fromarray(A), 2: Image.fromarray(B.astype(np.uint8) * 255)},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_are_taken(name: str) -> None:
    height = 96 if name == "channels last" else 64
    video = open_video(np.zeros((3, height, 96, 3), np.uint8))
    found = given(ARGUMENTS[name], video)[0]
    assert sorted(found) == [1, 2]
    assert np.array_equal(found[1][:64] > 0.5, A)
    assert np.array_equal(found[2][:64] > 0.5, B)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({1: np.full((64, 96), np.nan)}, "numbers"),
        ({1: A * 2.5}, r"\[0, 1\]"),
        ({1: labels(0)}, "several values"),
        ({1: np.zeros((3, 64, 96))}, "shape"),
        ({"car": A}, "object id 'car'"),
        ({0: A}, "object id 0 is not allowed"),
        ({1: A[:50]}, "96x50 but the video is 96x64"),
        ("nothing.png", "no such mask"),
        (object(), "is no mask"),
        (np.zeros((2, 2, 2, 2)), "shape"),
    ],
)
def test_arguments_that_are_refused(masks: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(masks, open_video(np.zeros((3, 64, 96, 3), np.uint8)))


def test_arrays_are_resized_too() -> None:
    found = given({1: np.pad(A, ((0, 0), (0, 1)))}, open_video(np.zeros((3, 64, 96, 3), np.uint8)), resize=True)
    assert found[0][1].shape == (64, 96)


def test_array_files_that_are_refused(tmp_path: Path) -> None:
    cases = {
        "names": ({"masks": np.stack([A, B]), "ids": np.array(["car", "dog"])}, "ids are car, dog"),
        "twice": ({"masks": np.stack([A, B]), "ids": [4, 4]}, "id 4 is given to 2 masks"),
        "too few": ({"masks": np.stack([A, B]), "ids": [4]}, "2 masks but 1 ids"),
        "same": ({"a_1": A, "b_1": B}, "id 1 is given to 2 masks"),
        "words": ({"masks": np.array([["a", "b"]])}, "not numbers"),
    }
    for name, (arrays, message) in cases.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=message):
            read_masks(tmp_path / f"{name}.npz")


def test_id_zero_of_a_stack_is_the_background(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", masks=np.stack([~(A | B), A, B]), ids=[0, 3, 7])
    assert list(read_masks(tmp_path / "a.npz").masks) == [3, 7]


def test_an_open_file_is_no_mask(tmp_path: Path, video: Any) -> None:
    white(tmp_path / "a.png", A)
    with (tmp_path / "a.png").open("rb") as file:
        for source in (file, io.BytesIO(b"x"), {1: file}):
            with pytest.raises(InputError, match="an open file is no mask"):
                given(source, video)
