"""What a grey value, a colour, an index or alpha means, by what decides it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.masks import davis_palette, read_masks
from rotoscope.masks.reading import MaskReading

A = np.zeros((96, 128), bool)
A[20:60, 15:70] = True
B = np.zeros((96, 128), bool)
B[65:90, 80:120] = True
RED, GREEN = (128, 0, 0), (0, 128, 0)


def grey(a: int, b: int = 0, back: int = 0) -> np.ndarray:
    return np.where(A, a, np.where(B, b, back)).astype(np.uint8)


def coloured(a: tuple[int, ...], b: tuple[int, ...], back: tuple[int, ...] = (0, 0, 0)) -> np.ndarray:
    return np.where(A[..., None], a, np.where(B[..., None], b, back)).astype(np.uint8)


def read(path: Path, array: np.ndarray, mode: str | None = None, **options: object) -> MaskReading:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return read_masks(path)


def read_array(path: Path, array: np.ndarray) -> MaskReading:
    np.save(path, array)
    return read_masks(path)


def one(reading: MaskReading, true: np.ndarray = A, within: float = 0.01) -> bool:
    return list(reading.masks) == [1] and float(((reading.masks[1] > 0.5) ^ true).mean()) < within


def two(reading: MaskReading, within: float = 0.0) -> bool:
    if list(reading.masks) != [1, 2]:
        return False
    return all(((reading.masks[i] > 0.5) ^ true).mean() <= within for i, true in ((1, A), (2, B)))


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_a_jpeg_of_one_object(tmp_path: Path, quality: int) -> None:
    assert one(read(tmp_path / "a.jpg", grey(255), quality=quality))
    assert one(read(tmp_path / "b.jpg", coloured((255,) * 3, (0, 0, 0)), quality=quality))


def test_a_jpeg_of_colours_and_of_grey_labels(tmp_path: Path) -> None:
    reading = read(tmp_path / "a.jpg", coloured((128, 0, 0), (0, 128, 0)), quality=90, subsampling=0)
    assert two(reading, within=0.01)
    with pytest.raises(InputError, match="JPEG of grey labels"):
        read(tmp_path / "b.jpg", grey(1, 2))


PAIRS = {
    "red and blue": ((255, 0, 0), (0, 0, 255)),
    "DAVIS": (RED, GREEN),
    "yellow and cyan": ((255, 255, 0), (0, 255, 255)),
    "pale": ((230, 120, 40), (40, 120, 230)),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("quality", [60, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_of_colours_loses_no_object(tmp_path: Path, pair: str, quality: int, subsampling: int) -> None:
    """Its colours are shared by blocks of pixels, so that hardly a window of pixels has one exactly."""
    array = coloured(*PAIRS[pair])
    reading = read(tmp_path / "a.jpg", array, quality=quality, subsampling=subsampling)
    assert two(reading, within=0.02)


def test_a_jpeg_whose_colours_run_into_each_other_is_refused(tmp_path: Path) -> None:
    array = np.zeros((96, 128, 3), np.uint8)
    array[8:40, 8:60] = (255, 0, 0)
    array[50:90, 20:100] = np.random.default_rng(0).integers(0, 256, (40, 80, 3))
    with pytest.raises(InputError, match="a JPEG of colours: some of them changed so much"):
        read(tmp_path / "a.jpg", array, quality=85)


@pytest.mark.parametrize("count", [30, 33, 40, 100, 200, 254])
@pytest.mark.parametrize("void", [False, True])
def test_many_ids_in_grey(tmp_path: Path, count: int, void: bool) -> None:
    labels = np.zeros((280, 400), np.uint8)
    for i in range(count):
        row, column = divmod(i, 20)
        labels[row * 20 + 2 : row * 20 + 16, column * 20 + 2 : column * 20 + 16] = i + 1
    if void:
        rim = cv2.dilate(np.uint8(labels > 0), np.ones((3, 3), np.uint8)) > (labels > 0)
        labels[rim] = 255
    for reading in (read(tmp_path / "a.png", labels), read_array(tmp_path / "a.npy", labels)):
        ids = [*range(1, count + 1)] + ([255] if void and count == 254 else [])  # no longer told from an object
        assert list(reading.masks) == ids
        assert all(np.array_equal(mask, labels == i) for i, mask in reading.masks.items())


@pytest.mark.parametrize("blur", [4, 12])
@pytest.mark.parametrize("top", [255, 180])
def test_soft_masks_are_no_ids(tmp_path: Path, blur: int, top: int) -> None:
    """However slowly they fade, and if nothing is quite white."""
    mask = cv2.GaussianBlur(np.float32(cv2.circle(np.zeros((280, 400)), (200, 140), 70, 1, -1)), (0, 0), blur)
    reading = read(tmp_path / "a.png", (mask * top / mask.max()).astype(np.uint8))
    assert list(reading.masks) == [1]
    small = cv2.resize(mask / mask.max(), (50, 35), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (400, 280), interpolation=cv2.INTER_NEAREST)
    assert list(read(tmp_path / "b.png", np.uint8(large * 255)).masks) == [1]


@pytest.mark.parametrize("top", [1, 2, 3, 7])
def test_a_floor_of_noise(tmp_path: Path, top: int) -> None:
    noise = np.random.default_rng(0).integers(0, top + 1, A.shape, dtype=np.uint8)
    reading = read(tmp_path / "a.png", np.where(A, 255, noise).astype(np.uint8))
    assert one(reading)
    assert "noise" in reading.account[0]


def test_labels_beside_white_are_no_noise(tmp_path: Path) -> None:
    labels = grey(1, 2)
    labels[:6] = 255
    reading = read(tmp_path / "a.png", labels)
    assert two(reading)
    assert "value 255 left out" in reading.account[0]


def test_black_and_white_of_video_range(tmp_path: Path) -> None:
    assert one(read(tmp_path / "a.png", grey(235, back=16, b=16)))
    wobble = np.random.default_rng(0).integers(-1, 2, A.shape)
    assert one(read(tmp_path / "b.png", (grey(235, back=16, b=16) + wobble).astype(np.uint8)))


@pytest.mark.parametrize("white", [250, 254, 255])
def test_a_lone_white(tmp_path: Path, white: int) -> None:
    assert one(read(tmp_path / "a.png", grey(white)))


def test_a_lone_id_stays(tmp_path: Path) -> None:
    assert list(read(tmp_path / "a.png", grey(7)).masks) == [7]


def test_an_inverted_mask_is_doubted(tmp_path: Path) -> None:
    assert any("invert" in line for line in read(tmp_path / "a.png", grey(0, 255, 255)).account)


@pytest.mark.parametrize("levels", [(127, 255), (128, 255)])
def test_even_levels_are_objects(tmp_path: Path, levels: tuple[int, int]) -> None:
    assert two(read(tmp_path / "a.png", grey(*levels)))
    deep = grey(*levels).astype(np.uint16) * 257
    assert two(read(tmp_path / "b.png", deep))


def test_a_seam_of_white_about_an_even_level_is_unknown(tmp_path: Path) -> None:
    wide = cv2.dilate(A.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    reading = read(tmp_path / "a.png", np.where(A, 127, np.where(wide, 255, 0)).astype(np.uint8))
    assert list(reading.masks) == [127]
    assert "255 left out" in reading.account[0]


def test_a_value_that_lines_the_picture_is_its_background(tmp_path: Path) -> None:
    assert list(read(tmp_path / "a.png", grey(2, 3, back=1)).masks) == [2, 3]
    assert two(read(tmp_path / "b.png", coloured(RED, GREEN, back=(0, 0, 200))))
    assert two(read(tmp_path / "c.png", coloured(RED, GREEN, back=(255, 255, 255))))


def test_a_grey_photograph_is_no_mask(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(60, 200, A.shape, dtype=np.uint8)
    with pytest.raises(InputError, match="photograph"):
        read(tmp_path / "a.png", noise)


def test_a_wide_soft_edge_stays_soft(tmp_path: Path) -> None:
    soft = cv2.GaussianBlur(grey(255), (0, 0), 9)
    reading = read(tmp_path / "a.png", soft)
    assert reading.masks[1].dtype == np.float32
    np.testing.assert_allclose(reading.masks[1], soft / 255, atol=1e-6)


@pytest.mark.parametrize("alpha", [250, 254])
def test_alpha_that_shows_all_is_not_the_mask(tmp_path: Path, alpha: int) -> None:
    rgba = np.dstack([coloured((255,) * 3, (0, 0, 0)), np.full(A.shape, 255, np.uint8)])
    rgba[0, :, 3] = alpha
    assert one(read(tmp_path / "a.png", rgba))


def test_a_transparent_row_does_not_make_alpha_the_mask(tmp_path: Path) -> None:
    rgba = np.dstack([coloured((255,) * 3, (0, 0, 0)), np.full(A.shape, 255, np.uint8)])
    rgba[0, :, 3] = 0
    assert one(read(tmp_path / "a.png", rgba))


@pytest.mark.parametrize("hidden", [(0, 0, 0), (255, 255, 255)])
def test_colours_upon_nothing(tmp_path: Path, hidden: tuple[int, ...]) -> None:
    alpha = ((A | B) * 255).astype(np.uint8)
    assert two(read(tmp_path / "a.png", np.dstack([coloured(RED, GREEN, hidden), alpha])))


def test_a_cut_out_has_its_mask_in_alpha(tmp_path: Path) -> None:
    photograph = np.random.default_rng(0).integers(0, 255, (*A.shape, 3), dtype=np.uint8)
    assert one(read(tmp_path / "a.png", np.dstack([photograph, (A * 255).astype(np.uint8)])))


def test_half_transparent_paint_is_whole(tmp_path: Path) -> None:
    rgba = np.dstack([coloured((255, 0, 0), (0, 0, 0)), (A * 128).astype(np.uint8)])
    assert read(tmp_path / "a.png", rgba).masks[1].max() == 1


def test_cmyk(tmp_path: Path) -> None:
    assert one(read(tmp_path / "a.tif", coloured((255,) * 3, (0, 0, 0)), mode="CMYK"))


def with_palette(labels: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(labels)
    image.putpalette([v for colour in colours for v in colour])
    return image


def test_a_palette_in_a_paint_programs_order(tmp_path: Path) -> None:
    with_palette(grey(1, 0, back=2), GREEN, RED, (0, 0, 0)).save(tmp_path / "a.png")
    reading = read_masks(tmp_path / "a.png")
    assert two(reading)
    assert any("index 2 is black" in line for line in reading.account)
    with_palette(grey(1, 0, back=2), (0, 200, 0), (200, 0, 0), (255, 255, 255)).save(tmp_path / "b.png")
    assert two(read_masks(tmp_path / "b.png"))


def test_a_palette_of_any_colours_keeps_its_indices(tmp_path: Path) -> None:
    with_palette(grey(1, 2), *[(i * 7 % 256, 3, 5) for i in range(256)]).save(tmp_path / "odd.png")
    with_palette(grey(1, 2), *[(0, 0, 0)] * 4).save(tmp_path / "none.png")
    assert two(read_masks(tmp_path / "odd.png"))
    assert two(read_masks(tmp_path / "none.png"))


def test_a_transparent_index_is_the_background(tmp_path: Path) -> None:
    image = with_palette(grey(0, 1, back=2), RED, GREEN, (200, 200, 0))
    image.save(tmp_path / "a.png", transparency=2)
    assert two(read_masks(tmp_path / "a.png"))


def test_soft_edges_between_colours(tmp_path: Path) -> None:
    soft = cv2.GaussianBlur(coloured(tuple(davis_palette()[1]), tuple(davis_palette()[2])), (5, 5), 0)
    assert two(read(tmp_path / "a.png", soft), within=0.02)


def test_exif_turns_a_mask(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter clockwise of how it is stored
    Image.fromarray(grey(255)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_masks(tmp_path / "a.png").masks[1], np.rot90(A, -1))


def test_several_pictures_in_one_file_are_no_mask(tmp_path: Path) -> None:
    pages = [Image.fromarray(grey(255)), Image.fromarray(grey(0, 255))]
    for name in ("a.tif", "a.gif", "a.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(InputError, match="holds 2 pictures"):
            read_masks(tmp_path / name)


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTOSCOPE_MAX_PIXELS", "1000")
    with pytest.raises(InputError, match="more pixels than the 1000"):
        read(tmp_path / "a.png", grey(255))


def test_a_smoothed_picture_with_a_palette(tmp_path: Path) -> None:
    soft = cv2.GaussianBlur(coloured((200, 30, 30), (30, 200, 30)), (7, 7), 0)
    Image.fromarray(soft).quantize(64, method=Image.Quantize.MEDIANCUT).save(tmp_path / "a.png")
    assert two(read_masks(tmp_path / "a.png"), within=0.02)
