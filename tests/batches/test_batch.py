"""Batches with real worker processes: each video once, whole, as ``rotoscope segment`` would have it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import rotoscope
from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.listing import read_jobs
from rotoscope.batches.processes import choose_workers
from rotoscope.batches.run import check_jobs, summarise
from rotoscope.cli import main
from rotoscope.errors import InputError

from .conftest import alone, masks_of


@pytest.fixture
def jobs(clips: Path, tiny_weights: Path) -> list[BatchJob]:
    return read_jobs(str(clips), common={"method": str(tiny_weights)})


def test_a_batch_gives_what_segment_gives_and_a_second_call_does_nothing(
    jobs: list[BatchJob], tiny_weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    broken = BatchJob("broken", str(tmp_path / "broken.mp4"), jobs[0].masks, method=str(tiny_weights))
    out = tmp_path / "out"
    summary = rotoscope.batch([*jobs, broken], out, workers=2, threads=1)
    assert (summary.done, summary.failed, summary.open) == (4, 1, 0)
    assert "broken" in summary.failures
    before = {}
    for job in jobs:
        assert masks_of(out / job.name) == alone(job, tmp_path / "alone" / job.name, tiny_weights)
        record = json.loads((out / job.name / "run.json").read_text())
        assert record["report"]["folder"] == str(out / job.name)
        before[job.name] = (out / job.name / "run.json").stat().st_mtime_ns
    assert json.loads((out / "batch.json").read_text())["done"] == 4
    page = (out / "index.html").read_text()
    assert "clip0/thumbnail.jpg" in page
    assert "no video" not in page or "broken" in page
    assert list((out / ".batch" / "work").iterdir()) == []
    rotoscope.batch(jobs, out, workers=1)
    assert {job.name: (out / job.name / "run.json").stat().st_mtime_ns for job in jobs} == before
    changed = [replace(jobs[0], options={"top_k": 3}), *jobs[1:]]
    with pytest.raises(InputError, match=r"other inputs.*clip0"):
        rotoscope.batch(changed, out, workers=1)


def test_a_batch_whose_driver_and_workers_are_killed_goes_on(
    jobs: list[BatchJob], tiny_weights: Path, clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rotoscope", "batch", str(clips), "-o", str(out), "--method", str(tiny_weights)]
    command += ["--workers", "2", "--threads", "1", "--state-every", "2"]
    for moment in (0.3, 1.5):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        while not (out / ".batch" / "journal.sqlite").exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert summarise(out).done == 4
    for job in jobs:
        assert masks_of(out / job.name) == alone(job, tmp_path / "alone" / job.name, tiny_weights)


def test_something_else_in_the_place_of_results_is_refused(jobs: list[BatchJob], tmp_path: Path) -> None:
    place = tmp_path / "out" / "clip2"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="no batch wrote"):
        rotoscope.batch(jobs, tmp_path / "out", workers=1)
    assert (place / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("name", ["x/y", "x/y/z"])
@pytest.mark.parametrize("above", ["a file", "results"])
def test_a_place_below_a_file_or_results_is_refused_and_checked(
    jobs: list[BatchJob], tmp_path: Path, name: str, above: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if above == "a file":
        (out / "x").touch()
    else:
        (out / "x").mkdir()
        (out / "x" / "run.json").write_text("{}")
    wrong = [jobs[0], replace(jobs[1], name=name)]
    assert "would lie in it" in list(check_jobs(wrong, out))[1].problem
    with pytest.raises(InputError, match="would lie in it"):
        rotoscope.batch(wrong, out, workers=1)
    assert [path.name for path in out.iterdir()] == ["x"]


@pytest.mark.parametrize("name", ["index.html", "batch.json", ".batch"])
def test_what_stands_where_the_batch_writes_is_told_before_it_begins(
    jobs: list[BatchJob], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).touch() if name == ".batch" else (out / name).mkdir()
    for call in (lambda: list(check_jobs(jobs, out)), lambda: rotoscope.batch(jobs, out, workers=1)):
        with pytest.raises(InputError, match=name):
            call()
    assert [path.name for path in out.iterdir()] == [name]


def test_names_that_cannot_be_written_are_refused_and_checked(jobs: list[BatchJob], tmp_path: Path) -> None:
    for name in ("index.html", "batch.json", "x" * 256, "a\udcff"):
        with pytest.raises(InputError, match="Name it otherwise"):
            replace(jobs[0], name=name)
    (tmp_path / "out").mkdir()
    deep = replace(jobs[0], name="/".join(["x" * 200] * 30))
    assert "too long" in next(iter(check_jobs([deep], tmp_path / "out"))).problem
    with pytest.raises(InputError, match="too long"):
        rotoscope.batch([deep], tmp_path / "out", workers=1)
    assert not list((tmp_path / "out").iterdir())


def test_a_check_touches_nothing_and_says_what_is_wrong(jobs: list[BatchJob], tmp_path: Path) -> None:
    wrong = [replace(jobs[0], video=str(tmp_path / "missing.mp4")), replace(jobs[1], masks={99: jobs[1].masks[0]})]
    found = list(check_jobs([*wrong, jobs[2]], tmp_path / "out"))
    assert "missing.mp4" in found[0].problem
    assert "99" in found[1].problem
    assert (found[2].size, found[2].frames, found[2].problem) == ((64, 48), 5, "")
    assert not (tmp_path / "out").exists()


def test_dry_run_and_strict_have_exit_codes(
    clips: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = ["batch", str(clips), "-o", str(out), "--method", str(tiny_weights)]
    assert main([*given, "--dry-run"]) == 0
    assert "clip3" in capsys.readouterr().out
    assert not out.exists()
    (clips / "clip1.png").write_bytes(b"no picture")
    assert main([*given, "--dry-run"]) == 2
    assert main([*given, "--workers", "1", "--strict", "--json"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    ended = {line["name"]: line["state"] for line in lines if "name" in line}
    assert ended == {"clip0": "done", "clip1": "failed", "clip2": "done", "clip3": "done"}
    assert main(["batch", "--status", str(out)]) == 0
    assert "failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"method": "stcn-smal"}, "did you mean"),
        ({"options": {"topk": 3}}, "job clip0: there is no option 'topk'"),
        ({"direction": "up"}, "job clip0: direction 'up'"),
        ({"formats": ("jpeg",)}, "job clip0: format 'jpeg'"),
        ({"masks": {}}, "no job has masks"),
    ],
)
def test_what_is_wrong_with_all_jobs_is_said_once(
    jobs: list[BatchJob], change: dict[str, object], told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told):
        rotoscope.batch([replace(job, **change) for job in jobs], tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="device"):
        rotoscope.batch(jobs, tmp_path / "out", device="cuda:77")
    assert not (tmp_path / "out").exists()


def test_more_workers_than_memory_are_refused_in_a_line() -> None:
    with pytest.raises(InputError, match="GiB of memory"):
        choose_workers(10_000, None)
    assert choose_workers(2, None, cores=8) == (2, 4)
