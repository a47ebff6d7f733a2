"""Projects and services for tests, and where a browser is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np

from conftest import first_mask, moving
from rotoscope.app.project import Project
from rotoscope.app.serving import Launch
from rotoscope.video import VideoWriter, open_video

SIZE = (64, 48)
MASK = first_mask(SIZE).astype(np.uint8) * 255


def write_clip(path: Path, frames: int, size: tuple[int, int] = SIZE) -> Path:
    with VideoWriter(path, 24.0, size) as writer:
        for image in moving(frames, size):
            writer.write(image)
    return path


def new_project(folder: Path, frames: int = 12) -> Project:
    clip = write_clip(folder / "clip.mp4", frames)
    return Project.create(folder / "project", clip, open_video(clip))


class Served:
    """A service in a thread of this process."""

    def __init__(self, root: Path, given: Path, weights: Path) -> None:
        self.launch = Launch(root, given, str(weights))
        ready = threading.Event()
        self.thread = threading.Thread(target=self.launch.serve, args=(ready.set,), daemon=True)
        self.thread.start()
        assert ready.wait(300)
        self.client = httpx.Client(base_url=self.launch.address, timeout=60)
        given_entry = self.launch.service.library.named
        assert given_entry is not None
        self.key = given_entry.key
        self.api = f"api/projects/{self.key}"

    def wait(self) -> None:
        """Until nothing is being done."""
        while self.launch.service.worker.busy:
            time.sleep(0.02)

    def end(self) -> None:
        self.client.close()
        self.launch.end()
        self.thread.join(300)
        assert not self.thread.is_alive()


class Process:
    """``rotoscope app`` in a process of its own."""

    def __init__(self, root: Path, *arguments: str, threads: int | None = 1) -> None:
        command = [sys.executable, "-m", "rotoscope", "app", "--no-browser", "--root", str(root), *arguments]
        environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "http://127.0.0.1:" in line, line
        self.address = line.split()[-1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


def chromium() -> str | None:
    """Where the browser is that tests of the page use."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
