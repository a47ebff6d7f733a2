"""Opening what FFmpeg reads: which stream is the video, and what the container promises of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from rotoscope.errors import InputError, shown
from rotoscope.limits import limit
from rotoscope.video.playlists import check_kind, check_parts

COVER = Disposition.attached_pic | Disposition.timed_thumbnails
"""Streams that are pictures about a file, not its video."""


def open_container(target: str, container_format: str | None = None) -> InputContainer:
    """Open a file or stream that has pictures.

    Raises:
        InputError: FFmpeg cannot read it, or it holds no video.
    """
    address = "://" in target
    if target.lower().startswith("file:") and address:
        raise InputError(f"{target}: give the path itself.")
    local = not address and not container_format
    listed = check_parts(Path(target)) if local else ""
    # An absolute path is no address, whatever colons the name holds.
    place = os.path.abspath(target) if local else target
    try:
        container = av.open(
            place,
            format=container_format,
            options={"protocol_whitelist": "file,crypto"} if local else {},
            timeout=30.0 if address else None,
            metadata_errors="ignore",
        )
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{target}: not a video that can be read ({shown(reason)}).") from None
    if local:
        with closed_on_error(container):
            check_kind(target, container.format.name, listed)
    if not container.streams.video:
        kinds = ", ".join(s.type for s in container.streams) or "nothing"
        container.close()
        raise InputError(f"{target}: holds no pictures, only {kinds}. Give a video.")
    return container


@contextmanager
def closed_on_error(container: InputContainer) -> Iterator[None]:
    """Close a container if the block fails."""
    try:
        yield
    except BaseException:
        container.close()
        raise


def choose_stream(container: InputContainer, name: str) -> tuple[VideoStream, str]:
    """The stream that is the video, and a line on the choice where there was one (else nothing).

    Covers and thumbnails are no video. Of several streams one that is marked as default is taken, of several such the
    largest, of these the first.

    Raises:
        InputError: there is no stream but covers, or the streams are tiles of one picture.
    """
    streams = container.streams.video
    videos = [s for s in streams if not s.disposition & COVER and s.codec_context is not None]
    if not videos:
        raise InputError(f"{name}: holds no video, only a cover picture. Give a video.")
    if all(s.disposition & Disposition.dependent for s in videos):
        raise InputError(f"{name}: is one picture in {len(videos)} tiles, which are not joined here. Save it as PNG.")
    default = [s for s in videos if s.disposition & Disposition.default]
    chosen = max(default or videos, key=lambda s: (s.width * s.height, -s.index))
    chosen.thread_type = "AUTO"
    chosen.codec_context.options = {"max_pixels": str(limit("pixels"))}  # frames may grow on the way
    if len(videos) == 1:
        return chosen, ""
    told = (f"{s.index} ({s.width}x{s.height}{', default' if s in default else ''})" for s in videos)
    return chosen, f"{len(videos)} video streams: {', '.join(told)}; stream {chosen.index} is read"


@dataclass(frozen=True)
class Promise:
    """What a container says of its video before it is read.

    Attributes:
        frames: how many frames; None if it does not say.
        whole: the frames are listed one by one, and all lie inside the file; ``frames`` can be relied on.
        cut: the frames are listed, and some lie beyond the end of the file.
        seconds: where the video ends; None if it does not say.
        shared: ``seconds`` is of the container, whose sound may be longer than its video.
        start: time of the first frame.
    """

    frames: int | None
    whole: bool
    cut: bool
    seconds: float | None
    shared: bool
    start: float


def promise(path: Path, container: InputContainer, stream: VideoStream) -> Promise:
    """Read what a container says of a stream."""
    listed = list(getattr(stream, "index_entries", ()))  # older PyAV does not show them
    entries = listed if stream.frames and len(listed) >= stream.frames else []
    # An edit list leaves frames out: they are listed and marked.
    frames = sum(not entry.is_discard for entry in entries) if entries else (stream.frames or None)
    size = path.stat().st_size
    cut = any(entry.pos + entry.size > size for entry in entries)
    whole = bool(entries) and not cut and not any(entry.is_discard for entry in entries)
    start = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
    seconds, shared = _seconds(container, stream)
    return Promise(frames, whole, cut, seconds, shared, start)


def _seconds(container: InputContainer, stream: VideoStream) -> tuple[float | None, bool]:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base), False
    tag = next((v for k, v in stream.metadata.items() if k.upper().startswith("DURATION")), "")
    if match := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", tag.strip("\0 ")):
        return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]), False
    return (container.duration / av.time_base, True) if container.duration else (None, False)


def end_of_all_streams(path: Path) -> float:
    """Time in seconds at which the last packet of any stream ends; the whole file is gone through."""
    end = 0.0
    with open_container(str(path)) as container:
        packets = container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                return end
            if packet is None:
                return end
            if packet.pts is not None and packet.time_base:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
