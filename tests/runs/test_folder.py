"""Whose a folder is: claims, locks, and states of other versions."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rotoscope
from conftest import first_mask, moving
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.methods.base import Method
from rotoscope.methods.prediction import Prediction
from rotoscope.runs import lock as locks
from rotoscope.runs.lock import FolderLock
from rotoscope.runs.segment import segment_to_folder
from rotoscope.runs.state import VERSION, RunState, Tally
from rotoscope.video import open_video

MASK = first_mask()


def write_lock(folder: Path, age: float = 0.0, **owner: Any) -> Path:
    path = folder / locks.NAME
    path.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "token": "x", **owner}))
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def process_that_is_gone() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        assert (tmp_path / locks.NAME).exists()
        with pytest.raises(InputError, match=f"process {os.getpid()} on .* is writing to it"):
            FolderLock(tmp_path).acquire()
    assert not list(tmp_path.iterdir())
    with FolderLock(tmp_path):
        pass


def test_an_error_lets_go_of_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), FolderLock(tmp_path):
        raise ValueError("stop")
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_process_that_is_gone_is_broken(tmp_path: Path) -> None:
    write_lock(tmp_path, process=process_that_is_gone())
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / locks.NAME).read_text())["process"] == os.getpid()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("owner", [{"host": "elsewhere"}, {"process": os.getpid()}])
def test_a_lock_is_broken_by_age(tmp_path: Path, owner: dict[str, Any]) -> None:
    write_lock(tmp_path, locks.STALE - 60, **owner)
    with pytest.raises(InputError, match="is writing to it"):
        FolderLock(tmp_path).acquire()
    write_lock(tmp_path, locks.STALE + 60, **owner)
    with FolderLock(tmp_path):
        pass


def test_a_lock_that_cannot_be_read_counts_by_age(tmp_path: Path) -> None:
    (tmp_path / locks.NAME).write_text("")
    with pytest.raises(InputError, match="another process is writing to it"):
        FolderLock(tmp_path).acquire()
    then = os.stat(tmp_path / locks.NAME).st_mtime - locks.STALE - 60
    os.utime(tmp_path / locks.NAME, (then, then))
    with FolderLock(tmp_path):
        pass


def test_a_run_that_lost_its_folder_writes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEWED_EVERY", 0.0)
    with FolderLock(tmp_path) as lock:
        old = os.stat(tmp_path / locks.NAME).st_mtime - 100
        os.utime(tmp_path / locks.NAME, (old, old))
        lock.renew()
        assert os.stat(tmp_path / locks.NAME).st_mtime > old + 50
        theirs = write_lock(tmp_path, process=1).read_text()
        with pytest.raises(RotoscopeError, match="another run has taken this folder"):
            lock.renew()
    assert (tmp_path / locks.NAME).read_text() == theirs  # and leaves the other's lock


def segmented(out: Path, model: Method, **more: Any) -> Any:
    with open_video(moving(9)) as video:
        return segment_to_folder(video, {0: {1: MASK}}, model, out, state_every=2, **more)


def test_a_folder_that_a_run_is_writing_to_is_refused(tiny_stcn: Method, tmp_path: Path) -> None:
    refused: list[str] = []

    def another(prediction: Prediction) -> None:
        if prediction.index == 4:
            # half written ones begin with a dot
            before = {path: path.read_bytes() for path in tmp_path.rglob("[!.]*.png")}
            with pytest.raises(InputError, match="is writing to it") as raised:
                segmented(tmp_path, tiny_stcn, overwrite=True)
            refused.append(str(raised.value))
            assert {path: path.read_bytes() for path in before} == before

    assert segmented(tmp_path, tiny_stcn, on_frame=another).frames == 9
    assert len(refused) == 1
    assert not list(tmp_path.glob(".*"))


def test_what_was_saved_by_another_version_is_refused(tiny_stcn: Method, tmp_path: Path) -> None:
    segmented(tmp_path, tiny_stcn)
    report = tmp_path / "run.json"
    facts = json.loads(report.read_text())
    assert facts["run"]["version"] == VERSION
    facts["run"]["version"] = VERSION + 1
    report.write_text(json.dumps(facts))
    with pytest.raises(InputError, match=f"form {VERSION + 1}; this one reads {VERSION}"):
        segmented(tmp_path, tiny_stcn, resume=True)
    with pytest.raises(InputError, match="holds the masks of another run"):
        segmented(tmp_path, tiny_stcn)
    assert segmented(tmp_path, tiny_stcn, overwrite=True).frames == 9


def test_a_state_reads_back(tiny_stcn: Method, tmp_path: Path) -> None:
    session = tiny_stcn.session()
    session.add({7: MASK})
    (prediction,) = session.push(moving(1)[0])
    tally = Tally(problems=["damage"])
    tally.count(prediction)
    RunState("backward", 5, session.state(), tally).write(tmp_path / "state")
    found = RunState.read(tmp_path / "state")
    assert found is not None
    assert (found.phase, found.position, found.tally) == ("backward", 5, tally)
    again = tiny_stcn.session()
    again.restore(found.session)
    assert again.object_ids == (7,)
    assert RunState.read(tmp_path / "none") is None


def test_tensors_of_a_state_keep_their_layout(tmp_path: Path) -> None:
    """Whatever their dimensions stand in, and if two are views of one."""
    torch.manual_seed(0)
    base = torch.randn(5, 4, 3)
    views = {"as it is": base, "turned": base.permute(2, 0, 1), "again": base.transpose(0, 2), "part": base[:, 1:3].mT}
    RunState("forward", 1, views).write(tmp_path / "state")
    found = RunState.read(tmp_path / "state")
    assert found is not None
    for name, view in views.items():
        assert torch.equal(found.session[name], view)
        assert np.argsort(found.session[name].stride()).tolist() == np.argsort(view.stride()).tolist(), name


def test_a_default_run_that_goes_on_gives_the_same_bits(tmp_path: Path) -> None:
    """Not only the same labels: `stcn-small` keeps keys by channel, and products round by how they lie."""
    model, frames = rotoscope.load("stcn-small", device="cpu"), moving(5)
    whole, cut = model.session(), model.session()
    answers = []
    for number, frame in enumerate(frames):
        if number == 2:
            RunState("forward", 2, cut.state()).write(tmp_path / "state")
            state = RunState.read(tmp_path / "state")
            assert state is not None
            cut = model.session()
            cut.restore(state.session)
        for session in (whole, cut):
            if not number:
                session.add({7: MASK})
            answers += session.push(frame)
    for one, other in zip(answers[::2], answers[1::2], strict=True):
        assert torch.equal(one.probabilities, other.probabilities)
        assert one.confidence == other.confidence


def test_a_state_without_a_version_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    plain = {"phase": "forward", "next": 7, "tally": {"confidence": {}, "unsure": {}, "problems": []}}
    save_file({}, tmp_path / "state", {"plain": json.dumps(plain)})  # as the first version wrote it
    with pytest.raises(InputError, match="form 1; this one reads"):
        RunState.read(tmp_path / "state")


def test_cutouts_of_frames_held_back_over_an_interruption(tmp_path: Path) -> None:
    """A clip method answers frames after the interruption that were pushed before it; their images are read again."""
    from conftest import tiny

    model = tiny("capsulevos")
    stop_at = 8

    class StopError(Exception):
        pass

    def stop(prediction: Prediction) -> None:
        if prediction.index == stop_at:
            raise StopError

    def go(out: Path, **more: Any) -> dict[str, bytes]:
        with open_video(moving(14)) as video:
            segment_to_folder(video, {0: {1: MASK}}, model, out, output_formats="cutout", state_every=1, **more)
        return {path.name: path.read_bytes() for path in (out / "cutout").glob("*.png")}

    whole = go(tmp_path / "whole")
    with pytest.raises(StopError):
        go(tmp_path / "cut", on_frame=stop)
    assert go(tmp_path / "cut", resume=True) == whole
    assert len(whole) == 14
    assert np.array(list(whole.values())).size
