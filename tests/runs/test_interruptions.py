"""Killed before any write, or with the disk full from any write on, in every format and direction: nothing is lost.

``benchmarks/kill_everywhere.py`` does this at every write of longer runs. Here some writes are drawn, others for each
format and direction.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from faults import FullDisk, Recorder, contents
from interrupted import WAYS, Recurrent, differences, run, untrue
from rotoscope.errors import InputError, WriteError
from rotoscope.runs.job import Direction
from rotoscope.runs.lock import NAME, FolderLock

FRAMES, EVERY = 12, 3
DRAWN = 1
"""Writes drawn of each format and direction, beside the first and the last two."""


def drawn(count: int, form: str, direction: str) -> set[int]:
    """Some numbers below ``count``, the same in every run of the tests."""
    return {0, *range(max(count - 2, 0), count), *random.Random(f"{form} {direction}").sample(range(count), DRAWN)}


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: "-".join(way))
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Direction, Path]:
    """A format, a direction, and a folder with an unbroken run (``whole``) and what kills leave (``kept``)."""
    form, direction = request.param
    root = tmp_path_factory.mktemp("killed")
    with Recorder(root / "whole", root / "none", lambda _: False) as counted:
        run(root / "whole", form, direction, FRAMES, EVERY)
    chosen = drawn(len(counted.seen), form, direction)
    with Recorder(root / "watched", root / "kept", chosen.__contains__) as recorder:
        run(root / "watched", form, direction, FRAMES, EVERY)
    assert contents(root / "watched") == contents(root / "whole")
    assert len(recorder.kept) >= DRAWN
    return form, direction, root


def test_a_kill_at_any_write_loses_nothing(killed: tuple[str, Direction, Path]) -> None:
    form, direction, root = killed
    for kept in sorted((root / "kept").iterdir()):
        assert untrue(kept, root / "whole", direction) == []
        run(kept, form, direction, FRAMES, EVERY, resume=True)
        assert differences(kept, root / "whole") == []


def test_a_disk_that_is_full_from_any_write_on_loses_nothing(
    killed: tuple[str, Direction, Path], tmp_path: Path
) -> None:
    form, direction, root = killed
    at = random.Random(form + direction).randrange(5, 60)
    with FullDisk(tmp_path, at), pytest.raises((WriteError, InputError), match="No space left on device") as raised:
        run(tmp_path, form, direction, FRAMES, EVERY)
    assert "\n" not in str(raised.value)
    run(tmp_path, form, direction, FRAMES, EVERY, **{"overwrite" if at % 4 == 0 else "resume": True})
    assert differences(tmp_path, root / "whole") == []


def test_half_a_line_in_the_list_of_names_is_mended(tmp_path: Path) -> None:
    run(tmp_path / "whole", "npz", "forward", FRAMES, EVERY)
    with Recorder(tmp_path / "out", tmp_path / "kept") as recorder:
        run(tmp_path / "out", "npz", "forward", FRAMES, EVERY)
    halves = [kept for kept in recorder.kept if kept.name.endswith("-half")]
    assert len(halves) == FRAMES
    for kept in halves[::4]:
        assert not (kept / ".rotoscope" / "written.txt").read_bytes().endswith(b"\n")
        for way in ("resume", "overwrite"):
            run(kept, "npz", "forward", FRAMES, EVERY, **{way: True})
            assert differences(kept, tmp_path / "whole") == []


@pytest.mark.parametrize("earlier", ["finished", "interrupted"])
def test_a_kill_while_an_earlier_run_is_replaced_leaves_that_or_this(tmp_path: Path, earlier: str) -> None:
    """The earlier run is of more frames and formats; its masks are never taken for this one's."""
    before, whole = tmp_path / "before", tmp_path / "whole"
    run(whole, "npz", "forward", FRAMES, EVERY)
    if earlier == "finished":
        run(before, "objects,coco,npz", "forward", FRAMES + 8, EVERY)
    else:
        with Recorder(tmp_path / "first", tmp_path / "kept", lambda n: n == 100) as recorder:
            run(tmp_path / "first", "objects,coco,npz", "forward", FRAMES + 8, EVERY)
        before = recorder.kept[0]
    with Recorder(before, tmp_path / "again") as recorder:
        run(before, "npz", "forward", FRAMES, EVERY, overwrite=True)
    assert {n: d for n, d in contents(before).items() if not n.endswith("/")} == {
        n: d for n, d in contents(whole).items() if not n.endswith("/")
    }
    taken = 0
    for kept in recorder.kept[::14]:
        begun = kept / ".rotoscope" / "identity.json"
        record = begun if begun.exists() else kept / "run.json"
        if record.exists() and "objects" in record.read_text():  # the earlier run, as it was
            with pytest.raises(InputError, match="differs in its"):
                run(kept, "npz", "forward", FRAMES, EVERY, resume=True)
            run(kept, "objects,coco,npz", "forward", FRAMES + 8, EVERY, resume=True)
            assert len(list((kept / "npz").iterdir())) == FRAMES + 8
        else:
            taken += 1
            run(kept, "npz", "forward", FRAMES, EVERY, resume=True)
            assert {p.name for p in (kept / "npz").iterdir()} == {p.name for p in (whole / "npz").iterdir()}
            assert not (kept / "coco" / "annotations.json").exists()
    assert taken > 1


def test_the_same_run_over_itself_is_not_resumed_from_masks_that_are_gone(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(whole, "npz", "forward", FRAMES, EVERY)
    with Recorder(out, tmp_path / "kept", lambda n: n == 60) as recorder:
        run(out, "npz", "forward", FRAMES, EVERY)
    interrupted = recorder.kept[0]
    assert (interrupted / ".rotoscope" / "state.safetensors").exists()
    with Recorder(interrupted, tmp_path / "again", lambda n: n < 60 and n % 9 == 0) as recorder:
        run(interrupted, "npz", "forward", FRAMES, EVERY, overwrite=True)
    assert len(recorder.kept) >= 7
    for kept in recorder.kept:
        run(kept, "npz", "forward", FRAMES, EVERY, resume=True)
        assert differences(kept, whole) == []


def test_frames_held_back_over_a_kill(tmp_path: Path) -> None:
    model = Recurrent(held=4)
    run(tmp_path / "whole", "cutout,coco", "both", FRAMES, 1, model)
    with Recorder(tmp_path / "out", tmp_path / "kept", lambda n: n % 61 == 0) as recorder:
        run(tmp_path / "out", "cutout,coco", "both", FRAMES, 1, model)
    for kept in recorder.kept:
        run(kept, "cutout,coco", "both", FRAMES, 1, model, resume=True)
        assert differences(kept, tmp_path / "whole") == []


def test_coco_holds_what_was_finished_when_a_run_is_stopped_by_hand(tmp_path: Path) -> None:
    seen: list[int] = []

    def stop(prediction: object) -> None:
        seen.append(len(seen))
        if len(seen) == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "coco", "forward", FRAMES, 100, on_frame=stop)
    assert len(json.loads((tmp_path / "coco" / "annotations.json").read_text())["images"]) == 8


def test_of_many_that_find_a_lock_left_behind_one_takes_it(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    for _ in range(20):
        with FolderLock(tmp_path):
            owner = json.loads((tmp_path / NAME).read_text())
        (tmp_path / NAME).write_text(json.dumps({**owner, "process": gone.pid}))
        ready, took = threading.Barrier(6), []

        def contend(ready: threading.Barrier = ready, took: list[FolderLock] = took) -> None:
            lock = FolderLock(tmp_path)
            ready.wait()
            try:
                lock.acquire()
            except InputError:
                return
            took.append(lock)

        threads = [threading.Thread(target=contend) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(took) == 1
        took[0].release()
        assert not list(tmp_path.iterdir())
