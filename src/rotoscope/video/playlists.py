"""Files that name others as their parts, beside or below them: HLS playlists and FFmpeg's lists (``ffconcat``).

A list is a small text that anybody may have sent, and FFmpeg would open whatever file of this machine it names and show
it as a video. So names are checked before FFmpeg sees the list: what they mean by their letters, and where the files
really lie.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from rotoscope.errors import InputError, shown

KINDS = {b"#EXTM3U": "hls", b"ffconcat version 1.0": "concat"}
"""How lists begin, and what FFmpeg calls them; it knows them by nothing else."""
OTHERS = ("dash", "imf")
"""Kinds of lists that are not read; FFmpeg's names."""
MOST_BYTES = 2**22
MOST_PARTS = 10_000


def kind_of_list(path: Path) -> str:
    """What a file is a list of, by FFmpeg's name; empty if it is none, or cannot be opened."""
    try:
        with path.open("rb") as file:
            begin = file.read(32)
    except OSError:
        return ""
    return next((kind for sign, kind in KINDS.items() if begin.startswith(sign)), "")


def check_parts(path: Path) -> str:
    """Refuse a list that names what lies outside of its own folder, itself or in a list that it names.

    Returns: the kind of list; empty if the file is none.

    Raises:
        InputError: it does, or it is too large, or a playlist without an end, for whose next part FFmpeg would wait.
    """
    kind = kind_of_list(path)
    waiting, seen = [path] if kind else [], {path.resolve()}
    while waiting:
        one = waiting.pop()
        for part in _parts(one, path.parent):
            if part not in seen:
                seen.add(part)
                waiting += [part] if part.is_file() and kind_of_list(part) else []
        if len(seen) > MOST_PARTS:
            raise InputError(f"{path}: names more than {MOST_PARTS} files. Join them first.")
    return kind


def check_kind(path: str, name: str, checked: str) -> None:
    """Refuse what FFmpeg takes for a list, by its name of the format, though it was not checked as one.

    Raises:
        InputError: it is a list of another kind, or of none that was seen.
    """
    kinds = name.split(",")
    for kind in (*KINDS.values(), *OTHERS):
        if kind in kinds and kind != checked:
            raise InputError(f"{path}: is a list of other files ({kind}), which is not read. Give the video itself.")


def _parts(path: Path, folder: Path) -> Iterator[Path]:
    """Where the files lie that a list names; ``folder`` is that of the first list."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({shown(error)}).") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: is a list of more than {MOST_BYTES} bytes. Join the files first.")
    text = content.decode("utf-8", "surrogateescape")
    concat = kind_of_list(path) == "concat"
    if not concat and not _ends(text):
        raise InputError(
            f"{path}: is a playlist without an end, and FFmpeg would wait for more parts for ever. "
            "If all parts are there, add the line #EXT-X-ENDLIST."
        )
    for name in (_names_of_concat if concat else _names_of_hls)(text):
        yield _place(path, name, folder)


def _ends(text: str) -> bool:
    """Whether a playlist says that no part will follow; one of playlists alone, of the same clip by size, needs not."""
    lines = re.split(r"[\n\r\0]", text)
    if any(line.startswith("#EXT-X-ENDLIST") for line in lines):
        return True
    of_lists = any(line.startswith("#EXT-X-STREAM-INF") for line in lines)
    return of_lists and not any(line.startswith("#EXTINF") for line in lines)


def _names_of_hls(text: str) -> Iterator[str]:
    """Names in a playlist: lines, which FFmpeg ends at a zero byte too, and addresses within instructions."""
    for line in re.split(r"[\n\r\0]", text):
        if line.startswith("#"):
            for quoted, bare in re.findall(r'URI=(?:"([^"]*)"?|([^\s,"]*))', line):
                if quoted or bare:
                    yield quoted or bare
        elif line.strip():
            yield line


def _names_of_concat(text: str) -> Iterator[str]:
    """Names in a list of FFmpeg's, without quotes and backslashes, between which it takes plain letters only."""
    for line in re.split(r"[\n\r\0]", text):
        word, _, rest = line.strip().partition(" ")
        if word == "file":
            yield re.sub(r"[\"'\\]", "", rest).strip()


def _place(path: Path, name: str, folder: Path) -> Path:
    """Where a file lies that a list names.

    Raises:
        InputError: not in the folder, or the name is an address, or one that FFmpeg may read otherwise.
    """
    odd = re.search(r"[\\:\0-\x1f]", name.strip()) or len(name) > 1000 or (".." in name and re.search(r"[?#]", name))
    by_letters = os.path.normpath(os.path.join(os.path.abspath(path.parent), name.strip()))
    inside = Path(by_letters).is_relative_to(os.path.abspath(folder))
    try:
        really = (path.parent / name.strip()).resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links
        really = Path(os.sep)
    if odd or not inside or not really.is_relative_to(folder.resolve()):
        raise InputError(
            f"{path}: names {shown(name, 80)}, which is not in its folder. Put the parts beside the playlist."
        )
    return really
