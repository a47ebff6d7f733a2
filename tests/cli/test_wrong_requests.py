"""A wrong command line with ``--overwrite`` loses nothing of an earlier run: one line, exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import tiny
from drawn import contents
from rotoscope.cli import main
from rotoscope.weights import save_method

WRONG = {
    "a direction that there is not": (["--direction", "sideways"], "direction 'sideways' is not known"),
    "both ways without masks": (["NO MASK", "FINDER", "--direction", "both"], "Use direction forward"),
    "no masks for a method that needs them": (["NO MASK"], "needs the masks of at least one frame"),
    "masks for a method that finds": (["FINDER"], "finds objects by itself"),
    "a number that is none": (["--option", "top_k=many"], "top_k 'many' is not known; use a whole number or none"),
    "a number that its own option refuses": (["--top-k", "many"], "Invalid value for '--top-k'"),
    "a word that there is not": (["--option", "usage=nonsense"], "use topk or softmax"),
    "neither true nor false": (["--option", "protect_first=7"], "use true or false"),
    "an option without a value": (["--option", "top_k"], "write NAME=VALUE"),
    "an unknown option": (["--option", "colour=3"], "no option 'colour'"),
    "a budget too small": (["--memory-budget", "1KB"], "not even one frame"),
    "a mask beyond the end": (["--mask", "MASK@12"], "mask for frame 12, but frames has frames 0 to 11"),
    "a mask before the start": (["--start", "5", "--mask", "MASK@2"], "frames 5 to 11"),
    "a mask of another size": (["--mask", "SMALL@3"], "mask is 10x10 but the video is 64x48"),
    "an unknown format": (["--format", "palette,gif"], "format 'gif' is not known"),
    "a format in place of which a file stands": (["--format", "soft"], "cannot be written to"),
    "states that never come": (["--state-every", "0"], "a state every 0 frames"),
    "no threads": (["--threads", "0"], "0 threads are not possible"),
    "a start beyond the end": (["--start", "40"], "last frame is 11"),
    "a file as a method": (["--method", "SMALL"], "is a file. Give it as --weights."),
    "a colour without an object": (["--format", "overlay", "--color", "orange"], "Give an object's id and a colour"),
    "a colour that is none": (["--format", "overlay", "--color", "7=#ff880"], "'#ff880' is not understood as a colour"),
    "two colours of one object": (
        ["--format", "overlay", "--color", "7=orange", "--color", "7=red"],
        "--color is given twice for object 7",
    ),
    "a colour of an object that is not there": (
        ["--format", "overlay", "--color", "7=orange", "--color", "2=red"],
        "object 2 is to be coloured, but the objects given are 7",
    ),
    "a colour that nothing shows": (
        ["--format", "palette,soft", "--color", "7=orange"],
        "--color has no effect on palette, soft. Leave it out, or add the format overlay.",
    ),
    "to follow with what finds": (["NO MASK", "FINDER", "--then", "rvos-small-zeroshot"], "finds objects by itself"),
    "to follow with nonsense": (
        ["NO MASK", "FINDER", "--then", "stcn-small", "--then-option", "top_k=many"],
        "top_k 'many' is not known",
    ),
}


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny("cosnet")
    path = tmp_path_factory.mktemp("finder") / "finder.safetensors"
    save_method(path, "cosnet", model.config, model.state_dict())
    return path


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_loses_nothing(
    case: str, folder: Path, mask_file: Path, tiny_weights: Path, finder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out, small = tmp_path / "out", tmp_path / "small.png"
    Image.fromarray(np.ones((10, 10), np.uint8)).save(small)
    common = ["segment", str(folder), "-o", str(out), "--device", "cpu", "--mask", str(mask_file)]
    assert main([*common, "--weights", str(tiny_weights), "--format", "palette,objects"]) == 0
    (out / "soft").write_text("of somebody else")
    before = contents(out)
    capsys.readouterr()
    changes, message = WRONG[case]
    given = [text.replace("MASK@", f"{mask_file}@").replace("SMALL", str(small)) for text in changes]
    arguments = common[:-2] if "NO MASK" in given or "--mask" in given else list(common)
    arguments += ["--weights", str(finder)] if "FINDER" in given else ["--weights", str(tiny_weights)]
    arguments += [text for text in given if text not in ("NO MASK", "FINDER")]
    assert main([*arguments, "--overwrite"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("rotoscope: error: ")
    assert error.count("\n") == 1
    assert contents(out) == before


@pytest.mark.parametrize("place", ["video", "mask", "output", "check", "data"])
def test_a_path_that_none_can_be_is_no_fault_of_ours(
    place: str, folder: Path, mask_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "x" * 300
    given = {"video": str(folder), "mask": str(mask_file), "output": str(tmp_path / "out")} | {place: long}
    words = ["segment", given["video"], "--mask", given["mask"], "-o", given["output"]]
    words = {"check": ["check", long], "data": ["evaluate", str(tmp_path), "--dataset", f"davis17:{long}"]}.get(
        place, words
    )
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("rotoscope: error: ")
    assert "x" * 100 in error
    assert "fault of ours" not in error
    assert error.count("\n") == 1


def test_what_the_right_request_replaces(folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path) -> None:
    """The same command line without a mistake does overwrite, so that the tests above say something."""
    out = tmp_path / "out"
    common = ["segment", str(folder), "-o", str(out), "--device", "cpu", "--weights", str(tiny_weights), "--mask"]
    assert main([*common, str(mask_file), "--format", "palette,objects"]) == 0
    before = contents(out)
    assert main([*common, f"{mask_file}@3", "--direction", "both", "--overwrite"]) == 0
    after = contents(out)
    assert not any(name.startswith("objects") for name in after)
    assert after["shot3.png"] != before["shot3.png"]
