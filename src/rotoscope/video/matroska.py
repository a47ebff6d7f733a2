"""The shape of pixels in Matroska and WebM files, which FFmpeg writes only where PyAV cannot reach (RFC 9559)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

SEGMENT, SEEK_HEAD, SEEK, SEEK_ID, SEEK_POSITION = (
    bytes.fromhex(x) for x in ("18538067", "114d9b74", "4dbb", "53ab", "53ac")
)
VOID, CRC, INFO, TRACKS, ENTRY, VIDEO, CLUSTER = (
    bytes.fromhex(x) for x in ("ec", "bf", "1549a966", "1654ae6b", "ae", "e0", "1f43b675")
)
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = (bytes.fromhex(x) for x in ("54b0", "54ba", "54b2"))
HEAD = 1 << 20
"""Bytes from the start of a file within which its first cluster begins."""


@dataclass(frozen=True)
class Element:
    """One element: its name, where it begins, where its data begin and end."""

    name: bytes
    start: int
    data: int
    end: int


def set_aspect(path: Path, size: tuple[int, int], aspect: Fraction) -> None:
    """Say in a file that FFmpeg has written how its pictures are shown; nothing behind its head moves.

    What is added takes its room from the empty element that FFmpeg leaves before the head's other parts.

    Args:
        path: the file.
        size: width and height of its pictures in pixels.
        aspect: width of a pixel by its height.

    Raises:
        ValueError: the file is not laid out as FFmpeg does it.
    """
    with path.open("r+b") as file:
        head = file.read(HEAD)
        new = _edited(head, display_size(size, aspect))
        file.seek(0)
        file.write(new)


def display_size(size: tuple[int, int], aspect: Fraction) -> tuple[int, int]:
    """Width and height in square pixels: exact if that leaves them near to the size, else rounded."""
    ratio = Fraction(size[0], size[1]) * aspect
    times = max(1, round(size[0] / ratio.numerator))
    if ratio.numerator * times < 2 * size[0]:
        return ratio.numerator * times, ratio.denominator * times
    return max(1, round(size[1] * ratio)), size[1]


def _edited(head: bytes, shown: tuple[int, int]) -> bytes:
    """The head of a file, as long as before, with a size that its pictures are shown at."""
    segment = _only(_elements(head, 0, len(head)), SEGMENT)
    parts: dict[bytes, Element] = {}
    for part in _elements(head, segment.data, len(head)):
        if part.name == CLUSTER:
            break
        parts.setdefault(part.name, part)
    if not {SEEK_HEAD, VOID, INFO, TRACKS} <= set(parts) or parts[VOID].start != parts[SEEK_HEAD].end:
        raise ValueError("no room in the head of the file")
    void, tracks = parts[VOID], parts[TRACKS]
    payload = b"".join(_entry(head, part, shown) for part in _elements(head, tracks.data, tracks.end))
    new_tracks = _built(TRACKS, _checked(payload), tracks.data - tracks.start - len(TRACKS))
    more = len(new_tracks) - (tracks.end - tracks.start)
    left = void.end - void.start - more - len(VOID) - 8
    if left < 0:
        raise ValueError("no room in the head of the file")
    index = _moved(head, parts[SEEK_HEAD], (INFO, TRACKS), more)
    empty = VOID + _size(left, 8) + bytes(left)
    before, between, behind = head[: parts[SEEK_HEAD].start], head[void.end : tracks.start], head[tracks.end :]
    return before + index + empty + between + new_tracks + behind


def _entry(head: bytes, entry: Element, shown: tuple[int, int]) -> bytes:
    """A track: that of pictures with the size they are shown at, others as they are."""
    parts = list(_elements(head, entry.data, entry.end)) if entry.name == ENTRY else []
    if not any(part.name == VIDEO for part in parts):
        return head[entry.start : entry.end]
    data = b""
    for part in parts:
        if part.name != VIDEO:
            data += head[part.start : part.end]
            continue
        inner = [p for p in _elements(head, part.data, part.end) if p.name != DISPLAY_UNIT]
        values = b"".join(head[p.start : p.end] for p in inner)
        values += _built(DISPLAY_WIDTH, shown[0].to_bytes(4, "big"), 1)
        values += _built(DISPLAY_HEIGHT, shown[1].to_bytes(4, "big"), 1)
        data += _built(VIDEO, values, 1)
    return _built(ENTRY, data, entry.data - entry.start - len(ENTRY))


def _moved(head: bytes, index: Element, names: tuple[bytes, ...], by: int) -> bytes:
    """The list of places, with those of some parts so many bytes nearer to the start."""
    data = b""
    for seek in _elements(head, index.data, index.end):
        inner = {p.name: p for p in _elements(head, seek.data, seek.end)} if seek.name == SEEK else {}
        place = inner.get(SEEK_POSITION)
        name = head[inner[SEEK_ID].data : inner[SEEK_ID].end] if SEEK_ID in inner else b""
        if place is None or name not in names:
            data += head[seek.start : seek.end]
            continue
        value = int.from_bytes(head[place.data : place.end], "big") - by
        data += head[seek.start : place.data] + value.to_bytes(place.end - place.data, "big")
        data += head[place.end : seek.end]
    return _built(SEEK_HEAD, _checked(data), index.data - index.start - len(SEEK_HEAD))


def _checked(data: bytes) -> bytes:
    """Data with their checksum renewed, if they begin with one."""
    if data[:2] != CRC + b"\x84":
        return data
    return data[:2] + zlib.crc32(data[6:]).to_bytes(4, "little") + data[6:]


def _built(name: bytes, data: bytes, width: int) -> bytes:
    """An element; its size takes at least ``width`` bytes."""
    return name + _size(len(data), width) + data


def _size(number: int, width: int) -> bytes:
    while number >= (1 << 7 * width) - 1:
        width += 1
    return (number | 1 << 7 * width).to_bytes(width, "big")


def _elements(data: bytes, start: int, end: int) -> Iterator[Element]:
    """The elements that lie side by side between two places; the last may reach beyond what was read."""
    while start < end:
        name = data[start : start + _width(data[start])]
        at = start + len(name)
        if at >= len(data):
            return
        width = _width(data[at])
        size = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
        yield Element(name, start, at + width, at + width + size)
        start = at + width + size


def _width(first: int) -> int:
    """How many bytes a number takes, by its first."""
    if not first:
        raise ValueError("no element of Matroska")
    return 9 - first.bit_length()


def _only(elements: Iterator[Element], name: bytes) -> Element:
    first = next((element for element in elements if element.name == name), None)
    if first is None:
        raise ValueError("no Matroska file")
    return first
