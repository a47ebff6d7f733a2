"""``project.json``: which video a project is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError
from rotoscope.files import atomic_write, make_folder
from rotoscope.video import Video

VERSION = 1
FACTS = "project.json"


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
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        version = facts["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: is no project that can be read ({error}).") from None
    if version != VERSION:
        raise InputError(f"{folder}: is of form {version}, and this version reads {VERSION}. Update Rotoscope.")
    return dict(facts)


def video_facts(video: Video) -> dict[str, Any]:
    """What tells a video from others."""
    return {"name": video.name, "size": list(video.size), "frames": len(video), "fps": video.fps}
