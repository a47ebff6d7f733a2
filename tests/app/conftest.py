from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from browsed import ARGUMENTS, PATIENCE, SCREENS, demo_root
from rotoscope.app.project import Project
from served import Process, Served, chromium, new_project, write_clip


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = new_project(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root")
    made = Served(root, write_clip(root / "clip.mp4", 12), tiny_weights)
    yield made
    made.end()


@pytest.fixture
def processes() -> Iterator[Callable[..., Process]]:
    begun: list[Process] = []

    def begin(root: Path, *arguments: str) -> Process:
        begun.append(Process(root, *arguments))
        return begun[-1]

    yield begin
    for one in begun:
        one.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("no Chromium here (apt-get install chromium, or CHROMIUM=its path)")
    SCREENS.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_root(tmp_path_factory.mktemp("root"))
