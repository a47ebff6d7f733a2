"""What earlier runs left in an output folder, by their own account, which is checked before it is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError, shown
from rotoscope.files import inside, is_plain_name, text_of
from rotoscope.masks.writing import FORMATS
from rotoscope.runs.deliver import video_files

WORK = ".rotoscope"
"""What an unfinished run keeps: its identity, its state, the names it has written."""
NEW, OLD = f"{WORK}.new", f"{WORK}.old"
"""What :data:`WORK` is called until a run that begins takes a folder over, and once another has taken it over."""
REPORT = "run.json"
"""What a finished run leaves: its identity, its report, the names it has written."""
BY_OBJECT = ("objects", "soft", "png")
"""Formats with a folder for each object; of ``png`` only if each object is shown for itself."""


class Earlier:
    """The records in a folder: of a run that has begun, of one that finished, of masks of runs before these.

    Args:
        folder: the output folder.

    Attributes:
        begun: identity of the run that is not finished; None if there is none, empty if its record is damaged.
        finished: record of the run that is; None or empty likewise.
        written: names of the frames that the run that is not finished has written, each once.
        palette: names of the palette masks of earlier runs that still wait to be replaced.
        waiting: files of earlier runs that the run which has begun must remove before it writes any.

    Raises:
        InputError: a record names what is no frame of a run, such as a file outside of the folder; or is no plain file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun = facts_of(inside(folder, WORK, "identity.json"))
        self.finished = facts_of(inside(folder, REPORT))
        self.written = self._written()
        waiting = inside(folder, WORK, "earlier.json")
        facts = facts_of(waiting) or {}
        self.palette = self._names(facts.get("palette"), waiting)
        listed = facts.get("files")
        self.waiting = [inside(folder, *str(name).split("/")) for name in listed] if isinstance(listed, list) else []
        self._listed = self._names((self.finished or {}).get("masks"), folder / REPORT)

    @property
    def run(self) -> Mapping[str, Any]:
        """Identity of the run that finished; empty if there is none."""
        run = (self.finished or {}).get("run")
        return run if isinstance(run, dict) else {}

    @property
    def names(self) -> set[str]:
        """Names of all frames that both runs wrote."""
        return {*self.written, *self._listed}

    def masks(self) -> tuple[list[Path], set[str]]:
        """Files of all masks of both runs but the palette masks, and the names of these.

        Raises:
            InputError: one of them would be outside of the folder.
        """
        files: list[Path] = []
        palette = set(self.palette)
        for run, names in ((self.begun or {}, self.written), (self.run, self._listed)):
            kinds = run.get("formats")
            kinds = [kind for kind in kinds if kind in FORMATS] if isinstance(kinds, list) else []
            palette |= set(names) if "palette" in kinds else set()
            files += [path for name in names for kind in kinds for path in self._files(kind, name)]
            files += video_files(self.folder, kinds)
        for name in palette:
            self.palette_mask(name)
        return files, palette

    def palette_mask(self, name: str) -> Path:
        """The file of a frame's palette mask."""
        return inside(self.folder, f"{name}.png")

    def _files(self, kind: str, name: str) -> Iterator[Path]:
        """Files of one frame's masks of a format; of ``objects`` and ``soft``, those of every object."""
        if kind in BY_OBJECT:
            yield from (inside(place, f"{name}.png") for place in object_folders(self.folder, kind))
        if kind in ("npz", "exr"):
            yield inside(self.folder, kind, f"{name}.{kind}")
        elif kind in ("cutout", "png"):
            yield inside(self.folder, kind, f"{name}.png")

    def _written(self) -> list[str]:
        path = inside(self.folder, WORK, "written.txt")
        names: list[Any] = []
        for line in (text_of(path) or "").split("\n")[:-1]:  # the last may be cut
            try:
                names.append(json.loads(line))
            except (ValueError, RecursionError):
                continue  # cut, and gone on with by an older version
        return list(dict.fromkeys(self._names(names, path)))

    def _names(self, names: Any, where: Path) -> list[str]:
        """Names of frames, of a record; nothing of a record that is damaged."""
        if names is None:
            return []
        if not isinstance(names, list):
            names = [names]
        for name in names:
            if not is_plain_name(name):
                raise InputError(
                    f"{where}: names {shown(repr(name), 80)}, which no run writes. Nothing was removed. Look at the "
                    "file, and remove it, or choose another folder."
                )
        return names


def object_folders(folder: Path, kind: str) -> list[Path]:
    """The folders of objects in the folder of a format; none if it is not there.

    Raises:
        InputError: one of them is a link that leads out of the folder.
    """
    parent = inside(folder, kind)
    return [inside(folder, kind, place.name) for place in sorted(parent.glob("*/"))]


def facts_of(path: Path) -> dict[str, Any] | None:
    """A JSON file of ours; None if it is not there, empty if it is damaged.

    Raises:
        InputError: it is no plain file, or too large.
    """
    text = text_of(path)
    if text is None:
        return None
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
