"""Listing frames and masks in folders, shared by the data sets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from rotoscope.errors import InputError, shown
from rotoscope.files import text_of
from rotoscope.video.images import natural_key

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
MASKS = frozenset({".png", ".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".gif"})


def files_in(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Visible files of a folder with one of the suffixes, in natural order; nothing if there is no folder."""
    if not folder.is_dir():
        return []
    wanted = set(suffixes)
    files = (p for p in folder.iterdir() if p.suffix.lower() in wanted and not p.name.startswith(".") and p.is_file())
    return sorted(files, key=natural_key)


def folders_in(folder: Path) -> list[Path]:
    """Visible folders of a folder, in natural order."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")), key=natural_key)


def by_stem(files: Iterable[Path]) -> dict[str, Path]:
    """Files by their names without suffix."""
    return {path.stem: path for path in files}


def first_folder(root: Path, *names: str) -> Path:
    """The first of several folders that is there.

    Raises:
        InputError: none is.
    """
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise InputError(f"{root}: no folder {' or '.join(names)} in it. Give the folder that holds it.")


def read_list(path: Path) -> list[str]:
    """Names in a text file, one a line, each once; a slash at the end is no part of a name.

    Raises:
        InputError: it is not there, no plain file, no text, or empty.
    """
    text = text_of(path)
    if text is None:
        raise InputError(f"{path}: no such list.")
    strange = re.search("[\\0\ufffd]", text)
    if strange is not None:
        line = text.count("\n", 0, strange.start()) + 1
        raise InputError(f"{path}: line {line} is no text in UTF-8. Save the list as UTF-8.")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise InputError(f"{path}: the list is empty. Write a name on each line.")
    return list(dict.fromkeys(name.rstrip("/") or name for name in names))


def check_listed(path: Path, names: Iterable[str], there: Collection[str], where: object) -> None:
    """See that a data set has the videos that a list names.

    Raises:
        InputError: it lacks some.
    """
    lacking = [name for name in names if name not in there]
    if lacking:
        raise InputError(
            f"{path}: names {len(lacking)} video(s) that {where} does not have, such as {shown(lacking[0], 80)}. "
            "Correct the list, or add them."
        )


def leaf_folders(root: Path) -> list[Path]:
    """All folders under ``root`` (itself too) that hold images, in natural order."""
    leaves = [root] if files_in(root, IMAGES) else []
    for folder in folders_in(root):
        leaves += leaf_folders(folder)
    return leaves
