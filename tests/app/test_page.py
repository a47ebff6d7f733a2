"""The page in a real browser: point, paint, run, stop, correct, run again, export; and what may go wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from browsed import CUP, FRAMES, SCREENS, go_to, idle, kept, labels, masks, opened, paint, place, stroke, until
from rotoscope.app.facts import FACTS
from rotoscope.app.library import DEMO, PROJECTS
from rotoscope.datasets.demo import demo_clip
from rotoscope.evaluation import region_similarity
from rotoscope.masks import read_masks
from rotoscope.video import open_video
from served import Process


@pytest.fixture(scope="module")
def service(root: Path) -> Iterator[Process]:
    begun = Process(root)
    yield begun
    begun.end()


def test_from_no_mask_to_an_exported_overlay(browser: Browser, service: Process, root: Path) -> None:
    page = opened(browser, service.address)
    expect(page.locator(".title")).to_contain_text("built-in clip")
    page.screenshot(path=SCREENS / "1-begin.png")
    truth = demo_clip(FRAMES).labels
    page.mouse.click(*place(page, *CUP))
    expect(page.locator(".about")).to_contain_text("given on this frame")
    page.mouse.click(*place(page, 700, 260))
    page.keyboard.down("Alt")
    page.mouse.click(*place(page, 735, 120))
    page.keyboard.up("Alt")
    expect(page.locator(".unwanted")).to_have_count(1)
    until(lambda: region_similarity(labels(root, 0) == 1, truth[0] == 2) > 0.8)
    page.screenshot(path=SCREENS / "2-pointed.png")

    page.locator("#run").click()
    page.locator("body[data-task=run]").wait_for()
    page.screenshot(path=SCREENS / "3-running.png")
    page.locator("#stop").click()
    idle(page)
    done = len(list((root / PROJECTS / DEMO / "masks").glob("*.png")))
    assert 1 <= done <= FRAMES
    if done < FRAMES:
        page.keyboard.press("r")
        page.locator("body[data-task=run]").wait_for()
        idle(page)
    assert all((labels(root, i) == 1).any() for i in range(FRAMES))

    before = masks(root)
    go_to(page, 5)
    paint(page, (100, 100), (200, 120))
    expect(page.locator(".about")).to_contain_text("given on this frame")
    page.locator("#run").click()
    page.locator("body[data-task=run]").wait_for()
    idle(page)
    after = masks(root)
    assert {k: v for k, v in after.items() if k < "00005"} == {k: v for k, v in before.items() if k < "00005"}
    assert after["00005.png"] != before["00005.png"]
    page.screenshot(path=SCREENS / "4-corrected.png")

    page.locator("#export").click()
    expect(page.locator(".command")).to_contain_text("rotoscope segment")
    expect(page.locator(".command")).to_contain_text("palette,overlay")
    page.locator("dialog .primary").click()
    expect(page.locator(".result")).to_contain_text("Written to")
    page.screenshot(path=SCREENS / "5-exported.png")
    folder = Path(page.locator(".result code").inner_text())
    with open_video(folder / "overlay.mp4") as video:
        assert len(video) == FRAMES
    assert set(read_masks(folder / "00005.png").masks) == {1}
    assert len(list(folder.glob("*.png"))) == FRAMES
    assert page.faults == []  # type: ignore[attr-defined]
    page.close()


def test_a_reload_in_the_middle_loses_nothing(browser: Browser, service: Process, root: Path) -> None:
    page = opened(browser, service.address)
    go_to(page, 3)
    paint(page, (300, 60), (360, 60))
    painted = labels(root, 3)
    page.reload()
    page.locator("body[data-frame='3'][data-ready=yes]").wait_for()
    expect(page.locator(".about")).to_contain_text("given on this frame")
    page.keyboard.press("Control+z")
    until(lambda: not np.array_equal(labels(root, 3), painted))
    page.keyboard.press("Control+Shift+z")
    until(lambda: np.array_equal(labels(root, 3), painted))
    assert page.faults == []  # type: ignore[attr-defined]
    page.close()


def test_what_is_painted_while_the_connection_is_lost_is_kept_when_it_is_back(
    browser: Browser, service: Process, root: Path
) -> None:
    page = opened(browser, service.address)
    go_to(page, 2)
    before = labels(root, 2)
    page.context.set_offline(True)
    stroke(page, (60, 400), (90, 420))
    expect(page.locator(".state")).to_contain_text("not kept yet")
    np.testing.assert_array_equal(labels(root, 2), before)
    page.context.set_offline(False)
    kept(page)
    assert labels(root, 2)[410, 75] == 1
    page.close()


def test_a_frame_that_does_not_come_cannot_be_painted_on_and_is_shown_when_it_comes(
    browser: Browser, service: Process, root: Path
) -> None:
    page = opened(browser, service.address)
    go_to(page, 0)
    page.context.set_offline(True)
    before = masks(root)
    page.locator(".counter").fill("5")
    page.locator(".counter").press("Enter")
    page.locator("body[data-frame='5'][data-ready=no]").wait_for()
    stroke(page, (60, 400), (90, 420))
    expect(page.locator(".toasts")).to_contain_text("Frame 5 has not come yet.")
    assert masks(root) == before
    page.context.set_offline(False)
    page.locator("body[data-frame='5'][data-ready=yes]").wait_for()
    paint(page, (60, 400), (90, 420))
    assert labels(root, 5)[410, 75] == 1
    page.keyboard.press("Control+z")
    until(lambda: labels(root, 5)[410, 75] == 0)
    page.close()


def test_two_tabs_show_one_project(browser: Browser, service: Process, root: Path) -> None:
    one, two = opened(browser, service.address), opened(browser, service.address)
    two.locator("#new-object").click()
    expect(one.locator(".objects li")).to_have_count(2)
    one.locator("#new-object").click()
    expect(two.locator(".objects li")).to_have_count(3)
    expect(two.locator(".about")).to_contain_text("not known on this frame")
    one.locator(".objects li").nth(1).locator(".key").click()
    paint(one, (400, 430), (430, 440))
    expect(two.locator(".about")).to_contain_text("given on this frame")
    one.keyboard.press("Control+z")
    expect(two.locator(".about")).to_contain_text("not known on this frame")
    for _ in range(2):
        one.keyboard.press("Control+z")
    expect(two.locator(".objects li")).to_have_count(1)
    one.close()
    two.close()


def test_tools_views_and_keys(browser: Browser, service: Process, root: Path) -> None:
    page = opened(browser, service.address)
    go_to(page, 6)
    page.keyboard.press("a")
    expect(page.locator(".objects li")).to_have_count(2)
    page.keyboard.press("l")
    for corner in ((500, 300), (600, 300), (600, 380), (500, 380)):
        page.mouse.click(*place(page, *corner))
    page.keyboard.press("Enter")
    kept(page)
    number = int(np.unique(labels(root, 6)).max())
    area = int((labels(root, 6) == number).sum())
    assert abs(area - 8000) < 500
    page.keyboard.press("+")
    until(lambda: int((labels(root, 6) == number).sum()) > area)
    page.keyboard.press("k")
    for corner in ((300, 200), (340, 260), (280, 260)):
        page.mouse.click(*place(page, *corner))
    page.keyboard.press("Enter")
    until(lambda: bool((labels(root, 6)[190:270, 270:350] == number).any()))
    for view in ("outline", "checkers", "black", "green"):
        page.locator("header select").select_option(view)
        page.screenshot(path=SCREENS / f"6-{view}.png")
    page.locator("header select").select_option("overlay")
    page.keyboard.press("t")
    page.keyboard.press("o")
    page.screenshot(path=SCREENS / "7-other-theme.png")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("run backward from the frame shown")
    page.screenshot(path=SCREENS / "8-keys.png")
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.locator(f"body[data-frame='{FRAMES - 1}'][data-ready=yes]").wait_for()
    assert page.faults == []  # type: ignore[attr-defined]
    page.close()


def test_a_killed_service_opens_again_with_all_that_was_painted(
    browser: Browser, root: Path, tmp_path: Path, processes: Callable[..., Process]
) -> None:
    (tmp_path / PROJECTS / DEMO).mkdir(parents=True)
    (tmp_path / PROJECTS / DEMO / "clip.mp4").write_bytes((root / PROJECTS / DEMO / "clip.mp4").read_bytes())
    service = processes(tmp_path)
    page = opened(browser, service.address)
    paint(page, (500, 100), (560, 130))
    service.kill()
    expect(page.locator(".state")).to_contain_text("cannot be reached")
    page.close()
    again = processes(tmp_path)
    page = opened(browser, again.address)
    expect(page.locator(".about")).to_contain_text("given on this frame")
    assert labels(tmp_path, 0)[115, 530] == 1
    page.screenshot(path=SCREENS / "9-opened-again.png")
    page.close()


def test_the_printed_address_is_all_that_opens_the_page(browser: Browser, service: Process) -> None:
    wrong = re.sub(r"/[^/]+/$", "/wrong/", service.address)
    assert httpx.get(wrong).status_code == 403
    page = browser.new_page()
    page.goto(wrong)
    expect(page.locator("body")).to_contain_text("another launch")
    page.close()


def test_a_project_is_a_folder_to_look_into(service: Process, root: Path) -> None:
    assert (root / PROJECTS / DEMO / FACTS).exists()
