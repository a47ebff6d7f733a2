"""What the page may open, whatever else lies there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rotoscope.app.library import PROJECTS, Entry, Library
from rotoscope.errors import InputError
from served import write_clip

FOREIGN = ['{"name": "web"}', '{"version": 1}', "[1]", "{", "\x00"]


def listed(library: Library, kind: str) -> list[Entry]:
    return [entry for entry in library.entries() if entry.kind == kind]


@pytest.mark.parametrize("text", FOREIGN)
@pytest.mark.parametrize("place", [".", "shots", f"{PROJECTS}/a"])
def test_another_programs_project_file_hides_no_video(tmp_path: Path, place: str, text: str) -> None:
    (tmp_path / "shots").mkdir()
    write_clip(tmp_path / "shots" / "a.mp4", 2)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "project.json").write_text(text)
    library = Library(tmp_path)
    (video,) = listed(library, "video")
    assert not listed(library, "project")
    library.open(video).close()
    assert (tmp_path / place / "project.json").read_text() == text
    (made,) = listed(library, "project")
    library.open(made).close()


@pytest.mark.parametrize("text", [*FOREIGN, '{"version": 1, "video": {}}', '{"version": 1, "video": 7}'])
def test_a_damaged_project_is_listed_and_says_what_is_wrong(tmp_path: Path, text: str) -> None:
    video = write_clip(tmp_path / "a.mp4", 2)
    library = Library(tmp_path)
    library.open(listed(library, "video")[0]).close()
    facts = tmp_path / PROJECTS / "a" / "project.json"
    whole = facts.read_text()
    facts.write_text(text)
    (project,) = listed(library, "project")
    with pytest.raises(InputError, match=r"project\.json.*Put it back as it was") as refused:
        library.open(project)
    assert "\n" not in str(refused.value)
    facts.write_text(whole)
    assert json.loads(whole)["video"]["path"] == str(video)
    library.open(project).close()
