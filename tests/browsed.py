"""A real browser on the page, for tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page

from rotoscope.app.library import DEMO, PROJECTS
from rotoscope.app.pictures import read_grey
from rotoscope.datasets.demo import SIZE, demo_clip
from rotoscope.files import make_folder
from rotoscope.video import VideoWriter

FRAMES = 8
CUP = (730, 200)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENS = Path(os.environ.get("SCREENSHOTS", Path(__file__).parents[1] / "out" / "screens"))
"""Where pictures of the main states are kept, to be looked at."""
PATIENCE = 180_000
"""Milliseconds to wait for what has to come; how long it takes says how busy the machine is."""


def demo_root(folder: Path) -> Path:
    """A folder whose built-in clip has few frames, so that it is run through in no time."""
    with VideoWriter(make_folder(folder / PROJECTS / DEMO) / "clip.mp4", 24.0, SIZE) as writer:
        for image in demo_clip(FRAMES).frames:
            writer.write(image)
    return folder


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(PATIENCE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address)
    page.locator("body[data-open]").wait_for()
    page.locator("body[data-frame][data-ready=yes]").wait_for()
    page.faults = faults  # type: ignore[attr-defined]
    return page


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the clip is on the screen."""
    box = page.locator(".world").bounding_box()
    assert box is not None
    return box["x"] + x / SIZE[0] * box["width"], box["y"] + y / SIZE[1] * box["height"]


def idle(page: Page) -> None:
    page.locator("body[data-task=idle]").wait_for()


def kept(page: Page) -> None:
    page.locator("body[data-kept=yes]").wait_for()


def stroke(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.keyboard.press("b")
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=5)
    page.mouse.up()


def paint(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    stroke(page, start, end)
    kept(page)


def go_to(page: Page, frame: int) -> None:
    page.locator(".counter").fill(str(frame))
    page.locator(".counter").press("Enter")
    page.locator(f"body[data-frame='{frame}'][data-ready=yes]").wait_for()  # its picture and masks have come


def labels(root: Path, frame: int, project: str = DEMO) -> np.ndarray:
    path = root / PROJECTS / project / "masks" / f"{frame:05d}.png"
    return read_grey(path, SIZE) if path.exists() else np.zeros(SIZE[::-1], np.uint8)


def masks(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / PROJECTS / DEMO / "masks").glob("*.png")}


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=4)
    page.mouse.up()


def ran(page: Page, act: Callable[[], object]) -> None:
    """Begin something that takes long, and wait for its end."""
    before = int(page.locator("body").get_attribute("data-ended") or 0)
    act()
    page.locator(f"body[data-ended='{before + 1}']").wait_for()
    idle(page)
