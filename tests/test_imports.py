"""The house: which rooms there are, which way imports point, and how long a function may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rotoscope
from rotoscope.methods import METHODS

ROOT = Path(rotoscope.__file__).parent
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}
"""Modules by name without ``rotoscope.``, such as ``runs.job`` or ``runs.__init__``."""
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}

AT_THE_ROOT = {"__init__", "__main__", "errors", "files", "limits", "provenance"}
EVERYBODYS = {"errors", "files", "limits", "provenance"}
FLOORS = (
    {"layers"},
    {"memory", "masks", "video", "runtimes"},
    {"methods", "datasets", "prompts"},
    {"evaluation", "weights"},
    {"runs"},
    {"batches", "experiments", "export", "reports", "shapes", "training"},
    {"cli", "app", "plugins"},
)
"""From the ground up: a room imports rooms of its own floor and of those below."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[0]


def file_of(name: str) -> str | None:
    """The module that a dotted name stands for: a file, or a folder's ``__init__``; None if it is no module of ours."""
    inside = name.removeprefix("rotoscope.") if name != "rotoscope" else "__init__"
    return next((known for known in (inside, f"{inside}.__init__") if known in FILES), None)


def targets(module: str) -> set[str]:
    """Modules that a module imports, wherever in the file, for type checking too."""
    found: set[str | None] = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {file_of(alias.name) for alias in node.names if alias.name.startswith("rotoscope")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rotoscope"):
            home = str(node.module)
            found |= {file_of(f"{home}.{alias.name}") or file_of(home) for alias in node.names}
    return {name for name in found if name is not None}


IMPORTS = {module: targets(module) for module in FILES}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of one circle; empty if there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for other in sorted(graph.get(node, ())):
            found = visit(other, [*path, node])
            if found:
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := visit(node, []))), [])


def test_circles_are_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_nothing_stands_at_the_root_but_what_is_everybodys() -> None:
    assert {module for module in FILES if "." not in module} == AT_THE_ROOT
    assert {room_of(module) for module in FILES} - AT_THE_ROOT <= set(FLOOR)


@pytest.mark.parametrize("module", [name for name in FILES if room_of(name) in FLOOR])
def test_imports_point_down(module: str) -> None:
    for other in IMPORTS[module]:
        room = room_of(other)
        assert room in EVERYBODYS or FLOOR.get(room, 99) <= FLOOR[room_of(module)], (module, other)


@pytest.mark.parametrize("module", sorted(EVERYBODYS))
def test_what_is_everybodys_imports_nothing_but_errors(module: str) -> None:
    assert IMPORTS[module] <= {"errors"}


def test_no_circle_of_modules() -> None:
    assert circle(IMPORTS) == []


def test_no_circle_of_rooms() -> None:
    rooms: dict[str, set[str]] = {}
    for module, others in IMPORTS.items():
        rooms.setdefault(room_of(module), set()).update({room_of(o) for o in others} - {room_of(module)})
    assert circle(rooms) == []


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_imports_no_other_method(method: str) -> None:
    own = f"methods.{method}."
    folders = {module.split(".")[1] for module in FILES if module.startswith("methods.") and module.count(".") > 1}
    for module in (name for name in FILES if name.startswith(own)):
        for other in IMPORTS[module]:
            if other.startswith("methods.") and other.count(".") > 1:
                assert other.startswith(own) or other.split(".")[1] not in folders, (module, other)


def calls(tree: ast.AST) -> Iterator[str]:
    """Names of the plain functions that are called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def test_only_the_command_line_prints() -> None:
    for module, tree in TREES.items():
        assert room_of(module) == "cli" or "print" not in set(calls(tree)), module


def test_only_the_command_line_draws_tables() -> None:
    for module, tree in TREES.items():
        nodes = list(ast.walk(tree))
        found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        found |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        assert room_of(module) == "cli" or not any(name.split(".")[0] == "rich" for name in found), module


def length_of(function: ast.FunctionDef) -> int:
    """Lines of a function's body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno is not None else 0


def test_functions_read_in_one_go() -> None:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                name = f"{module}.{node.name}"
                assert length_of(node) <= 45, f"{name}: {length_of(node)} lines"


def test_files_read_in_one_go() -> None:
    for module, path in FILES.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 320, f"{module}: {lines} lines"


def test_the_public_names_are_shown() -> None:
    assert set(rotoscope.__all__) <= set(dir(rotoscope))


def test_help_starts_without_torch() -> None:
    code = "import sys; from rotoscope.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
