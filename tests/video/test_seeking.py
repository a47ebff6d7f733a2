"""The same frame under the same number, from every direction, on every file."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rotoscope.video import open_video
from rotoscope.video.orientation import upright
from video.painted import joined, number_of_frame, read_number, remux, write

X264 = {"g": "6", "bf": "2", "crf": "12"}
OPEN = {"x264-params": "open-gop=1:keyint=7:bframes=3:scenecut=0:b-adapt=0", "crf": "12"}
X265 = {"x265-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:scenecut=0:log-level=none", "crf": "12"}
VP9 = {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "9"}
Build = Callable[[Path], Path]


def shifted(seconds: float) -> Callable[[list[Any]], list[Any]]:
    def change(packets: list[Any]) -> list[Any]:
        for packet in packets:
            by = round(seconds / packet.time_base)
            packet.pts, packet.dts = packet.pts + by, packet.dts + by
        return packets

    return change


def trimmed(d: Path) -> Path:
    """An MP4 cut without encoding it again: its first frames are there and an edit list leaves them out."""
    source = write(d / "whole.mp4", options=X264)
    keep = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    return remux(source, d / "trimmed.mp4", shifted(-5 / 12), container=keep)


def cut_off_start(d: Path) -> Path:
    """A transport stream that begins amid a group of pictures."""
    source = write(d / "whole.ts", options=X264 | {"g": "8"})
    return remux(source, d / "cut.ts", lambda packets: packets[3:])


def two_joined(d: Path) -> Path:
    return joined(d / "two.ts", write(d / "a.ts", options=X264), write(d / "b.ts", options=X264))


def negative(d: Path) -> Path:
    source = write(d / "whole.mp4", options=X264)
    return remux(source, d / "negative.mkv", shifted(-0.5), container={"avoid_negative_ts": "disabled"})


def all_sync(d: Path) -> Path:
    """An MP4 without a table of sync samples, so that every picture claims to be one."""
    path = write(d / "sync.mp4", options=X264)
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
    return path


FILES: dict[str, Build] = {
    "mp4": lambda d: write(d / "a.mp4", options=X264),
    "mp4 open gop": lambda d: write(d / "a.mp4", options=OPEN),
    "mp4 hevc open gop": lambda d: write(d / "a.mp4", "libx265", options=X265),
    "mp4 fragmented": lambda d: write(d / "a.mp4", options=X264, container={"movflags": "frag_keyframe+empty_moov"}),
    "mp4 every sample a sync": all_sync,
    "mp4 edit list": trimmed,
    "mp4 intra refresh": lambda d: write(d / "a.mp4", options={"x264-params": "intra-refresh=1:keyint=8"}),
    "mp4 vfr": lambda d: write(d / "a.mp4", options=X264, times=lambda n: n * (n + 3) // 2),
    "mov mpeg4": lambda d: write(d / "a.mov", "mpeg4", options={"g": "6", "bf": "2"}),
    "mkv open gop": lambda d: write(d / "a.mkv", options=OPEN),
    "mkv hevc open gop": lambda d: write(d / "a.mkv", "libx265", options=X265),
    "mkv vfr": lambda d: write(d / "a.mkv", options=X264, times=lambda n: n * (n + 3) // 2),
    "mkv negative": negative,
    "mkv late": lambda d: remux(write(d / "w.mp4", options=X264), d / "late.mkv", shifted(100)),
    "webm vp9": lambda d: write(d / "a.webm", "libvpx-vp9", options=VP9),
    "ts": lambda d: write(d / "a.ts", options=X264),
    "ts late": lambda d: remux(write(d / "w.ts", options=X264), d / "late.ts", shifted(5000)),
    "ts open gop": lambda d: write(d / "a.ts", options=OPEN),
    "ts hevc": lambda d: write(d / "a.ts", "libx265", options=X265),
    "ts mpeg2": lambda d: write(d / "a.ts", "mpeg2video", options={"g": "6", "bf": "2", "q:v": "2"}),
    "ts joined": two_joined,
    "ts begins amid": cut_off_start,
    "m2ts": lambda d: write(d / "a.m2ts", options=X264, form="mpegts", container={"mpegts_m2ts_mode": "1"}),
    "hls": lambda d: write(d / "a.m3u8", options=X264, form="hls", container={"hls_time": "0.5", "hls_list_size": "0"}),
    "avi h264": lambda d: write(d / "a.avi", options=X264),
    "avi mpeg4": lambda d: write(d / "a.avi", "mpeg4", options={"g": "6", "bf": "2"}),
    "avi mjpeg": lambda d: write(d / "a.avi", "mjpeg", pixels="yuvj420p"),
    "raw h264": lambda d: write(d / "a.h264", options=X264),
    "raw hevc": lambda d: write(d / "a.hevc", "libx265", options=X265),
    "raw mpeg4": lambda d: write(d / "a.m4v", "mpeg4", options={"g": "6", "bf": "2"}),
    "raw mjpeg": lambda d: write(d / "a.mjpeg", "mjpeg", pixels="yuvj420p"),
    "flv": lambda d: write(d / "a.flv", options=X264),
    "mpg": lambda d: write(d / "a.mpg", "mpeg2video", options={"g": "6", "bf": "2"}),
    "y4m": lambda d: write(d / "a.y4m", "wrapped_avframe", form="yuv4mpegpipe"),
    "gif": lambda d: write(d / "a.gif", "gif", pixels="rgb8"),
    "ffv1": lambda d: write(d / "a.mkv", "ffv1"),
}  # fmt: skip


@pytest.fixture(params=FILES)
def clip_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return FILES[request.param](tmp_path)


@pytest.mark.parametrize("large", [False, True], ids=["decoded once", "as a large file"])
def test_the_same_frame_from_every_direction(clip_file: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:  # its packets are believed, where there is evidence for them
        monkeypatch.setattr("rotoscope.video.decoding.CERTAIN_PIXELS", 0)
    with open_video(clip_file) as video:
        ahead = {frame.index: frame for frame in video}
        count = len(ahead)
        painted = {index: read_number(frame.image) for index, frame in ahead.items()}
        assert list(painted) == list(range(count))
        first = painted[0]
        if "two" not in clip_file.name:
            assert list(painted.values()) == list(range(first, 24))
        assert len(video) == count
        assert video.problems == []
        behind = [(frame.index, read_number(frame.image)) for frame in video.frames(reverse=True)]
        assert behind == list(painted.items())[::-1]
        for start in range(1, count, max(5, count // 5)):  # in this thread: the passes above were made in another
            part = {frame.index: frame for frame in open_video(clip_file, start=start, prefetch=0)}
            assert list(part) == list(range(start, count))
            assert all(np.array_equal(frame.image, ahead[index].image) for index, frame in part.items())
            assert all(frame.time == ahead[index].time for index, frame in part.items())
        for index in np.random.default_rng(0).permutation(count):
            assert np.array_equal(video[int(index)].image, ahead[int(index)].image), index
        assert video.problems == []


def test_an_edit_list_leaves_frames_out(tmp_path: Path) -> None:
    video = open_video(trimmed(tmp_path))
    assert [read_number(frame.image) for frame in video] == list(range(5, 24))
    assert video.length == 19
    assert video.problems == []


def test_threads_take_turns_at_one_video(tmp_path: Path) -> None:
    video = open_video(write(tmp_path / "a.mp4", options=X264))
    wrong: list[int] = []

    def look(seed: int) -> None:
        for index in np.random.default_rng(seed).permutation(24):
            if read_number(video[int(index)].image) != index:
                wrong.append(int(index))

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_video_goes_to_another_process(tmp_path: Path) -> None:
    video = open_video(write(tmp_path / "a.mp4", options=X264))
    assert read_number(video[3].image) == 3
    other = pickle.loads(pickle.dumps(video))
    assert [read_number(other[index].image) for index in (7, 2)] == [7, 2]


def test_garbage_of_the_parents_does_not_hold_up_a_forked_process(tmp_path: Path) -> None:
    video = open_video(write(tmp_path / "a.mp4", options=X264))
    assert read_number(video[3].image) == 3
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
    frame.to_ndarray(format="rgb24")  # makes threads that no forked process has
    circle: list[object] = [frame]
    circle.append(circle)
    gc.disable()
    try:
        del frame, circle
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            gc.collect()
            os._exit(read_number(video[7].image))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    finally:
        gc.enable()
    assert read_number(video[4].image) == 4


def test_a_video_goes_to_spawned_and_forked_workers(tmp_path: Path) -> None:
    video = open_video(write(tmp_path / "a.mp4", options=X264))
    assert read_number(video[3].image) == 3
    for way in ("fork", "spawn"):
        with multiprocessing.get_context(way).Pool(1) as pool:
            assert pool.apply_async(number_of_frame, (video, 9)).get(120) == 9


def test_the_turn_of_a_frame_is_had_where_its_other_data_have_no_name() -> None:
    class Frame:
        rotation = -90

        @property
        def side_data(self) -> object:
            raise ValueError("31 is not a valid Type")

        def to_ndarray(self, format: str) -> np.ndarray:
            return np.arange(6, dtype=np.uint8).reshape(1, 2, 3)

    frame: Any = Frame()
    assert upright(frame).tolist() == [[[0, 1, 2]], [[3, 4, 5]]]
    frame.rotation = 0
    assert upright(frame).shape == (1, 2, 3)
