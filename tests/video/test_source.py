"""What a video is read from: told from others, watched while it is read, and let go of although it stands still."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import moving
from rotoscope.video import open_video
from rotoscope.video import prefetch as prefetching
from rotoscope.video.source import SourceChangedError
from video.painted import write

LATER = 10**9
"""Nanoseconds by which a file is made younger."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "frames"
    path.mkdir()
    for number, image in enumerate(moving(6)):
        Image.fromarray(image).save(path / f"{number}.png")
    return path


def code(source: object, contents: bool = False) -> str | None:
    with open_video(source) as video:
        return video.fingerprint(contents)


def touch(path: Path) -> None:
    now = path.stat().st_mtime_ns
    os.utime(path, ns=(now, now + LATER))


def test_a_later_image_that_is_renamed_altered_or_touched_makes_another_video(folder: Path) -> None:
    seen = [code(folder)]
    assert code(folder) == seen[0]
    (folder / "4.png").rename(folder / "4a.png")
    seen.append(code(folder))
    (folder / "4a.png").rename(folder / "4.png")
    assert code(folder) == seen[0]
    touch(folder / "5.png")
    seen.append(code(folder))
    stamp = (folder / "3.png").stat()
    Image.fromarray(moving(1, seed=1)[0]).save(folder / "3.png")
    os.utime(folder / "3.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    seen.append(code(folder))
    assert len(set(seen)) == 4


def test_by_contents_a_copy_is_the_same_and_a_forgery_is_not(folder: Path, tmp_path: Path) -> None:
    before = code(folder, contents=True)
    touch(folder / "5.png")
    assert code(folder, contents=True) == before
    stamp, data = (folder / "5.png").stat(), bytearray((folder / "5.png").read_bytes())
    data[-20] ^= 1
    quick = code(folder)
    (folder / "5.png").write_bytes(data)
    os.utime(folder / "5.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert code(folder) == quick  # of the same name, size and time
    assert code(folder, contents=True) != before


def test_video_files_and_arrays_are_told_apart_too(tmp_path: Path) -> None:
    one, two = tmp_path / "clip.mkv", tmp_path / "other" / "clip.mkv"
    two.parent.mkdir()
    write(one, frames=12)
    two.write_bytes(one.read_bytes())
    os.utime(two, ns=(0, LATER))
    assert code(one) != code(two)
    assert code(one, contents=True) == code(two, contents=True)
    array = moving(5)
    assert code(array) == code(array.copy())
    array[4, 47, 63, 2] ^= 1
    assert code(array) != code(moving(5))
    assert code(iter(array)) is None


@pytest.mark.parametrize("way", ["gone", "altered", "folder gone"])
def test_an_image_that_changes_while_it_is_read_is_no_damage(folder: Path, way: str) -> None:
    with open_video(folder, prefetch=0) as video:
        frames = iter(video)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        if way == "gone":
            (folder / "3.png").unlink()
        elif way == "altered":
            touch(folder / "3.png")
        else:
            folder.rename(folder.with_name("elsewhere"))
        with pytest.raises(SourceChangedError, match=r"3\.png: (is gone|was altered)"):
            next(frames)
        with pytest.raises(SourceChangedError):
            video.at(3)


def test_what_was_never_there_is_damage(folder: Path) -> None:
    (folder / "2.png").unlink()
    (folder / "2.png").symlink_to(folder / "nowhere.png")
    with open_video(folder) as video:
        assert [frame.index for frame in video] == [0, 1, 3, 4, 5]
        assert "frame 2 is gone" in video.problems[0]


def test_a_file_that_grows_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write(path, frames=12)
    with open_video(path) as video:
        list(video)
        video.check_unchanged()
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(SourceChangedError, match="was altered while it was being read"):
            video.check_unchanged()
        path.unlink()
        video.check_unchanged()  # what is held open is read to its end


def test_a_source_that_stands_still_does_not_hold_up_who_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetching, "PATIENCE", 0.1)
    wakes, closed = threading.Event(), threading.Event()

    def camera() -> Iterator[np.ndarray]:
        try:
            yield from moving(3)
            wakes.wait()
            yield moving(1)[0]
        finally:
            closed.set()

    with open_video(camera()) as video:
        frames = iter(video)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        begun = time.monotonic()
        frames.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 30  # on a busy machine; without the patience it would be for ever
    assert not closed.is_set()
    wakes.set()
    assert closed.wait(30)


def test_a_stream_that_stands_still_can_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetching, "PATIENCE", 0.1)
    path = tmp_path / "clip.ts"
    write(path, frames=40)
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(path.read_bytes())
            over.wait(60)  # and no end, and nothing more

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        video = open_video(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        frames = iter(video)
        assert next(frames).index == 0
        time.sleep(0.3)  # the thread has read what there is, and waits
        begun = time.monotonic()
        frames.close()  # type: ignore[attr-defined]
        video.close()
        assert time.monotonic() - begun < 20  # FFmpeg itself would give up after 30
    finally:
        over.set()
        thread.join()
        server.close()
