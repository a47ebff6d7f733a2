"""Depth, turns, pages, streams and names: which picture a source holds, and how it stands."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.video import VideoWriter, open_video
from rotoscope.video.orientation import apply_matrix
from video.painted import SIZE, painted, read_number, write

ROWS = np.arange(12, dtype=np.uint8).reshape(4, 3)
ONE = 1 << 16


def deep(folder: Path, *levels: float, kind: type = np.uint16, suffix: str = "png") -> Path:
    folder.mkdir(exist_ok=True)
    for number, level in enumerate(levels):
        Image.fromarray(np.full((8, 12), level, kind)).save(folder / f"{number}.{suffix}")
    return folder


def brightness(source: Any) -> list[int]:
    return [int(frame.image[4, 4, 0]) for frame in open_video(source)]


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        ((220, 280), [54, 69]),  # 10 bits
        ((100, 200), [100, 200]),  # 8 bits in 16
        ((1000, 4095), [62, 255]),  # 12 bits
        ((32896, 65535), [128, 255]),
    ],
)
def test_depth_is_scaled_once_per_sequence(tmp_path: Path, levels: tuple[int, int], shown: list[int]) -> None:
    video = open_video(deep(tmp_path / "a", *levels))
    assert brightness(tmp_path / "a") == shown
    assert int(video[1].image[0, 0, 0]) == shown[1]
    assert any("16-bit images" in note for note in video.notes)


def test_floating_point_images(tmp_path: Path) -> None:
    assert brightness(deep(tmp_path / "a", 0.25, 1.0, kind=np.float32, suffix="tif")) == [63, 255]
    assert brightness(deep(tmp_path / "b", 0.5, 200.0, kind=np.float32, suffix="tif")) == [0, 200]


def test_deep_colours(tmp_path: Path) -> None:
    import cv2

    image = np.zeros((8, 12, 3), np.uint16)
    image[..., 2] = 600  # OpenCV's order: red
    for suffix in ("png", "tif"):
        folder = tmp_path / suffix
        folder.mkdir()
        cv2.imwrite(str(folder / f"0.{suffix}"), image)
        assert open_video(folder)[0].image[0, 0].tolist() == [149, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_deep_and_shallow_frames_alike(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ROWS).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(ROWS.astype(np.uint16) * 257).save(tmp_path / "b.png", exif=exif)
    shallow, twice = (open_video(tmp_path / name)[0].image for name in ("a.png", "b.png"))
    assert shallow.shape == twice.shape
    scale = 65535 / 257 / 11  # the deep one's white is what its own values need
    assert np.abs(shallow[..., 0] * scale - twice[..., 0] * (shallow.max() * scale / twice.max())).max() < 2


MATRICES = {
    "as stored": ((ONE, 0, 0, 0, ONE), lambda a: a),
    "mirrored": ((-ONE, 0, 0, 0, ONE), lambda a: a[:, ::-1]),
    "upside down": ((ONE, 0, 0, 0, -ONE), lambda a: a[::-1]),
    "half a turn": ((-ONE, 0, 0, 0, -ONE), lambda a: a[::-1, ::-1]),
    "clockwise": ((0, ONE, 0, -ONE, 0), lambda a: np.rot90(a, -1)),
    "counter-clockwise": ((0, -ONE, 0, ONE, 0), lambda a: np.rot90(a, 1)),
    "transposed": ((0, ONE, 0, ONE, 0), lambda a: a.swapaxes(0, 1)),
    "transposed and turned": ((0, -ONE, 0, -ONE, 0), lambda a: a[::-1, ::-1].swapaxes(0, 1)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_display_matrices(name: str) -> None:
    (a, b, u, c, d), turn = MATRICES[name]
    image = np.arange(24).reshape(2, 4, 3)
    assert np.array_equal(apply_matrix(image, (a, b, u, c, d, 0, 0, 0, 1 << 30)), turn(image))


@pytest.mark.parametrize("name", ["mirrored", "transposed", "clockwise"])
def test_a_file_with_a_display_matrix(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.mp4", frames=3)
    plain = open_video(path)[1].image
    (a, b, u, c, d), turn = MATRICES[name]
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a, b, u, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
    video = open_video(path)
    assert np.array_equal(video[1].image, turn(plain))
    assert video.size == video[1].size


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.tif", "a.gif", "a.avif"])
def test_a_file_of_several_pictures_is_a_video(tmp_path: Path, name: str) -> None:
    pages = [Image.fromarray(painted(n)) for n in range(5)]
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    options |= {} if name == "a.tif" else {"duration": 100}
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **options)
    video = open_video(tmp_path / name)
    assert [read_number(frame.image) for frame in video] == list(range(5))
    assert [frame.index for frame in video.frames(reverse=True)] == [4, 3, 2, 1, 0]
    assert len(video) == 5
    assert read_number(video[3].image) == 3
    if name != "a.tif":
        assert video.fps == pytest.approx(10)
        assert [frame.time for frame in video] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_folder_of_an_images_name_is_no_frame(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(painted(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "9.png").mkdir()
    assert len(open_video(tmp_path)) == 3


def with_cover(path: Path, *, picture_only: bool) -> Path:
    """A song with a cover, or a film with one before the video."""
    cover = io.BytesIO()
    Image.fromarray(painted(1, (320, 240))).save(cover, format="PNG")
    with av.open(str(path), "w") as out:
        picture: Any = out.add_stream("png", rate=1)
        picture.width, picture.height, picture.pix_fmt = 320, 240, "rgb24"
        picture.disposition = av.stream.Disposition.attached_pic
        other: Any = out.add_stream("libmp3lame" if picture_only else "libx264", rate=44100 if picture_only else 12)
        if not picture_only:
            other.width, other.height, other.pix_fmt = *SIZE, "yuv420p"
        packet = av.Packet(cover.getvalue())
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        packet.is_keyframe = True
        out.mux(packet)
        if picture_only:
            sound = av.AudioFrame.from_ndarray(np.zeros((2, 4608), np.float32), format="fltp", layout="stereo")
            sound.sample_rate = 44100
            out.mux(other.encode(sound))
        else:
            for number in range(4):
                out.mux(other.encode(av.VideoFrame.from_ndarray(painted(number), format="rgb24")))
        out.mux(other.encode(None))
    return path


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only a cover picture"):
        open_video(with_cover(tmp_path / "song.mp3", picture_only=True))


def two_streams(path: Path, default: int) -> Path:
    with av.open(str(path), "w") as out:
        streams: list[Any] = []
        for number, size in enumerate(((32, 24), SIZE)):
            stream: Any = out.add_stream("libx264", rate=12)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
            streams.append((stream, size))
        for number in range(4):
            for stream, size in streams:
                image = painted(number, SIZE)[: size[1], : size[0]]
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        for stream, _ in streams:
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("default", "size"), [(0, (32, 24)), (1, SIZE)])
def test_the_default_stream_is_read_and_said(tmp_path: Path, default: int, size: tuple[int, int]) -> None:
    video = open_video(two_streams(tmp_path / "a.mkv", default))
    assert video.size == size
    assert len(list(video)) == 4
    assert "2 video streams" in video.notes[0]


@pytest.mark.parametrize("name", ["12:30.mp4", "file:a.mp4", "a[1].mp4", "50%.mp4", "a b\tc.mp4", "camera:0"])
def test_names_are_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "plain.mp4", frames=3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(open_video(name))) == 3


def test_damage_is_told_only_where_there_is_some(tmp_path: Path) -> None:
    slow = write(tmp_path / "slow.mkv", frames=12, times=lambda n: n + (300 if n > 8 else 0))
    video = open_video(slow)
    assert len(list(video)) == 12
    assert video.problems == []
    for suffix in ("mkv", "avi", "flv"):
        cut = write(tmp_path / f"cut.{suffix}", frames=60)
        data = cut.read_bytes()
        cut.write_bytes(data[: len(data) * 4 // 5])
        video = open_video(cut)
        assert 0 < len(list(video)) < 60
        assert len(video.problems) >= 1, suffix


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.full((2, 8, 12, 3), 220.0), r"floats from 220 to 220"),
        (np.full((2, 8, 12, 3), np.nan), "no numbers"),
        (np.full((2, 8, 12, 3), np.inf), "no numbers"),
        (np.full((2, 8, 12, 3), -0.5), r"floats from -0.5"),
        (np.zeros((2, 8, 12, 3), np.int64), "int64"),
    ],
)
def test_arrays_are_checked(frames: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(open_video(frames))
    with pytest.raises(InputError, match=message):
        list(open_video(iter(frames)))


def test_what_python_holds_as_frames(tmp_path: Path) -> None:
    true = [painted(n) for n in range(3)]
    palette = [Image.fromarray(image).quantize(64) for image in true]
    for frames in (true, [Image.fromarray(image) for image in true], [torch.from_numpy(image) for image in true]):
        assert all(np.array_equal(f.image, t) for f, t in zip(open_video(frames), true, strict=True))
    assert [read_number(frame.image) for frame in open_video(palette)] == [0, 1, 2]
    for number, image in enumerate(true):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    assert len(list(open_video([tmp_path / "0.png", tmp_path / "2.png"]))) == 2
    with pytest.raises(InputError, match="is no image"):
        open_video([tmp_path / "0.png", tmp_path / "notes.txt"])


def test_a_written_video_names_its_colours_pixels_and_times(tmp_path: Path) -> None:
    image = np.zeros((64, 96, 3), np.uint8) + np.array([20, 200, 40], np.uint8)
    times = [2.0, 2.1, 2.5, 2.4, 9000.0]
    with VideoWriter(tmp_path / "a.mp4", 10, SIZE, aspect=Fraction(16, 11)) as writer:
        for time in times:
            writer.write(image, time)
    with av.open(str(tmp_path / "a.mp4")) as video:
        stream = video.streams.video[0]
        frames = list(video.decode(stream))
        assert stream.sample_aspect_ratio == Fraction(16, 11)
        assert [round(float(frame.time), 3) for frame in frames] == [0, 0.1, 0.5, 0.6, 0.7]
        assert (int(frames[0].colorspace), int(frames[0].color_range)) == (1, 1)
        planes = frames[0].to_ndarray().astype(float)
    y, u, v = planes[10, 10], planes[64:80].reshape(32, 48)[5, 5], planes[80:].reshape(32, 48)[5, 5]
    y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    red, blue = y + 2 * (1 - 0.2126) * v, y + 2 * (1 - 0.0722) * u
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    assert [red, green, blue] == pytest.approx([20, 200, 40], abs=5)
    assert open_video(tmp_path / "a.mp4").aspect == Fraction(16, 11)


def test_a_picture_of_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mp4", frames=2)
    Image.fromarray(painted(0)).save(tmp_path / "a.png")
    monkeypatch.setenv("ROTOSCOPE_MAX_PIXELS", "1000")
    for source in (path, tmp_path / "a.png"):
        with pytest.raises(InputError, match="more pixels than the 1000"):
            open_video(source).size  # noqa: B018
