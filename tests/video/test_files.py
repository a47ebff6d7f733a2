from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from rotoscope.errors import InputError
from rotoscope.video import VideoWriter, open_video
from rotoscope.video.writer import QUALITY, h264_encoder

MakeVideo = Callable[..., Path]


def number(image: np.ndarray) -> int:
    return round((float(np.median(image[:, : image.shape[1] // 2])) - 20) / 7)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_file_streams_in_order(make_video: MakeVideo, suffix: str) -> None:
    with open_video(make_video(f"a.{suffix}")) as video:
        frames = list(video)
        assert video.size == (64, 48)
        assert video.fps == 25
        assert len(video) == 25
        assert video.problems == []
    assert [frame.index for frame in frames] == list(range(25))
    assert [number(frame.image) for frame in frames] == [i % 29 for i in range(25)]
    assert frames[3].name == "00003"


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_random_access_and_reverse_equal_the_sequence(make_video: MakeVideo, suffix: str) -> None:
    with open_video(make_video(f"a.{suffix}", frames=40)) as video:
        forward = [frame.image for frame in video]
        backward = list(video.frames(reverse=True))
        assert [frame.index for frame in backward] == list(range(39, -1, -1))
        assert all(np.array_equal(frame.image, forward[frame.index]) for frame in backward)
        for index in (0, 17, 18, 19, 3, 39, 20, 0):
            assert np.array_equal(video[index].image, forward[index])
        part = list(video.frames(reverse=True, start=5, stop=9))
        assert [frame.index for frame in part] == [8, 7, 6, 5]


def test_reading_backwards_buffers_little(make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotoscope.video.files.CHUNK_BYTES", 3 * 64 * 48 * 4)
    with open_video(make_video(frames=30, gop=30)) as video:
        assert [frame.index for frame in video.frames(reverse=True)] == list(range(29, -1, -1))


def test_start_and_end_keep_the_source_numbers(make_video: MakeVideo) -> None:
    video = open_video(make_video(), start=7, end=11)
    frames = list(video)
    assert [frame.index for frame in frames] == [7, 8, 9, 10]
    assert [number(frame.image) for frame in frames] == [7, 8, 9, 10]


def test_variable_frame_rate(make_video: MakeVideo) -> None:
    with open_video(make_video("v.mkv", vfr=True)) as video:
        frames = list(video)
        times = [frame.time for frame in frames]
        assert len(frames) == len(video) == 25
        assert times == sorted(times)
        assert len({round(b - a, 3) for a, b in itertools.pairwise(times)}) > 5
        assert np.array_equal(video[13].image, frames[13].image)


def test_a_truncated_file_says_where_it_ends(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video("whole.mkv", frames=200)
    cut = tmp_path / "cut.mkv"
    data = source.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    video = open_video(cut)
    frames = list(video)
    assert 0 < len(frames) < 200
    assert any(f"ends at frame {frames[-1].index}" in problem for problem in video.problems)


def test_a_file_that_holds_less_than_promised(make_video: MakeVideo, tmp_path: Path) -> None:
    """An MP4 whose index stands before the data, cut off: the usual broken download."""
    source, fast = make_video("plain.mp4", frames=120), tmp_path / "fast.mp4"
    with av.open(str(source)) as given, av.open(str(fast), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = fast.read_bytes()
    fast.write_bytes(data[: len(data) * 2 // 3])
    video = open_video(fast)
    frames = list(video)
    assert 0 < len(frames) < 120
    assert any(
        "promises 120 frames" in problem and f"frame {frames[-1].index}" in problem for problem in video.problems
    )


def test_a_damaged_file_is_reported_with_the_frame(make_video: MakeVideo) -> None:
    path = make_video("damaged.mkv", frames=60, gop=60)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(b ^ 0x5A for b in data[middle : middle + 60])
    path.write_bytes(bytes(data))
    video = open_video(path)
    frames = list(video)
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert any("frame" in problem for problem in video.problems)


def test_rotation_is_applied(make_video: MakeVideo) -> None:
    path = make_video("phone.mp4", size=(64, 48))
    plain = next(iter(open_video(path))).image
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40  # version, flags, times, ids and so on stand before the matrix
    identity = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    assert bytes(data[at : at + 36]) == identity
    data[at : at + 36] = struct.pack(
        ">9i", 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000
    )  # 90 degrees clockwise
    path.write_bytes(bytes(data))
    video = open_video(path)
    assert video.size == (48, 64)
    assert np.array_equal(next(iter(video)).image, np.rot90(plain, -1))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("notes.txt", b"hello there", "not a video"), ("empty.mp4", b"", "not a video")],
)
def test_what_is_not_a_video(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_video(path)


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match="no pictures"):
        open_video(path)


def test_bad_ranges(make_video: MakeVideo, tmp_path: Path) -> None:
    path = make_video()
    with pytest.raises(InputError, match="last frame is 24"):
        open_video(path, start=25)
    with pytest.raises(InputError, match="no range"):
        open_video(path, start=5, end=5)
    with pytest.raises(InputError, match="no such file"):
        open_video(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="there is no frame 99"):
        open_video(path)[99]


@pytest.mark.parametrize("size", [(64, 48), (65, 49)])
def test_writer_makes_a_file_that_reads_back(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "out.mp4"
    images = [np.full((size[1], size[0], 3), 20 + 10 * i, np.uint8) for i in range(12)]
    with VideoWriter(path, 24, size) as writer:
        for image in images:
            writer.write(image)
        assert not path.exists()
    frames = list(open_video(path))
    assert len(frames) == 12
    assert all(abs(float(f.image.mean()) - float(i.mean())) < 4 for f, i in zip(frames, images, strict=True))


def test_what_was_decoded_before_does_not_change_what_is_encoded(tmp_path: Path) -> None:
    """The encoder right after a decoder, with nothing between that would set the registers which both use."""
    noise = np.random.default_rng(0).integers(0, 256, (36, 48), dtype=np.uint8)
    frames = [VideoFrame.from_ndarray(np.ascontiguousarray(noise[:, t : t + 32]), "yuv420p") for t in range(12)]
    path, files = tmp_path / "a.mp4", set()
    for attempt in range(16):
        if attempt:
            with av.open(str(path)) as video:
                video.streams.video[0].thread_type = "AUTO"
                for frame in video.decode(video=0):
                    frame.to_ndarray(format="rgb24")
        with av.open(str(path), "w") as video:
            stream: Any = video.add_stream(h264_encoder(), rate=24, options=dict(QUALITY))
            stream.width, stream.height = 32, 24
            for t, frame in enumerate(frames):
                frame.pts = t
                video.mux(stream.encode(frame))
            video.mux(stream.encode(None))
        files.add(path.read_bytes())
    assert len(files) == 1


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError), VideoWriter(tmp_path / "out.mp4", 24, (64, 48)) as writer:
        writer.write(np.zeros((10, 10, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
