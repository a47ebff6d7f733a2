"""What the project is tested with is pinned, and its files are known by their hashes."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lines_of(name: str) -> dict[str, str]:
    """What follows ``==``, by name of the package."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {plain(line.split("==")[0]): line.split("==")[1] for line in lines if line and not line.startswith("#")}


def test_every_file_with_a_hash_is_of_the_version_that_is_pinned() -> None:
    pinned, hashed = lines_of("constraints.txt"), lines_of("hashes.txt")
    assert len(hashed) > 80
    for name, rest in hashed.items():
        found = re.fullmatch(r"(\S+) --hash=sha256:[0-9a-f]{64}", rest)
        assert found, name
        assert pinned[name] == found[1], name
