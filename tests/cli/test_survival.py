"""Runs that are cut off: finished masks are whole, and ``--resume`` gives the masks of an unbroken run."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli import main
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.files import atomic_write
from rotoscope.masks import read_masks
from rotoscope.masks.writing import PaletteWriter
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.report import Report
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video
from rotoscope.weights import load


def command(movie: Path, mask_file: Path, weights: Path, out: Path, *more: str) -> list[str]:
    return [
        "segment", str(movie), "--mask", str(mask_file), "-o", str(out), "--weights", str(weights),
        "--threads", "1", "--state-every", "7", "--memory", "lfu:2", *more,
    ]  # fmt: skip


def is_whole(path: Path) -> bool:
    """Whether an image can be read to its end."""
    try:
        with Image.open(path) as opened:
            opened.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*.png"))}


STOPS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background are started with it ignored
from rotoscope.methods.stcn.session import STCNSession
advance, left = STCNSession.advance, int(sys.argv[1])
def stops(self, frame, given):
    global left
    while left == 0:
        time.sleep(0.01)
    left -= 1
    return advance(self, frame, given)
STCNSession.advance = stops
from rotoscope.cli import main
sys.exit(main(sys.argv[2:]))
"""
"""The command line, in which the session stands still for good after so many frames."""


def interrupted(arguments: list[str], out: Path, after: int, masks_by_then: int, sign: signal.Signals) -> str:
    """Start a run in a process of its own, cut it off after so many frames, all of whose masks are there.

    Nothing here depends on how fast the machine is: the process waits to be cut off.

    Returns: what it said on standard error.
    """
    process = subprocess.Popen([sys.executable, "-c", STOPS, str(after), *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while len(list(out.glob("[!.]*.png"))) < masks_by_then:  # files half written begin with a dot
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(sign)
    said = process.stderr.read()
    assert process.wait() == (130 if sign == signal.SIGINT else -sign)
    return said


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The report that ``--json`` printed."""
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


@pytest.mark.parametrize(
    ("direction", "frame", "steps", "there", "position"),
    [("forward", 0, 40, 40, 35), ("both", 20, 21 + 15, 20 + 15, 34)],
)
def test_killed_and_resumed_equals_unbroken(
    movie: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    direction: str, frame: int, steps: int, there: int, position: int,
) -> None:  # fmt: skip
    """Killed in the forward pass, well behind the last saved state (one every seven frames)."""
    given = Path(f"{mask_file}@{frame}")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(command(movie, given, tiny_weights, whole, "--direction", direction)) == 0
    arguments = command(movie, given, tiny_weights, cut, "--direction", direction)
    interrupted(arguments, cut, steps, there, signal.SIGKILL)
    finished = masks(cut)
    assert len(finished) == there
    assert all(is_whole(cut / name) for name in finished)
    assert (cut / ".rotoscope" / "state.safetensors").exists()
    capsys.readouterr()
    assert main([*arguments, "--resume", "--json"]) == 0
    report = told(capsys)
    assert (report["resumed_at"], report["frames"]) == (position, 60 - position)
    assert masks(cut) == masks(whole)
    assert len(masks(cut)) == 60
    assert not list(cut.glob(".*"))


def test_killed_in_the_backward_pass(
    movie: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No mask is written by then; the pass goes on from its state, and not from its start."""
    given, whole, cut = Path(f"{mask_file}@20"), tmp_path / "whole", tmp_path / "cut"
    assert main(command(movie, given, tiny_weights, whole, "--direction", "both")) == 0
    arguments = command(movie, given, tiny_weights, cut, "--direction", "both")
    process = subprocess.Popen([sys.executable, "-c", STOPS, "16", *arguments])
    state = cut / ".rotoscope" / "state.safetensors"
    while not (cut / ".rotoscope" / "backward" / "00000005.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert state.exists()
    assert not masks(cut)
    half_written = cut / ".rotoscope" / "backward" / ".00000004.npz.0a1b2c3d.npz"
    half_written.write_bytes(b"cut off in the middle")
    capsys.readouterr()
    assert main([*arguments, "--resume", "--json"]) == 0
    assert told(capsys)["resumed_at"] == 6
    assert masks(cut) == masks(whole)


@pytest.fixture(scope="module")
def left(
    kept_movie: Path, kept_mask: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A folder that a killed run left, and the command line that began it."""
    out = tmp_path_factory.mktemp("killed") / "out"
    arguments = command(kept_movie, kept_mask, tiny_weights, out)
    interrupted(arguments, out, 15, 15, signal.SIGKILL)
    return out, arguments


@pytest.fixture
def killed(left: tuple[Path, list[str]], tmp_path: Path) -> tuple[Path, list[str]]:
    """A copy of it, and the command line that began that."""
    whole, arguments = left
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    return out, [str(out) if word == str(whole) else word for word in arguments]


def test_interrupted_by_hand_says_how_to_go_on(
    movie: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    said = interrupted(command(movie, mask_file, tiny_weights, out), out, 10, 10, signal.SIGINT)
    assert "interrupted after 10 frame(s)" in said
    assert "--resume goes on from there" in said
    assert f"The masks finished are in {out}" in said
    assert len(masks(out)) == 10
    assert all(is_whole(out / name) for name in masks(out))
    assert main([*command(movie, mask_file, tiny_weights, out), "--resume", "--json"]) == 0
    assert told(capsys)["resumed_at"] == 7
    assert len(masks(out)) == 60


def test_resume_refuses_another_run(killed: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    _, arguments = killed
    assert main([*arguments, "--resume", "--top-k", "3"]) == 2
    assert "differs in its options" in capsys.readouterr().err
    assert main(arguments) == 2
    assert "--resume to go on" in capsys.readouterr().err


def test_a_full_disk(
    movie: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    write = PaletteWriter.write
    count = 0

    def fails_later(self: PaletteWriter, item: object, image: object) -> None:
        nonlocal count
        count += 1
        if count > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, item, image)  # type: ignore[arg-type]

    monkeypatch.setattr(PaletteWriter, "write", fails_later)
    assert main(command(movie, mask_file, tiny_weights, out)) == 1
    error = capsys.readouterr().err
    assert "No space left" in error
    assert "--resume" in error
    assert len(masks(out)) == 20
    assert all(is_whole(out / name) for name in masks(out))
    monkeypatch.setattr(PaletteWriter, "write", write)
    whole = tmp_path / "whole"
    assert main([*command(movie, mask_file, tiny_weights, out), "--resume", "--json"]) == 0
    assert told(capsys)["resumed_at"] == 14  # the last state before the mask that did not fit
    assert main(command(movie, mask_file, tiny_weights, whole)) == 0
    assert masks(out) == masks(whole)


def test_an_input_that_vanishes_is_not_a_finished_run(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    given, model = {0: read_masks(mask_file).masks}, load(tiny_weights, device="cpu")

    def vanish(prediction: Prediction) -> None:
        if prediction.index == 6:
            folder.rename(elsewhere)

    def do(where: Path, **more: Any) -> Report:
        with open_video(folder, prefetch=0) as video:
            return segment_to_folder(video, given, model, where, state_every=2, **more)

    with pytest.raises(RotoscopeError, match=r"shot7\.png: is gone, although it was there at the beginning"):
        do(out, on_frame=vanish)
    assert len(masks(out)) == 7
    assert not (out / "run.json").exists()
    elsewhere.rename(folder)
    assert do(out, resume=True).resumed_at == 6
    do(tmp_path / "whole")
    assert masks(out) == masks(tmp_path / "whole")


class StopError(Exception):
    """Stands for what cuts a run off."""


@pytest.mark.parametrize("way", ["--resume", "--overwrite"])
def test_half_written_files_go_and_others_stay(killed: tuple[Path, list[str]], way: str) -> None:
    out, arguments = killed
    (out / ".hidden.png").write_bytes(b"of somebody else")
    open_still = [atomic_write(out / "00015.png"), atomic_write(out / "run.json")]
    for file in open_still:
        file.__enter__()  # and not left: what a kill in the middle of a write leaves
    assert len(list(out.glob(".*.*.*"))) >= 2
    assert main([*arguments, way]) == 0
    assert [path.name for path in out.glob(".*")] == [".hidden.png"]


def test_what_was_found_before_an_interruption_is_reported_at_the_end(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    (folder / "shot3.png").write_bytes(b"not an image")
    given, model = {0: read_masks(mask_file).masks}, load(tiny_weights, device="cpu")
    seen: list[int] = []

    def stop(prediction: Prediction) -> None:
        seen.append(prediction.index)
        if seen[-2:] == [7, 8]:  # in the forward pass
            raise StopError

    def do(out: Path, **more: Any) -> Report:
        with open_video(folder, prefetch=0) as video:
            return segment_to_folder(video, given, model, out, direction="both", state_every=2, **more)

    whole = do(tmp_path / "whole")
    with pytest.raises(StopError):
        do(tmp_path / "cut", on_frame=stop)
    resumed = do(tmp_path / "cut", resume=True)
    assert resumed.resumed_at is not None
    assert 4 < resumed.resumed_at <= 8
    assert resumed.frames < whole.frames == 11
    assert resumed.problems == whole.problems
    assert len(whole.problems) == 1
    assert (resumed.objects, resumed.confidence, resumed.look) == (whole.objects, whole.confidence, whole.look)


def test_resume_refuses_another_clip_of_the_same_name_and_size(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    given, model = {0: read_masks(mask_file).masks}, load(tiny_weights, device="cpu")

    def stop(prediction: Prediction) -> None:
        raise StopError

    with open_video(folder) as video, pytest.raises(StopError):
        segment_to_folder(video, given, model, tmp_path / "out", on_frame=stop)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / "shot9.png")
    with open_video(folder) as video, pytest.raises(InputError, match="differs in its video"):
        segment_to_folder(video, given, model, tmp_path / "out", resume=True)


@pytest.mark.parametrize("by_contents", [False, True])
def test_a_copy_of_the_frames_is_the_same_video_by_its_contents(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, by_contents: bool
) -> None:
    arguments = ["segment", str(folder), "--mask", str(mask_file), "-o", str(tmp_path / "out")]
    arguments += ["--weights", str(tiny_weights), *(["--by-contents"] if by_contents else [])]
    assert main(arguments) == 0
    for path in folder.iterdir():
        os.utime(path)
    assert main([*arguments, "--resume"]) == (0 if by_contents else 2)


def test_a_broken_state_file_says_so(killed: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    out, arguments = killed
    (out / ".rotoscope" / "state.safetensors").write_bytes(b"\x00\x01")
    assert main([*arguments, "--resume"]) == 2
    assert "--overwrite to start again" in capsys.readouterr().err
    assert np.array(Image.open(out / "00000.png")).shape == (48, 64)


def test_a_state_of_another_version_is_refused_in_a_line(
    killed: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, arguments = killed
    identity = out / ".rotoscope" / "identity.json"
    facts = json.loads(identity.read_text())
    del facts["version"]  # as the first version wrote it
    identity.write_text(json.dumps(facts))
    before = masks(out)
    assert main([*arguments, "--resume"]) == 2
    error = capsys.readouterr().err
    assert "was saved by another version of Rotoscope" in error
    assert error.count("\n") == 1
    assert masks(out) == before
    assert main([*arguments, "--overwrite"]) == 0


def test_two_runs_do_not_write_to_one_folder(
    movie: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second run is refused while the first lives, whatever it asks for, and not any more when that is killed."""
    out = tmp_path / "out"
    arguments = command(movie, mask_file, tiny_weights, out)
    process = subprocess.Popen([sys.executable, "-c", STOPS, "8", *arguments])
    while len(masks(out) if out.exists() else ()) < 8:
        assert process.poll() is None
        time.sleep(0.01)
    before = masks(out)
    for way in ("--resume", "--overwrite"):
        assert main([*arguments, way]) == 2
        assert f"process {process.pid} on" in capsys.readouterr().err
    assert masks(out) == before
    process.kill()
    process.wait()
    assert main([*arguments, "--resume"]) == 0
    assert len(masks(out)) == 60
