"""The service is killed at any moment: the project opens with all that it had said it has."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np

from rotoscope.app.library import PROJECTS
from rotoscope.app.pictures import read_grey
from rotoscope.app.project import open_project
from served import MASK, Process, write_clip

KILLS = int(os.environ.get("KILLS", "2"))
"""Two in every run of the tests; ten were tried when this was written, and more may be."""
FRAMES = 200
STARTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background are started with it ignored
from rotoscope.cli import main
sys.exit(main(sys.argv[1:]))
"""


def painted_until(client: httpx.Client, project: str, end: float, first: int) -> dict[int, int]:
    """Paint one frame after another; return by frame how far each mask, that was answered for, was moved."""
    said: dict[int, int] = {}
    for n in range(first, first + 10_000):
        frame, shift = n % FRAMES, n % 40
        if time.monotonic() > end:
            break
        mask = np.roll(MASK, shift, axis=1).tobytes()
        client.post(f"api/projects/{project}/mask/{frame}/1", content=mask).raise_for_status()
        said[frame] = shift
    return said


def test_a_killed_service_loses_nothing_that_it_had_answered_for(
    tmp_path: Path, tiny_weights: Path, processes: Callable[..., Process]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", FRAMES)
    folder = tmp_path / PROJECTS / "clip"
    moments = random.Random(4)
    given: dict[int, int] = {}
    answered: dict[str, bytes] = {}
    for number in range(KILLS):
        service = processes(tmp_path, str(clip), "--method", str(tiny_weights))
        client = httpx.Client(base_url=service.address, timeout=60)
        key = client.post("api/open", json={"key": client.get("api/state").json()["first"]}).json()["project"]
        if number == 0:
            client.post(f"api/projects/{key}/objects", json={}).raise_for_status()
        given |= painted_until(client, key, 0.0 if number else time.monotonic() + 0.3, 60)
        client.post(f"api/projects/{key}/run", json={})
        end = time.monotonic() + moments.uniform(0.2, 2.5)
        given |= painted_until(client, key, end, 120 + 7 * number)
        codes = client.get(f"api/projects/{key}").json()["timeline"]["1"]
        service.kill()
        client.close()

        project = open_project(folder)
        assert set(given) <= set(project.prompted_frames())
        for frame, shift in given.items():
            np.testing.assert_array_equal(project.prompted_masks(frame)[1], np.roll(MASK, shift, axis=1))
            np.testing.assert_array_equal(project.labels(frame) == 1, np.roll(MASK, shift, axis=1) > 0)
        for frame, code in enumerate(codes):
            assert code in ".g" or project.answers.answered[frame], frame
        for path in sorted((folder / "masks").glob("*.png")):
            read_grey(path, project.size)
            answered[path.name] = path.read_bytes()
        project.close()
    assert answered


def test_ctrl_c_is_the_way_to_end_and_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTED, "app", "--no-browser", "--root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert "http://127.0.0.1:" in service.stdout.readline()
        service.send_signal(signal.SIGINT)
        _, complaints = service.communicate(timeout=60)
    assert (service.returncode, complaints) == (0, "")
    assert not list(tmp_path.glob("rotoscope-open-*"))
