from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.video import Frame, open_video


def save(folder: Path, name: str, value: int = 100, size: tuple[int, int] = (20, 10)) -> None:
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(folder / name)


def test_natural_order_and_names(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100):
        save(tmp_path, f"shot{number}.png", number)
    (tmp_path / "notes.txt").write_text("no image")
    save(tmp_path, ".hidden.png")
    video = open_video(tmp_path)
    frames = list(video)
    assert [frame.name for frame in frames] == ["shot1", "shot9", "shot10", "shot100"]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 9, 10, 100]
    assert [frame.index for frame in video.frames(reverse=True)] == [3, 2, 1, 0]
    assert video[2].name == "shot10"
    assert len(video) == 4


def test_glob_and_single_image(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path, f"a{number}.png")
        save(tmp_path, f"b{number}.png")
    assert [frame.name for frame in open_video(str(tmp_path / "b*.png"))] == ["b0", "b1", "b2"]
    assert len(open_video(tmp_path / "a1.png")) == 1
    with pytest.raises(InputError, match="no image matches"):
        open_video(str(tmp_path / "c*.png"))


def test_every_kind_of_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (15, 21, 3), dtype=np.uint8)
    grey = rgb[..., 0]

    def read(image: Image.Image, name: str, **options: object) -> np.ndarray:
        path = tmp_path / name
        image.save(path, **options)
        frame = open_video(path)[0]
        assert frame.image.dtype == np.uint8
        return frame.image

    threefold = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(read(Image.fromarray(rgb), "rgb.png"), rgb)
    assert np.array_equal(read(Image.fromarray(grey), "grey.png"), threefold)
    assert np.array_equal(read(Image.fromarray(np.dstack([rgb, grey])), "alpha.png"), rgb)
    assert np.array_equal(read(Image.fromarray(grey.astype(np.uint16) * 257), "deep.png"), threefold)
    palette = Image.fromarray(rgb).quantize(16)
    assert np.array_equal(read(palette, "palette.png"), np.asarray(palette.convert("RGB")))
    assert np.array_equal(read(Image.fromarray(grey > 99), "bits.png"), np.repeat((grey > 99)[..., None], 3, 2) * 255)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned 90 degrees clockwise
    assert read(Image.fromarray(rgb), "exif.jpg", exif=turned).shape == (21, 15, 3)
    assert read(Image.fromarray(rgb).convert("CMYK"), "print.jpg").shape == (15, 21, 3)


def test_a_broken_or_missing_image_is_reported_and_passed_over(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path, f"{number}.png", number)
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:40])
    (tmp_path / "4.png").unlink()
    (tmp_path / "4.png").symlink_to(tmp_path / "nothing.png")
    video = open_video(tmp_path)
    frames = list(video)
    assert [frame.index for frame in frames] == [0, 1, 3, 5]
    assert len(video.problems) == 2
    assert "frame 2 cannot be read" in video.problems[0]
    assert "frame 4 is gone" in video.problems[1]


def test_images_of_two_sizes(tmp_path: Path) -> None:
    save(tmp_path, "1.png")
    save(tmp_path, "2.png", size=(21, 10))
    with pytest.raises(InputError, match=r"2\.png: is 21x10 but the first image is 20x10"):
        list(open_video(tmp_path))


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without images"):
        open_video(tmp_path)


def test_arrays_and_iterators() -> None:
    array = np.arange(4 * 6 * 8 * 3, dtype=np.uint8).reshape(4, 6, 8, 3)
    video = open_video(array, start=1)
    assert [frame.index for frame in video] == [1, 2, 3]
    assert np.array_equal(video[3].image, array[3])
    assert video.size == (8, 6)
    stream = open_video(iter(array))
    assert [frame.index for frame in stream] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="read once"):
        list(stream)
    with pytest.raises(InputError, match="backwards"):
        open_video(iter(array)).frames(reverse=True)
    assert next(iter(open_video([Frame(5, array[0], name="x")]))).name == "x"
    with pytest.raises(InputError, match="no frame"):
        open_video(iter([]))
    with pytest.raises(InputError, match="no video"):
        open_video(3)
    with pytest.raises(InputError, match="shape"):
        open_video(np.zeros((0, 4, 4, 3), np.uint8))
