"""Pictures with alpha for other programs: RGBA as PNG, layers as EXR; edges that follow the picture's."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import torch
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.masks import open_writer
from rotoscope.masks.guided import refine
from rotoscope.masks.mattes import Delivery, solid
from shots import item, soft_disc

SIZE = (61, 47)


def picture(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def layers(path: Path) -> dict[str, np.ndarray]:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name: channel.pixels for name, channel in file.channels().items()}


@pytest.mark.parametrize("alpha", ["straight", "premultiplied"])
def test_png_holds_the_frame_with_soft_alpha(tmp_path: Path, alpha: str) -> None:
    image, given = picture(), item(SIZE, 0, "frame")
    open_writer("png", tmp_path, Delivery.of(alpha=alpha)).write(given, image)
    with Image.open(tmp_path / "frame.png") as opened:
        assert opened.mode == "RGBA"
        found = np.array(opened)
    soft = solid(1 - given.probabilities[0].numpy())
    assert np.abs(found[..., 3] / 255 - soft).max() <= 0.5 / 255 + 1e-6
    wanted = image * soft[..., None] if alpha == "premultiplied" else image
    assert np.abs(found[..., :3] - wanted.astype(float)).max() <= 0.5 + 1e-3


def test_png_of_each_object_is_in_its_own_folder(tmp_path: Path) -> None:
    given = item(SIZE, 0, "frame")
    open_writer("png", tmp_path, Delivery.of("each")).write(given, picture())
    for channel, object_id in enumerate((3, 7), 1):
        with Image.open(tmp_path / str(object_id) / "frame.png") as opened:
            alpha = np.array(opened)[..., 3] / 255
        assert np.abs(alpha - solid(given.probabilities[channel].numpy())).max() <= 0.5 / 255 + 1e-6


def test_png_of_each_object_known_before_is_there_from_the_first_frame_on(tmp_path: Path) -> None:
    """Programs stop at a gap in a sequence, as they would if an object were given on a later frame."""
    writer = open_writer("png", tmp_path, Delivery.of("each"), known=(3, 7))
    image = picture()
    writer.write(item(SIZE, 0, "0", (3,)), image)
    writer.write(item(SIZE, 1, "1"), image)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png")) == [
        "3/0.png", "3/1.png", "7/0.png", "7/1.png",
    ]  # fmt: skip
    with Image.open(tmp_path / "7/0.png") as opened:
        found = np.array(opened)
    assert not found[..., 3].any()
    np.testing.assert_array_equal(found[..., :3], image)
    open_writer("png", tmp_path / "whole", Delivery(), known=(3, 7)).write(item(SIZE, 0, "0", (3,)), image)
    assert [p.name for p in (tmp_path / "whole").rglob("*.png")] == ["0.png"]


@pytest.mark.parametrize("objects", ["all", "each", "3,7"])
def test_exr_has_the_alpha_of_all_that_other_formats_have(tmp_path: Path, objects: str) -> None:
    """Between two objects neither is sure, and both together are: no background shows there."""
    given = item(SIZE, 0, "frame")
    given.probabilities = torch.tensor([0.04, 0.60, 0.36])[:, None, None].expand(3, SIZE[1], SIZE[0]).contiguous()
    delivery = Delivery.of(objects)
    open_writer("exr", tmp_path, delivery, known=(3, 7)).write(given, None)
    found = layers(tmp_path / "frame.exr")
    assert found["A"].min() == 1
    assert found["object_3.A"].max() < 0.7
    together = Delivery.of("all" if objects == "each" else objects)
    open_writer("png", tmp_path, together).write(given, picture())
    with Image.open(tmp_path / "frame.png") as opened:
        assert (np.array(opened)[..., 3] == 255).all()


def test_exr_has_a_float_layer_for_each_object(tmp_path: Path) -> None:
    writer = open_writer("exr", tmp_path, Delivery(), known=(3, 7, 9))
    given = item(SIZE, 0, "frame")
    writer.write(given, None)
    found = layers(tmp_path / "frame.exr")
    assert sorted(found) == ["A", "object_3.A", "object_7.A", "object_9.A"]
    assert all(plane.dtype == np.float32 for plane in found.values())
    soft = solid(given.probabilities[1:].numpy())
    assert np.abs(found["object_3.A"] - soft[0]).max() <= 1e-5
    assert np.abs(found["object_7.A"] - soft[1]).max() <= 1e-5
    assert np.abs(found["A"] - soft.sum(axis=0).clip(0, 1)).max() <= 1e-5
    assert not found["object_9.A"].any()  # not there yet, and its layer is on every frame


def test_exr_of_chosen_objects_has_their_layers_alone(tmp_path: Path) -> None:
    given = item(SIZE, 0, "frame")
    open_writer("exr", tmp_path, Delivery.of([7]), known=(3, 7)).write(given, None)
    found = layers(tmp_path / "frame.exr")
    assert sorted(found) == ["A", "object_7.A"]
    assert np.array_equal(found["A"], found["object_7.A"])


def test_layers_have_the_names_of_objects(tmp_path: Path) -> None:
    open_writer("exr", tmp_path, Delivery.of(names={3: "swan"})).write(item(SIZE, 0, "frame"), None)
    assert sorted(layers(tmp_path / "frame.exr")) == ["A", "object_7.A", "swan.A"]
    for wrong in ({3: "a.b"}, {3: ""}, {3: "1"}, {3: "x", 7: "x"}, {3: "object_7"}):
        with pytest.raises(InputError):
            Delivery.of(names=wrong)
    assert Delivery.of(names={3: "object_3", 7: "object_5", 5: "it"}).layer_of(7) == "object_5"
    with pytest.raises(InputError, match="object 5 is to be named"):
        Delivery.of(names={5: "swan"}).check_objects({3})


def test_exr_without_its_library_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "OpenEXR":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr("rotoscope.masks.sequences.import_module", missing)
    with pytest.raises(InputError, match="OpenEXR is not installed"):
        open_writer("exr", tmp_path / "exr")
    assert not (tmp_path / "exr").exists()


def test_refined_edges_follow_those_of_the_picture() -> None:
    """A mask whose edge is off by some pixels moves towards the edge that is seen; far from it nothing changes."""
    size = (160, 120)
    true = soft_disc(size, 0, 30.0) > 0.5
    image = np.where(true[..., None], (200, 60, 40), (40, 90, 160)).astype(np.uint8)
    image = (image + np.random.default_rng(0).integers(-6, 7, image.shape)).astype(np.uint8)
    loose = soft_disc(size, 0, 33.0)
    better = refine(image, loose, radius=8, epsilon=1e-4)
    wrong = [((alpha > 0.5) != true).sum() for alpha in (loose, better)]
    assert wrong[1] < 0.4 * wrong[0]
    assert better.dtype == np.float32
    assert 0 <= better.min() <= better.max() <= 1
    y, x = np.mgrid[: size[1], : size[0]]
    away = np.hypot(x - size[0] * 0.4, y - size[1] * 0.5)
    assert np.abs(better - loose)[away < 8].max() < 0.01
    assert better[away > 75].max() < 1e-6


def test_a_window_solved_by_hand_is_what_the_filter_gives() -> None:
    """In a window of one colour the filter gives the mean of means; on a step of one channel it keeps the step."""
    flat = np.full((40, 40, 3), 120, np.uint8)
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, 20:] = 1
    blurred = refine(flat, alpha, radius=3)
    line = np.convolve(np.convolve(np.pad(alpha[20], 6, mode="edge"), np.ones(7) / 7, "valid"), np.ones(7) / 7, "valid")
    assert np.abs(blurred[20] - line).max() < 0.01
    step = flat.copy()
    step[:, 20:, 0] = 220
    assert np.abs(refine(step, alpha, radius=3, epsilon=1e-6)[20] - alpha[20]).max() < 0.01


def test_no_mask_stays_no_mask() -> None:
    nothing = np.zeros((20, 30), np.float32)
    assert np.array_equal(refine(picture((30, 20)), nothing), nothing)
