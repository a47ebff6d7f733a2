"""Weights on this machine: those of the package, and fetched ones in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rotoscope.errors import CheckpointError
from rotoscope.files import atomic_write
from rotoscope.weights.catalogue import Entry
from rotoscope.weights.released import MB, RELEASED

VARIABLE = "ROTOSCOPE_CACHE"
"""Environment variable that names the cache folder."""
RECORD = "fetched.json"
PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
"""Names that files of fetched weights may have."""


@dataclass(frozen=True)
class Kept:
    """Fetched weights.

    Attributes:
        folder: the folder that the files are in.
        open: the name of the file that is opened, or of a TensorFlow checkpoint without ``.index``; empty if it is the
            folder itself.
        source: the address that they come from, or the name of the file.
        sha256: the SHA-256 of the file that was fetched, in hexadecimal.
        bytes: the size of that file in bytes.
        files: the SHA-256 of each file that is kept, by name.
    """

    folder: Path
    open: str
    source: str
    sha256: str
    bytes: int
    files: dict[str, str]

    @property
    def path(self) -> Path:
        """What is given to :func:`rotoscope.load`."""
        return self.folder / self.open if self.open else self.folder

    def save(self) -> None:
        """Write what is known of them beside them."""
        record = {name: value for name, value in asdict(self).items() if name != "folder"}
        with atomic_write(self.folder / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")

    def check(self) -> None:
        """See that they are as they were fetched.

        Raises:
            CheckpointError: a file is missing or has changed.
        """
        for name, digest in self.files.items():
            path = self.folder / name
            if not path.is_file() or file_hash(path) != digest:
                raise CheckpointError(
                    f"{path}: is missing, or not as it was fetched. Get it again: rotoscope fetch {self.folder.name} "
                    "--again."
                )


def cache_folder() -> Path:
    """The folder of the user's that fetched weights are kept in: ``$ROTOSCOPE_CACHE``, else where such things go."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "")
        base = folder if folder.is_absolute() else home / ".cache"
    return base / "rotoscope"


def home_of(name: str, cache: Path | None = None) -> Path:
    """The folder of one name's fetched weights; ``cache`` in place of :func:`cache_folder`."""
    return (cache or cache_folder()) / "weights" / name


def kept(name: str, cache: Path | None = None) -> Kept | None:
    """What is known of a name's fetched weights; None if there are none.

    Raises:
        CheckpointError: what was written beside them has been changed.
    """
    folder = home_of(name, cache)
    record = folder / RECORD
    if not record.is_file():
        return None
    try:
        read = json.loads(record.read_text(encoding="utf-8"))
        weights = Kept(folder, read["open"], read["source"], read["sha256"], read["bytes"], dict(read["files"]))
        plain = [*weights.files, *([weights.open] if weights.open else [])]
        whole = bool(weights.files) and all(PLAIN_NAME.fullmatch(name) for name in plain)
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        whole = False
    if not whole:
        raise CheckpointError(f"{record}: damaged. Get the weights again: rotoscope fetch {name} --again.")
    return weights


def verified(entry: Entry) -> Path:
    """Path of an entry's weights, after checking their hash.

    Raises:
        CheckpointError: they are not here, or damaged.
    """
    if entry.path is None:
        fetched = kept(entry.name)
        if fetched is None:
            raise CheckpointError(f"{entry.name}: comes without weights. {_way_to(entry.name)}")
        fetched.check()
        return fetched.path
    if not entry.path.exists():
        raise CheckpointError(f"{entry.path}: the weights of {entry.name} are missing. Install the package again.")
    if entry.sha256 is not None:
        digest = file_hash(entry.path)
        if digest != entry.sha256:
            raise CheckpointError(f"{entry.path}: damaged (hash {digest[:12]}…). Install the package again.")
    return entry.path


def _way_to(name: str) -> str:
    released = RELEASED.get(name)
    if released is None:
        return "Its authors released none: train it, or pass a file with --weights PATH."
    return (
        f"Get those of its authors (about {released.about // MB} MB): rotoscope fetch {name}; or pass a file with "
        "--weights PATH."
    )


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; of a folder, of its files one after another, by name."""
    digest = hashlib.sha256()
    for part in sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]:
        with part.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()
