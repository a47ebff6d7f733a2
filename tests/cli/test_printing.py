"""What is printed: texts as they are, whatever a name holds."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.table import Table

import rotoscope.cli
from conftest import first_mask, moving
from rotoscope.cli import main
from rotoscope.cli.output import Screen
from rotoscope.errors import printable, shown

ODD = "a\x1b[31m\x07\x9b2J\u202ecod\r\b[bold]:cat:\x7f"
"""A name that would ring, colour, clear, turn and overwrite, and looks like markup and like an emoji's code."""
OURS = re.compile(r"\x1b\[[0-9;]*m")
"""Colours of our own."""


def is_safe(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


def test_what_cannot_be_printed_is_spelled_out() -> None:
    assert printable("a\x1b[0m\n\u202eb\udcff é 漢") == r"a\x1b[0m\n\u202eb\udcff é 漢"
    assert shown(" a\n  b\x00", 3) == "a b…"
    assert shown(ValueError()) == "ValueError"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_screen_shows_names_as_they_are(terminal: bool) -> None:
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=terminal, width=400)
    screen.print(ODD)
    table = Table(title=ODD, caption=ODD)
    table.add_column(ODD)
    table.add_row(ODD)
    screen.print(table, soft_wrap=False)
    told = OURS.sub("", file.getvalue())
    assert is_safe(told)
    assert told.count(printable(ODD)) == 5


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    folder = tmp_path / ODD
    folder.mkdir()
    for t, image in enumerate(moving(2)):
        Image.fromarray(image).save(folder / f"{t:05d}.png")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "{odd}"],
        ["check", "{odd}/none{odd}"],
        ["check", "{odd}/00000.png"],
        ["segment", "{odd}", "-o", "{odd}/out", "--mask", "{odd}/mask.png", "--format", "palette,coco"],
        ["segment", "{odd}", "-o", "{odd}/out", "--mask", "{odd}/mask.png@1", "--method", "{odd}"],
        ["segment", "{odd}", "-o", "{odd}/out", "--json", "--mask", "{odd}/mask.png"],
        ["segment", "{odd}", "-o", "out", "--option", "{odd}=1"],
        ["evaluate", "{odd}", "--dataset", "davis17:{odd}"],
        ["evaluate", "{odd}", "--dataset", "{odd}"],
        ["benchmark", "stcn-small", "--dataset", "youtubevos:{odd}?split={odd}"],
        ["convert", "{odd}/mask.png", "-o", "{odd}/a.safetensors"],
        ["{odd}"],
        ["check", "--{odd}"],
    ],
    ids=range(13),
)
def test_no_name_reaches_the_terminal_raw(
    odd_folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(first_mask().astype(np.uint8) * 255).save(odd_folder / "mask.png")
    main([text.replace("{odd}", str(odd_folder)) for text in arguments])
    told = capsys.readouterr()
    assert is_safe(told.out + told.err)
    assert told.out + told.err


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    code = f"import sys; sys.argv[1:] = ['check', {str(tmp_path)!r} + '/a\\udcff\\x1b[2J', '--debug']\n"
    code += "from rotoscope.cli import entry; entry()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert r"a\udcff\x1b[2J: no such file" in done.stderr
    assert "Traceback" in done.stderr
    assert is_safe(done.stderr)


def test_all_that_is_printed_goes_through_one_place() -> None:
    for path in Path(rotoscope.cli.__file__).parent.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
        printed = [name for name in calls if name in ("print", "typer.echo", "sys.stdout.write", "sys.stderr.write")]
        assert len(printed) == (path.name == "output.py"), path  # the JSON there
        assert not {"Console", "rich.print"} & set(calls), path
        assert not any(name.endswith("join") and name.startswith("'\\n'") for name in calls), path  # lines apart
        for node in nodes:
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "TextColumn":
                assert any(keyword.arg == "markup" for keyword in node.keywords), path
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("add_task"):
                assert isinstance(node.args[0], ast.Constant) or ast.unparse(node.args[0]).startswith("printable("), (
                    path
                )
