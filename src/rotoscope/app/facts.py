"""``project.json``: which video a project is of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError, shown
from rotoscope.files import atomic_write, make_folder
from rotoscope.video import Video, open_video

VERSION = 1
FACTS = "project.json"
HISTORY = "history.jsonl"


def write_facts(folder: Path, source: Path, video: Video) -> None:
    """Begin a project: make its folder, and say what it is of."""
    facts = {"version": VERSION, "video": {"path": str(source.resolve()), **video_facts(video)}}
    with atomic_write(make_folder(folder) / FACTS) as path:
        path.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def read_facts(folder: Path) -> dict[str, Any]:
    """``project.json`` of a folder.

    Raises:
        InputError: the folder is no project, or of another version.
    """
    path = folder / FACTS
    facts: Any = None
    why = "it says no version, or no video"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder}: is no project that can be read ({shown(error)}).") from None
    except (ValueError, RecursionError) as error:
        why = shown(error)
    if not _is_ours(facts):
        raise InputError(
            f"{folder}: is no project that can be read: {FACTS} is damaged, or another program's ({why}). Put it back "
            "as it was, or move the folder away."
        )
    if facts["version"] != VERSION:
        raise InputError(
            f"{folder}: is of form {shown(facts['version'])}, and this version reads {VERSION}. Update Rotoscope."
        )
    if not isinstance(facts["video"].get("path"), str):
        raise InputError(f"{path}: does not say where the video is. Put it back as it was.")
    return dict(facts)


def open_source(folder: Path) -> Video:
    """The video of a project.

    Raises:
        InputError: it cannot be opened; where it was moved, with what to do.
    """
    source = read_facts(folder)["video"]["path"]
    try:
        return open_video(source)
    except InputError:
        if os.path.lexists(source):
            raise
    raise InputError(
        f"{folder}: the video of this project is not where it was, {shown(source)}. Move it back there, or correct "
        f"its path, and its name if that is another now, in {FACTS} of the project."
    )


def is_project(folder: Path) -> bool:
    """Whether a folder is a project, of any version, also a damaged one; others have a ``project.json`` too."""
    path = folder / FACTS
    if not path.is_file():
        return False
    try:
        ours = _is_ours(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        ours = False
    return ours or (folder / HISTORY).is_file()


def _is_ours(facts: Any) -> bool:
    return isinstance(facts, dict) and "version" in facts and isinstance(facts.get("video"), dict)


def video_facts(video: Video) -> dict[str, Any]:
    """What tells a video from others."""
    return {"name": video.name, "size": list(video.size), "frames": len(video), "fps": video.fps}
