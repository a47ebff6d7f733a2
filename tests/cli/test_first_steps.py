"""What a new user types first, and what is answered."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import rotoscope
from conftest import tiny
from rotoscope.cli import main
from rotoscope.experiments import speed
from rotoscope.weights.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rotoscope {rotoscope.__version__}\n"


def test_help_lists_every_command_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == shown
    for word in ("--version", "--debug", "segment", "fetch", "demo"):
        assert word in shown
    assert "..." not in shown.partition("Commands")[2]


@pytest.mark.parametrize("position", [0, -1])
def test_debug_may_stand_anywhere(position: int, tmp_path: Path) -> None:
    arguments = ["check", str(tmp_path / "nothing.png")]
    arguments.insert(position if position == 0 else len(arguments), "--debug")
    with pytest.raises(rotoscope.InputError):
        main(arguments)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "device 'gpu' is not known; did you mean cuda?"),
        ("GPU:1", "did you mean cuda:1?"),
        ("metal", "did you mean mps?"),
    ],
)
def test_devices_by_other_names(
    device: str, message: str, folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments = ["segment", str(folder), "--mask", str(mask_file), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--weights", str(tiny_weights), "--device", device]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_how_to_get_a_pytorch_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    for device in ("gpu", "cuda"):
        if device == "cuda" and torch.cuda.is_available():
            continue
        with pytest.raises(rotoscope.InputError, match=r"pytorch\.org says how to install one for GPUs"):
            rotoscope.load("stcn-small", device=device)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    with pytest.raises(rotoscope.InputError) as caught:
        rotoscope.load("stcn-small", device="gpu")
    assert "pytorch.org" not in str(caught.value)


def test_without_a_mask_nothing_is_left_and_a_way_is_named(
    folder: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main(["segment", str(folder), "-o", str(tmp_path / "out"), "--weights", str(tiny_weights)]) == 2
    assert "--method cosnet-small" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("recipe", ["stcn-small", "stcn", "rvos-small", "cosnet-small"])
def test_a_plan_without_data_stops_before_it_measures(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("it was measured")

    monkeypatch.delenv("ROTOSCOPE_DATA", raising=False)
    monkeypatch.setattr("rotoscope.training.plan.stage_costs", measured)
    assert main(["train", recipe, "--plan", "--device", "cpu"]) == 2
    said = capsys.readouterr()
    assert "steps" in said.out
    assert said.err.startswith("rotoscope: error: no training data")
    assert said.err.count("\n") == 1


def test_a_plan_that_lacks_a_kind_of_data_names_it(
    photographs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "stcn-small", "--plan", "--device", "cpu", "--data", str(photographs_folder)]
    assert main([*arguments, "--set", "stages=3x48x3x1:synthetic,3x48x3x1:videos"]) == 2
    assert "--data davis17:PATH" in capsys.readouterr().err


def test_speed_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny("stcn")
    monkeypatch.setattr(speed, "method_to_time", lambda name, weights, precision: model)
    monkeypatch.setattr(speed, "SIZE", (64, 48))
    assert main(["speed", "stcn-small", "--frames", "1"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert sum("exact, 2 object(s)" in line for line in lines) == 1
    assert sum("frames/s" in line for line in lines) == 6
    assert sum("alone" in line for line in lines) == 10


def test_public_names_are_listed_and_nothing_else() -> None:
    assert {name for name in dir(rotoscope) if not name.startswith("_")} == set(rotoscope.__all__)


def test_methods_are_listed_by_task_and_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    short = capsys.readouterr().out
    lines = [line.split()[0] for line in short.splitlines() if line.split()[0] in CATALOGUE]
    assert sorted(lines) == sorted(CATALOGUE)
    assert short.index("masks of one frame given") < lines_at(short, "rvos-small") < lines_at(short, "stcn-small")
    assert lines_at(short, "giel-small") < lines_at(short, "stcn") < short.index("no mask") < lines_at(short, "cosnet")
    assert "where it fails" not in short
    assert main(["methods", "--long"]) == 0
    assert "where it fails" in capsys.readouterr().out


def lines_at(text: str, name: str) -> int:
    """Where the line that begins with a name is."""
    return text.index(f"\n{name} ")


def test_fetch_without_a_name_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch"]) == 2
    error = capsys.readouterr().err
    assert "rotoscope fetch NAME" in error
    assert "stcn" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["segment"], "See: rotoscope segment --help\n"),
        (["segmnt"], "See: rotoscope --help\n"),
        (["segment", "a.mp4", "-o", "out", "--top-k", "many"], "See: rotoscope segment --help\n"),
    ],
)
def test_a_wrong_command_line_says_where_help_is(
    arguments: list[str], end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.endswith(end)
    assert error.count("\n") == 1


def test_every_extra_has_something_behind_it() -> None:
    """What is offered to be installed is what some module imports."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in (*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.py"))
    )
    modules = {"pydensecrf2": "pydensecrf", "scikit-image": "skimage"}
    for name, listed in re.findall(r"^(\w+) = \[(.*?)\]$", section, re.M | re.S):
        packages = [re.split(r"[><=\[]", item)[0] for item in re.findall(r'"([^"]+)"', listed)]
        used = [modules.get(p, re.sub(r"\d.*", "", p.replace("-", "_"))) for p in packages]
        assert name == "dev" or any(re.search(rf"\b{module}", source) for module in used), f"[{name}] has no use"


def test_no_page_says_to_install_what_is_not_released() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    pages += (ROOT / "src").rglob("*.py")
    for page in pages:
        for line in page.read_text(encoding="utf-8").splitlines():
            assert "pip install rotoscope" not in line, page
            assert "pip install 'rotoscope" not in line, page
            assert 'pip install "rotoscope' not in line, page


def test_a_shell_completes_commands() -> None:
    asked = {"_ROTOSCOPE_COMPLETE": "complete_bash", "COMP_WORDS": "rotoscope seg", "COMP_CWORD": "1"}
    told = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'rotoscope'; from rotoscope.cli import entry; entry()"],
        env={**os.environ, **asked}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.stdout.split() == ["segment"]


def test_the_list_of_methods_shows_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    shown = capsys.readouterr().out
    assert "masks of one frame given" in shown
    assert "[bold]" not in shown
    assert "prompts-small (4.4 million parameters)" in shown
