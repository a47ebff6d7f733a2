"""Objects, runs, watching and importing in a real browser, with a network that answers at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from browsed import FRAMES, SCREENS, drag, go_to, idle, kept, labels, masks, opened, paint, place, ran, until
from rotoscope.app.library import DEMO, PROJECTS
from rotoscope.datasets.demo import demo_clip
from rotoscope.masks import FORMATS
from rotoscope.methods.base import Method
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video
from served import Process

CLEAR = """async () => {
    const root = "api/projects/" + document.body.dataset.open;
    const facts = await (await fetch(root)).json();
    for (const one of facts.objects) {
        await fetch(`${root}/objects/${one.id}`, { method: "POST", body: '{"locked": false}' });
        await fetch(`${root}/objects/${one.id}/delete`, { method: "POST", body: '{"how": "everywhere"}' });
    }
}"""


@pytest.fixture(scope="module")
def service(root: Path, tiny_weights: Path) -> Iterator[Process]:
    begun = Process(root, "--method", str(tiny_weights))
    yield begun
    begun.end()


@pytest.fixture
def page(browser: Browser, service: Process) -> Iterator[Page]:
    """The page, on a project whose objects are all gone; nothing in its code fails meanwhile."""
    page = opened(browser, service.address)
    page.evaluate(CLEAR)
    expect(page.locator(".objects li")).to_have_count(0)
    yield page
    assert page.faults == []  # type: ignore[attr-defined]
    page.close()


def shown(root: Path, frame: int) -> set[int]:
    return {int(i) for i in np.unique(labels(root, frame)) if i}


def lines(root: Path) -> list[dict[str, object]]:
    text = (root / PROJECTS / DEMO / "history.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def timeline(page: Page) -> dict[str, str]:
    """What the strip shows of each object."""
    found: dict[str, str] = page.evaluate(
        "fetch('api/projects/' + document.body.dataset.open).then((r) => r.json()).then((f) => f.timeline)"
    )
    return found


def test_objects_are_named_coloured_locked_and_hidden_by_keys(page: Page, root: Path) -> None:
    paint(page, (100, 100), (160, 100))
    page.keyboard.press("F2")
    page.keyboard.type("cup")
    page.keyboard.press("Enter")
    until(lambda: lines(root)[-1].get("object", {}).get("name") == "cup")  # type: ignore[attr-defined]
    page.locator(".objects input[type=color]").evaluate(
        "(input) => { input.value = '#00ff00'; input.dispatchEvent(new Event('change')); }"
    )
    until(lambda: lines(root)[-1].get("object", {}).get("colour") == "#00ff00")  # type: ignore[attr-defined]
    number = max(shown(root, 0))
    page.keyboard.press("u")
    expect(page.locator(".objects button[aria-label^=Unlock]")).to_have_count(1)
    page.keyboard.press("a")
    expect(page.locator(".objects li")).to_have_count(2)
    paint(page, (60, 100), (300, 100))
    both = labels(root, 0)
    assert both[100, 130] == number
    assert both[100, 250] == number + 1
    page.keyboard.press("i")
    expect(page.locator(".objects button[aria-label^=Show]")).to_have_count(1)
    page.keyboard.press("1")
    expect(page.locator(".objects li").first).to_have_class("chosen")
    drag(page, (130, 90), (140, 110))
    expect(page.locator(".toast.wrong")).to_contain_text("cup is locked")
    page.keyboard.press("Control+Delete")
    expect(page.locator(".toast.wrong")).to_have_count(2)
    expect(page.locator(".objects li")).to_have_count(2)


def test_an_object_is_deleted_here_from_here_and_everywhere_and_comes_back(page: Page, root: Path) -> None:
    for frame in (1, 4, 6):
        go_to(page, frame)
        paint(page, (100, 300), (160, 300))
    number = max(shown(root, 6))
    go_to(page, 4)
    page.keyboard.press("Delete")
    until(lambda: number not in shown(root, 4))
    assert number in shown(root, 1) & shown(root, 6)
    page.keyboard.press("Shift+Delete")
    until(lambda: timeline(page)[str(number)][4:] == "a" * (FRAMES - 4))
    expect(page.locator(".about")).to_contain_text("not on this frame")
    page.keyboard.press("Control+e")
    expect(page.locator("dialog")).to_contain_text("and follows objects past where they end:")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    until(lambda: timeline(page)[str(number)][6] == "g")
    page.keyboard.press("Control+Delete")
    expect(page.locator(".objects li")).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(page.locator(".objects li")).to_have_count(1)
    page.keyboard.press("Control+z")
    until(lambda: number in shown(root, 4))
    page.keyboard.press("x")
    until(lambda: timeline(page)[str(number)][4] != "g")


def test_runs_go_to_here_on_from_here_back_and_both_ways(page: Page, root: Path) -> None:
    go_to(page, 3)
    paint(page, (100, 200), (200, 200))
    number = str(max(shown(root, 3)))
    go_to(page, 5)
    ran(page, lambda: page.keyboard.press("Shift+R"))
    assert [code != "." for code in timeline(page)[number]] == [False] * 3 + [True] * 3 + [False] * 2
    go_to(page, 3)
    ran(page, lambda: page.keyboard.press("Shift+B"))
    assert "." not in timeline(page)[number][:6]
    before = masks(root)
    go_to(page, 6)
    ran(page, lambda: page.keyboard.press("Control+Enter"))
    assert "." not in timeline(page)[number]
    after = masks(root)
    assert {k: v for k, v in after.items() if k < "00006"} == {k: v for k, v in before.items() if k < "00006"}
    go_to(page, 7)
    paint(page, (300, 300), (360, 300))
    ran(page, lambda: page.keyboard.press("d"))
    assert timeline(page)[number][3] == timeline(page)[number][7] == "g"


def test_the_next_unsure_frame_is_one_that_is_worth_a_look_and_says_why(page: Page, root: Path) -> None:
    go_to(page, 0)
    paint(page, (100, 200), (200, 200))
    number = str(max(shown(root, 0)))
    ran(page, lambda: page.locator("#run").click())
    page.locator(".transport label input").uncheck()
    page.keyboard.press("Home")
    page.locator("body[data-frame='0'][data-ready=yes]").wait_for()
    look = page.evaluate(
        "fetch('api/projects/' + document.body.dataset.open).then((r) => r.json()).then((f) => f.look)"
    )[number]
    first = min(int(frame) for frame in look)
    page.keyboard.press("a")
    expect(page.locator(".objects li.chosen")).to_have_attribute("data-object", str(int(number) + 1))
    page.keyboard.press("n")
    page.locator(f"body[data-frame='{first}'][data-ready=yes]").wait_for()
    expect(page.locator(".about")).to_contain_text("(")
    said = page.locator(".about").inner_text()
    assert any(reason in said for reason in ("unsure", "disappears", "area jumps", "centre jumps", "parts", "margin"))
    page.keyboard.press("End")  # where a run leaves the page
    page.locator(f"body[data-frame='{FRAMES - 1}'][data-ready=yes]").wait_for()
    page.keyboard.press("n")
    page.locator(f"body[data-frame='{first}'][data-ready=yes]").wait_for()
    expect(page.locator(".toasts")).to_contain_text("on from the first of them")
    page.keyboard.press("Shift+G")
    page.locator("body[data-frame='0'][data-ready=yes]").wait_for()


def test_where_no_frame_is_unsure_the_weakest_is_shown(page: Page, root: Path) -> None:
    page.keyboard.press("n")
    expect(page.locator(".toasts")).to_contain_text("Nothing has been found yet")
    go_to(page, 0)
    paint(page, (100, 200), (200, 200))
    ran(page, lambda: page.locator("#run").click())
    key = page.locator("body").get_attribute("data-open")
    found = page.evaluate("(key) => fetch(`api/projects/${key}/weakest`).then((r) => r.json())", key)
    assert found["frame"] > 0

    def all_sure(route: Route) -> None:
        answer = route.fetch()
        facts = answer.json()
        facts["timeline"] = {i: codes.replace("u", "s") for i, codes in facts["timeline"].items()}
        route.fulfill(response=answer, json=facts | {"look": {}})

    page.route(f"**/api/projects/{key}", all_sure)
    page.reload()
    page.locator("body[data-frame][data-ready=yes]").wait_for()
    page.keyboard.press("n")
    expect(page.locator(".toasts")).to_contain_text(f"frame {found['frame']} is the weakest")
    page.locator(f"body[data-frame='{found['frame']}']").wait_for()
    page.unroute_all()


def test_the_picture_is_zoomed_moved_compared_and_played(page: Page, root: Path) -> None:
    go_to(page, 0)
    paint(page, (400, 200), (460, 200))
    world = page.locator(".world")
    whole = world.evaluate("(e) => e.style.transform")
    page.keyboard.press("h")
    page.mouse.move(*place(page, 427, 240))
    page.mouse.wheel(0, -400)
    page.keyboard.press("z")
    near = world.evaluate("(e) => e.style.transform")
    assert near != whole
    drag(page, (430, 240), (440, 250))
    assert world.evaluate("(e) => e.style.transform") != near
    page.keyboard.press("0")
    assert world.evaluate("(e) => e.style.transform") == whole
    alpha = "(e) => [...e.getContext('2d').getImageData(430, 200, 1, 1).data][3]"
    canvas = page.locator("canvas.masks")
    until(lambda: canvas.evaluate(alpha) > 0)
    page.keyboard.down("c")
    until(lambda: canvas.evaluate(alpha) == 0)
    page.keyboard.up("c")
    until(lambda: canvas.evaluate(alpha) > 0)
    page.keyboard.press("v")
    page.keyboard.press("v")
    until(lambda: canvas.evaluate("(e) => [...e.getContext('2d').getImageData(5, 5, 1, 1).data][3]") == 255)
    page.locator("header select").select_option("overlay")
    begun = time.monotonic()
    page.keyboard.press("Enter")
    page.locator(f"body[data-frame='{FRAMES - 1}'][data-ready=yes]").wait_for()
    assert time.monotonic() - begun > (FRAMES - 2) / 24


def test_a_reload_in_the_middle_of_a_run_shows_it_and_stop_ends_it(page: Page, root: Path) -> None:
    go_to(page, 0)
    paint(page, (100, 200), (200, 200))
    page.locator("#run").click()
    page.reload()
    page.locator("body[data-open]").wait_for()
    page.keyboard.press("s")
    idle(page)
    page.keyboard.press("r")
    idle(page)
    until(lambda: len(masks(root)) == FRAMES)


def sources(root: Path, model: Method) -> None:
    """Masks in other forms: a file, a data set, a run of the command line."""
    truth = demo_clip(FRAMES).labels
    (root / "own").mkdir()
    Image.fromarray((truth[2] == 2).astype(np.uint8) * 255).save(root / "own" / "cup.png")
    clip = root / "vos" / "Annotations" / "clip"
    clip.mkdir(parents=True)
    for frame in (0, 5):
        Image.fromarray(truth[frame].astype(np.uint8)).save(clip / f"{frame:05d}.png")
    with open_video(root / PROJECTS / DEMO / "clip.mp4") as video:
        segment_to_folder(video, {1: {1: truth[1] == 2}}, model, root / "done")


def taken(page: Page, label: str) -> None:
    page.keyboard.press("Control+i")
    page.locator("dialog .entries button", has_text=label).first.click()


def test_masks_of_files_of_data_sets_and_of_finished_runs_are_taken_in(
    page: Page, root: Path, tiny_stcn: Method
) -> None:
    sources(root, tiny_stcn)
    truth = demo_clip(FRAMES).labels
    go_to(page, 2)
    page.keyboard.press("Control+i")
    expect(page.locator("dialog .entries")).to_contain_text("finished run")
    page.screenshot(path=SCREENS / "10-import.png")
    page.locator("dialog .entries button", has_text="cup.png").click()
    expect(page.locator(".toasts")).to_contain_text("Masks of 1 frame taken in, as object 1.")
    np.testing.assert_array_equal(labels(root, 2) == max(shown(root, 2)), truth[2] == 2)
    taken(page, "vos")
    expect(page.locator(".toasts")).to_contain_text("Masks of 2 frames taken in")
    areas = [labels(root, 5) == number for number in shown(root, 5)]
    assert all(any(np.array_equal(area, truth[5] == number) for area in areas) for number in (1, 2))
    ran(page, lambda: taken(page, "done"))
    assert len(masks(root)) == FRAMES
    assert "." not in timeline(page)[str(max(shown(root, 1)))][1:]


def test_the_window_of_exports_writes_formats_and_says_what_the_command_line_would_be(page: Page, root: Path) -> None:
    go_to(page, 0)
    paint(page, (100, 200), (200, 200))
    number = max(shown(root, 0))
    page.locator(".objects input[type=color]").evaluate(
        "(input) => { input.value = '#00ff00'; input.dispatchEvent(new Event('change')); }"
    )
    until(lambda: lines(root)[-1].get("object", {}).get("colour") == "#00ff00")  # type: ignore[attr-defined]
    page.keyboard.press("Control+e")
    names = page.locator("dialog .formats b").all_inner_texts()
    assert names == list(FORMATS)
    wanted = ["objects", "soft", "npz", "coco", "cutout", "greenscreen"]
    for name in wanted:
        page.locator(f"dialog .formats input[value={name}]").check()
    expect(page.locator("dialog .command")).to_contain_text("palette,objects,soft,npz,coco,cutout,overlay,greenscreen")
    page.locator("dialog select").first.select_option("each")
    expect(page.locator("dialog .command")).to_contain_text("--objects each")
    expect(page.locator("dialog .command")).to_contain_text(f"--color '{number}=#00ff00'")
    page.locator("dialog button", has_text="Copy").click()
    expect(page.locator(".toast")).to_have_text("Copied.")
    assert page.locator(".toasts").evaluate("(e) => e.matches(':popover-open')")  # in front of the window
    said, window = page.locator(".toast").bounding_box(), page.locator("dialog").bounding_box()
    assert said is not None
    assert window is not None
    assert said["x"] + said["width"] <= window["x"]
    button = page.locator("dialog .primary").bounding_box()
    assert button is not None
    assert button["y"] + button["height"] < window["y"] + window["height"]  # long as the command line is
    page.screenshot(path=SCREENS / "11-export.png")
    page.locator("dialog .primary").click()
    expect(page.locator(".result")).to_contain_text("Written to")
    folder = Path(page.locator(".result code").inner_text())
    assert {path.stem for path in folder.glob("*.mp4")} == {"overlay", f"greenscreen-{number}"}
    with open_video(folder / "overlay.mp4") as made, open_video(root / PROJECTS / DEMO / "clip.mp4") as clip:
        own = labels(root, 0) == number
        change = made[0].image[own].mean(axis=0) - clip[0].image[own].mean(axis=0)
    assert change[1] > 40 > 0 > max(change[0], change[2])  # greener, and less of the rest
    assert {path.name for path in folder.iterdir() if path.is_dir()} == set(wanted) - {"greenscreen"}
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_clicks_are_answered_by_grabcut_too(page: Page, root: Path) -> None:
    go_to(page, 1)
    page.locator("#engine").select_option("grabcut")
    page.keyboard.press("p")
    drag(page, (600, 60), (853, 330))
    expect(page.locator(".about")).to_contain_text("given on this frame")
    kept(page)
    page.keyboard.press("f")
    page.mouse.click(*place(page, 20, 20))
    until(lambda: bool(labels(root, 1)[20, 20]))
