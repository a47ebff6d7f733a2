"""What the page may open: files under one folder, each by a name that says nothing and was given by us."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from rotoscope.app.facts import FACTS, is_project, read_facts
from rotoscope.app.project import Project, open_project
from rotoscope.app.taking import SETS
from rotoscope.errors import InputError
from rotoscope.masks.folders import IMAGES
from rotoscope.runs.folder import holds_run
from rotoscope.video import open_video
from rotoscope.video.images import is_image

PROJECTS = "rotoscope-projects"
"""Folder under the root that projects are made in."""
VIDEOS = {
    ".mp4",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".wmv",
    ".flv",
    ".gif",
    ".ogv",
    ".3gp",
}
MASK_FILES = IMAGES | {".npz", ".npy", ".json"}
DEPTH = 4
MOST = 500
"""Entries that are listed; a person with more starts in a folder further down."""
DEMO = "demo"


@dataclass(frozen=True)
class Entry:
    """Something that may be opened.

    Attributes:
        key: what the page calls it.
        path: where it is; the page is only told ``label``.
        label: its path from the root.
        kind: ``video``, ``frames`` (a folder of images), ``project``, ``masks``, ``set`` (clips laid out as YouTube-VOS
            is), ``run`` (masks that ``rotoscope segment`` wrote) or ``demo``.
    """

    key: str
    path: Path
    label: str
    kind: str


class Library:
    """The allow-list. A key that it did not give opens nothing, and nothing outside the root gets a key.

    Args:
        root: the folder; links that lead out of it are not followed.
        named: a video or folder named on the command line, which may lie anywhere.
    """

    def __init__(self, root: Path, named: Path | None = None) -> None:
        self.root = root.resolve()
        self._keys: dict[tuple[Path, str], Entry] = {}
        self._by_key: dict[str, Entry] = {}
        self.demo = self._entry(self.root / PROJECTS / DEMO, "built-in clip", "demo")
        self.named = None
        if named is not None:
            kind = "frames" if named.is_dir() else "video"
            self.named = self._entry(named.resolve(), named.name, kind)

    def entries(self) -> list[Entry]:
        """All that may be opened now, in order of names."""
        entries = [self.demo] + ([self.named] if self.named is not None else [])
        for folder, folders, files in os.walk(self.root):
            here = Path(folder)
            depth = len(here.relative_to(self.root).parts)
            folders[:] = sorted(f for f in folders if not f.startswith(".") and depth < DEPTH)
            if here != self.root and holds_run(here):
                folders[:] = []
                entries += [one for one in [self._inside(here, "run")] if one is not None]
                continue
            if is_project(here):
                folders[:] = []
                if here != self.demo.path:
                    entries.append(self._entry(here, here.name, "project"))
                continue
            if SETS in folders:
                entries += [one for one in [self._inside(here, "set")] if one is not None]
            if here != self.root and folders and all(name.isdecimal() for name in folders):
                entries += [one for one in [self._inside(here, "masks")] if one is not None]
            entries += self._of_folder(here, [here / name for name in sorted(files) if not name.startswith(".")])
            if len(entries) > MOST:
                break
        return list(dict.fromkeys(entries))[:MOST]

    def entry(self, key: str) -> Entry:
        """What a key stands for.

        Raises:
            InputError: nothing.
        """
        if key not in self._by_key:
            raise InputError("there is nothing of that name to open. Look at the list again.")
        return self._by_key[key]

    def open(self, entry: Entry) -> Project:
        """Open the project of an entry; one is begun for a video that has none.

        Raises:
            InputError: it cannot be opened.
        """
        if entry.kind in ("masks", "set", "run"):
            raise InputError(f"{entry.label} is no video.")
        if entry.kind == "project":
            return open_project(entry.path)
        source = demo_file(entry.path) if entry.kind == "demo" else entry.path
        folder = entry.path if entry.kind == "demo" else self._project_of(source)
        if (folder / FACTS).exists():
            return open_project(folder)
        return Project.create(folder, source, open_video(source))

    def _project_of(self, source: Path) -> Path:
        """The folder of a video's project: named after it, with a number where that name is another's."""
        number = 1
        while True:
            name = source.stem if number == 1 else f"{source.stem}-{number}"
            folder = self.root / PROJECTS / name
            if not (folder / FACTS).exists():
                return folder
            if is_project(folder) and read_facts(folder)["video"]["path"] == str(source.resolve()):
                return folder
            number += 1

    def _of_folder(self, here: Path, files: list[Path]) -> list[Entry]:
        entries = []
        images = [path for path in files if is_image(path)]
        archives = [path for path in files if path.suffix.lower() == ".npz"]
        if len(images) > 1 and here != self.root:
            entries.append(self._inside(here, "frames"))
        if (images or archives) and here != self.root:
            entries.append(self._inside(here, "masks"))
        for path in files:
            if path.suffix.lower() in VIDEOS:
                entries.append(self._inside(path, "video"))
            if path.suffix.lower() in MASK_FILES and (len(images) < 3 or path not in images):
                entries.append(self._inside(path, "masks"))
        return [entry for entry in entries if entry is not None]

    def _inside(self, path: Path, kind: str) -> Entry | None:
        real = path.resolve()
        if not real.is_relative_to(self.root):
            return None
        return self._entry(real, str(path.relative_to(self.root)), kind)

    def _entry(self, path: Path, label: str, kind: str) -> Entry:
        if (path, kind) not in self._keys:
            entry = Entry(secrets.token_urlsafe(9), path, label, kind)
            self._keys[path, kind] = self._by_key[entry.key] = entry
        return self._keys[path, kind]


def demo_file(folder: Path) -> Path:
    """The built-in clip as a file, which the command line can be given too; composed when it is not there.

    Raises:
        InputError: scikit-image, of whose photographs it is composed, is not installed.
    """
    from rotoscope.datasets.demo import SIZE, demo_clip
    from rotoscope.files import make_folder
    from rotoscope.video import VideoWriter

    path = make_folder(folder) / "clip.mp4"
    if not path.exists():
        with VideoWriter(path, 24.0, SIZE) as writer:
            for image in demo_clip().frames:
                writer.write(image)
    return path
