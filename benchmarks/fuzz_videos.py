"""Mutated videos, under limits of memory and time: how many are read, are refused in one line, or do worse.

    python benchmarks/fuzz_videos.py --count 500 --seed 0

Whole clips are written in many containers and codecs, as animated images, folders of images, and playlists. Each case
damages one: bytes flipped, cut, doubled; sizes and times in what describes them changed; playlists that name others;
folders with files that are damaged, of another size, or no files. It is given to ``rotoscope check --full``, then read
frame by frame, backwards, and in any order. Cases run in a process with a limit of memory; a case that ends it is a
crash. Exits with 1 if any case was neither read, nor refused, nor its damage told.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fuzzing import GOOD, NUMBERS, command, flipped, outcome, run_cases
from rotoscope.video import open_video

FRAMES, WIDTH, HEIGHT = 14, 64, 48
CLIPS = {
    **dict.fromkeys(("x264.mp4", "x264.mkv", "x264.ts", "x264.mov", "x264.flv", "x264.avi", "raw.h264"), "libx264"),
    **dict.fromkeys(("mpeg4.mp4", "mpeg4.avi"), "mpeg4"),
    **{"mjpeg.avi": "mjpeg", "vp8.webm": "libvpx", "vp9.webm": "libvpx-vp9", "x265.mp4": "libx265"},
    **{"mpeg2.mpg": "mpeg2video", "plain.gif": "gif", "ffv1.mkv": "ffv1", "av1.mkv": "libsvtav1"},
}
"""Clips by name, with their encoders; those that this FFmpeg lacks are left out."""
LINES = (
    "", "/etc/passwd", "file:///etc/passwd", "../outside.ts", "a/../../outside.ts", "\\..\\outside.ts", "list.m3u8",
    "#EXT-X-KEY:METHOD=AES-128,URI=/etc/passwd", '#EXT-X-MAP:URI="../outside.ts"', "concat:a.ts|../outside.ts",
    "http://127.0.0.1:9/a.ts", "data:text/plain,x", "#EXT-X-STREAM-INF:BANDWIDTH=1", "a.ts\x00/etc/passwd",
    "\x1b[31m.ts", "a.ts?x#y", "crypto:a.ts", "%2e%2e/outside.ts", "#EXT-X-BYTERANGE:99999999999@-5", "#EXTINF:nan,",
    "subfile,,:a.ts", "inner/../a.ts",
)  # fmt: skip


def picture(number: int) -> NDArray[np.uint8]:
    """A square that moves over a ramp."""
    image = np.repeat(np.linspace(20, 200, WIDTH).astype(np.uint8)[None, :, None], HEIGHT, 0).repeat(3, 2)
    image[10:25, 2 * number : 2 * number + 15] = (230, 80, 40)
    return image


def clips(folder: Path) -> None:
    """Write the clip in each container and codec that is there."""
    for name, codec in CLIPS.items():
        if codec not in av.codecs_available:
            continue
        with av.open(str(folder / name), "w") as out:
            stream: Any = out.add_stream(codec, rate=25)
            stream.width, stream.height = WIDTH, HEIGHT
            stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
            stream.gop_size = 5
            stream.options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
            for number in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format=stream.pix_fmt)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    images = [Image.fromarray(picture(number)) for number in range(FRAMES)]
    for name in ("pages.tif", "moving.webp", "moving.png", "moving.gif"):
        images[0].save(folder / name, save_all=True, append_images=images[1:])


def kinds(folder: Path) -> list[str]:
    """Kinds of sources: each clip, a folder of images, and two kinds of playlists."""
    return [
        *sorted(path.name for path in folder.iterdir()),
        *["images"] * 3,
        *["list.m3u8"] * 3,
        *["list.ffconcat"] * 2,
    ]


def boxes_changed(rng: random.Random, content: bytes) -> bytes:
    """Numbers after the name of a box of MP4, or of a chunk of AVI, made others."""
    data = bytearray(content)
    names = [m.start() for m in re.finditer(rb"[a-z][a-z0-9]{3}(?=\x00\x00)|idx1|strh|strf|avih|LIST", content)]
    for _ in range(rng.choice((1, 1, 3))):
        if names:
            where = rng.choice(names) + rng.choice((-4, 4, 8, 12, 16, 20))
            order = rng.choice(("<I", ">I"))
            if 0 <= where < len(data) - 4:
                struct.pack_into(order, data, where, rng.choice(NUMBERS) % 2**32)
    return bytes(data)


def playlist(rng: random.Random, whole: Path, folder: Path, name: str) -> Path:
    """A playlist beside its parts, with lines that it should not have."""
    part = (whole / "x264.ts").read_bytes()
    (folder / "inner").mkdir()
    for place in (folder / "inner" / "a.ts", folder / "inner" / "b.ts", folder / "outside.ts"):
        place.write_bytes(part if rng.random() < 0.8 else flipped(rng, part))
    if name.endswith("m3u8"):
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2"]
        for each in ("a.ts", "b.ts"):
            lines += ["#EXTINF:0.56,", each]
        lines.append("#EXT-X-ENDLIST")
        more: tuple[str, ...] = LINES
    else:
        lines = ["ffconcat version 1.0", "file a.ts", "file b.ts"]
        more = (*(f"file {line}" for line in LINES), "file 'a.ts'", "duration 1e99", "inpoint -5", "option safe 0")
    for _ in range(rng.choice((0, 1, 2, 5))):
        lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(more))
    text = rng.choice(("\n", "\n", "\n", "\r", "\r\n")).join(lines) + "\n"
    path = folder / "inner" / name
    path.write_bytes(flipped(rng, text.encode()) if rng.random() < 0.3 else text.encode())
    return path


def image_folder(rng: random.Random, folder: Path) -> Path:
    """A folder of images of which some are not as they should be."""
    place = folder / "images"
    place.mkdir()
    suffix = rng.choice((".png", ".jpg", ".tif", ".webp", ".bmp"))
    for number in range(6):
        Image.fromarray(picture(number)).save(place / f"{number:05d}{suffix}")
    for path in rng.sample(sorted(place.iterdir()), rng.choice((1, 1, 2, 6))):
        content = path.read_bytes()
        path.unlink()
        way = rng.randrange(9)
        if way == 0:
            path.mkdir()
        elif way == 1:
            os.mkfifo(path)
        elif way == 2:
            path.symlink_to(path)
        elif way == 3:
            Image.fromarray(picture(3)[: rng.randrange(1, HEIGHT)]).save(path)
        elif way == 4:
            Image.fromarray((picture(3)[..., 0].astype(np.uint16)) * 200).save(path.with_suffix(".png"))
        else:
            path.write_bytes(flipped(rng, content, 200))
    return place


def source(rng: random.Random, whole: Path, kind: str, folder: Path) -> Path:
    """A damaged source of frames in a folder."""
    if kind == "images":
        return image_folder(rng, folder)
    if kind.startswith("list."):
        return playlist(rng, whole, folder, kind)
    content = (whole / kind).read_bytes()
    ways = [lambda: flipped(rng, content), lambda: flipped(rng, content, 200), lambda: boxes_changed(rng, content)]
    suffix = Path(kind).suffix if rng.random() < 0.9 else rng.choice((".mp4", ".avi", ".png", ".m3u8"))
    path = folder / f"case{suffix}"
    path.write_bytes(rng.choice(ways)())
    return path


def read_all_ways(path: Path, rng: random.Random) -> None:
    """From the first frame, from a later one, backwards, and in any order."""
    with open_video(path, prefetch=2) as video:
        count = min(len(video), 40)
        for index in [0, *(rng.randrange(count) for _ in range(4))]:
            try:
                video[index]
            except OSError:  # a damaged image of a folder; what is read in order tells of it
                continue
        for frame in video.frames(reverse=True):
            assert frame.image.shape == (video.size[1], video.size[0], 3)
        sum(1 for _ in video.frames(start=count // 2))


def case_of(whole: Path, seed: int) -> Callable[[int, Path], tuple[str, str]]:
    """Cases by number."""
    names = kinds(whole)

    def case(number: int, folder: Path) -> tuple[str, str]:
        rng = random.Random(f"{seed}.{number}")
        kind = rng.choice(names)
        path = source(rng, whole, kind, folder)
        told = command("check", "--full", str(path))
        if told not in GOOD:
            return kind, told
        read = outcome(lambda: read_all_ways(path, rng))
        return kind, told if read in GOOD else read

    return case


def main() -> int:
    """Run, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    av.logging.set_level(None)
    os.environ["SVT_LOG"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder)
        clips(whole)
        for path in sorted(whole.iterdir()):
            told = command("check", "--full", str(path))
            if told != "read":
                print(f"{path.name}, which is whole: {told}")
        return run_cases(case_of(whole, given.seed), given.count, given.first).say()


if __name__ == "__main__":
    sys.exit(main())
