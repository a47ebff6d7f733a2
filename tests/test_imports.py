"""Imports point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rotoscope
from rotoscope.methods import METHODS

ROOT = Path(rotoscope.__file__).parent
BELOW = {"memory", "layers", "masks", "video", "errors"}
ABOVE = {
    "cli",
    "training",
    "evaluation",
    "datasets",
    "weights",
    "segmenting",
    "running",
    "resuming",
    "scoring",
    "benchmarking",
    "chaining",
    "ablating",
    "dataset_run",
    "provenance",
}


def imported(path: Path) -> set[str]:
    """Rooms of the package that a file imports, such as ``memory`` or ``methods.stcn``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.removeprefix("rotoscope.") for name in names if name.startswith("rotoscope.")}
    return found


@pytest.mark.parametrize("room", ["memory", "layers", "masks", "video"])
def test_the_lowest_rooms_import_nothing_above(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        assert {name.split(".")[0] for name in imported(path)} <= BELOW, path


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_imports_no_other_method_and_nothing_above(method: str) -> None:
    for path in (ROOT / "methods" / method).rglob("*.py"):
        for name in imported(path):
            assert name.split(".")[0] not in ABOVE, (path, name)
            if name.startswith("methods."):
                assert name.split(".")[1] in {method, "base", "recipe", "lesson", "ablation"}, (path, name)


def test_only_the_command_line_prints() -> None:
    for path in ROOT.rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        prints = any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls)
        assert not prints or path.parent.name == "cli", path


def test_help_starts_without_torch() -> None:
    code = "import sys; from rotoscope.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
