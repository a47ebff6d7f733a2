"""How smooth the page is in a real browser: painting, a frame on the screen after a jump, and what memory it takes.

    PYTHONPATH=src:benchmarks:tests python benchmarks/bench_page.py [--only speed|run|memory] [--many 10000]

Chromium draws without a graphics card here, so that a machine that has one is quicker. Painted is with a steady hand
for four seconds; a jump ends when the browser has drawn the frame.

Running along is measured with the page open, which shows each frame as it is done, beside the same work of
``rotoscope segment`` in this process.

For memory, every fourth frame of a long clip is shown, one after another. Told is what JavaScript holds after its
rubbish was collected, and what the browser's processes hold for the page (proportional set sizes of renderer and
drawing process), on the way and at the end.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from bench_app import SIZES, drawn, seconds
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import open_video
from rotoscope.weights import load
from served import Process, chromium

PAINT = """async () => {
  const stage = document.querySelector(".stage");
  const room = stage.getBoundingClientRect();
  stage.setPointerCapture = () => {};
  const fire = (type, x, y) => stage.dispatchEvent(new PointerEvent(type, {
    bubbles: true, clientX: room.left + x, clientY: room.top + y, button: 0, buttons: 1, pointerId: 1 }));
  fire("pointerdown", 200, 200);
  await new Promise((done) => setTimeout(done, 800));
  const gaps = [];
  const begun = performance.now();
  let last = begun;
  await new Promise((done) => {
    const step = (now) => {
      gaps.push(now - last);
      last = now;
      fire("pointermove", 200 + (gaps.length * 7) % 500, 200 + 80 * Math.sin(gaps.length / 9));
      if (now - begun < 4000) requestAnimationFrame(step);
      else done();
    };
    requestAnimationFrame(step);
  });
  fire("pointerup", 300, 200);
  gaps.sort((a, b) => a - b);
  const most = gaps[Math.floor(gaps.length * 0.95)];
  return { "frames a second": gaps.length / 4, "longest ms": gaps.at(-1), "95 % below ms": most };
}"""
JUMP = """async (places) => {
  const counter = document.querySelector(".counter");
  const canvas = document.querySelector("canvas.frame");
  const drawn = CanvasRenderingContext2D.prototype.drawImage;
  const times = [];
  for (const place of places) {
    await new Promise((done) => {
      CanvasRenderingContext2D.prototype.drawImage = function (...given) {
        drawn.apply(this, given);
        if (this.canvas === canvas) requestAnimationFrame(() => done());
      };
      counter.value = String(place);
      times.push(performance.now());
      counter.dispatchEvent(new Event("change"));
    });
    times[times.length - 1] = performance.now() - times[times.length - 1];
    await new Promise((done) => setTimeout(done, 300));
  }
  CanvasRenderingContext2D.prototype.drawImage = drawn;
  times.sort((a, b) => a - b);
  return { "jump ms": times[times.length >> 1], "worst jump ms": times.at(-1) };
}"""


def measure(browser: Browser, folder: Path, size: tuple[int, int]) -> dict[str, float]:
    clip = drawn(folder / f"{size[1]}.mp4", size, 120)
    service = Process(folder, str(clip))
    page = opened(browser, service.address)
    page.wait_for_timeout(6000)
    found: dict[str, Any] = page.evaluate(JUMP, [80, 20, 110, 50, 5, 95, 35, 65, 15])
    page.keyboard.press("b")
    found |= page.evaluate(PAINT)
    page.close()
    service.end()
    return found


SHOW = """async (places) => {
  const counter = document.querySelector(".counter");
  const canvas = document.querySelector("canvas.frame");
  const drawn = CanvasRenderingContext2D.prototype.drawImage;
  let told = () => undefined;
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    drawn.apply(this, given);
    if (this.canvas === canvas) told();
  };
  for (const place of places) {
    await new Promise((done) => {
      told = () => requestAnimationFrame(() => done());
      counter.value = String(place);
      counter.dispatchEvent(new Event("change"));
    });
    if (place % 40 === 0) await new Promise((done) => setTimeout(done, 60)); // long enough to be looked at
  }
  CanvasRenderingContext2D.prototype.drawImage = drawn;
}"""
SMALL = (320, 180)
PARTS = 5
"""Times that memory is told of on the way."""


def held(browser_cdp: CDPSession, page_cdp: CDPSession) -> dict[str, float]:
    """MiB that the page takes now."""
    page_cdp.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in page_cdp.send("Performance.getMetrics")["metrics"]}
    found = {"JavaScript": metrics["JSHeapUsedSize"] / 2**20}
    for process in browser_cdp.send("SystemInfo.getProcessInfo")["processInfo"]:
        if process["type"] in ("renderer", "GPU"):
            text = Path(f"/proc/{process['id']}/smaps_rollup").read_text(encoding="ascii")
            size = sum(int(kib) for kib in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))
            found[process["type"]] = found.get(process["type"], 0) + size / 2**10
    return found


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(120_000)
    page.goto(address)
    page.locator("body[data-frame]").wait_for()
    return page


def growth(browser: Browser, folder: Path, frames: int) -> dict[str, float]:
    """MiB by what holds it, after each part of the clip and after the first part was shown again."""
    service = Process(folder, str(drawn(folder / "long.mp4", SMALL, frames)))
    page = opened(browser, service.address)
    page_cdp, browser_cdp = page.context.new_cdp_session(page), browser.new_browser_cdp_session()
    page_cdp.send("Performance.enable")
    page.locator("#new-object").click()
    found: dict[str, float] = {}
    for n in (*range(PARTS), 0):
        first, last = n * frames // PARTS, (n + 1) * frames // PARTS
        page.evaluate(SHOW, list(range(first + 4, last, 4)))
        name = f"at {last}" if f"JavaScript at {last}" not in found else "at the beginning again"
        found |= {f"{kind} {name}": size for kind, size in held(browser_cdp, page_cdp).items()}
    page.close()
    service.end()
    return found


def along(browser: Browser, folder: Path) -> dict[str, float]:
    """Seconds of a run that the page shows as it goes, and of the command line's work: medians of three, by turns."""
    clip = drawn(folder / "along.mp4", SIZES[0], 120)
    service = Process(folder, str(clip), threads=None)
    page = opened(browser, service.address)
    world = page.locator(".world").bounding_box()
    assert world is not None
    page.mouse.click(world["x"] + 0.1 * world["width"], world["y"] + 0.5 * world["height"])
    page.locator(".about", has_text="given on this frame").wait_for()
    prompts = next((folder / "rotoscope-projects").glob("along*/prompts"))
    model = load("stcn-small", device="cpu")
    by_page, by_hand = [], []
    for turn in range(3):
        page.keyboard.press("Home")
        page.wait_for_timeout(1000)
        by_page.append(seconds(lambda n=turn: ran(page, n + 1)))  # type: ignore[misc]
        with open_video(clip) as video:
            out = folder / f"along{turn}"
            by_hand.append(seconds(lambda v=video, o=out: segment_to_folder(v, str(prompts), model, o)))  # type: ignore[misc]
    page.close()
    service.end()
    s_page, s_hand = statistics.median(by_page), statistics.median(by_hand)
    return {"page s": s_page, "command line s": s_hand, "ratio": s_page / s_hand}


def ran(page: Page, number: int) -> None:
    """Run on from the frame shown, to the end."""
    page.keyboard.press("Control+Enter")
    page.locator(f"body[data-ended='{number}'][data-task=idle]").wait_for()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["speed", "run", "memory"], help="One part.")
    parser.add_argument("--many", type=int, default=10_000, help="Frames of the clip that memory is measured on.")
    chosen = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        for size in SIZES if chosen.only in (None, "speed") else ():
            results[f"{size[0]}x{size[1]}"] = measure(browser, Path(name), size)
        if chosen.only in (None, "run"):
            results["running along, page open"] = along(browser, Path(name))
        if chosen.only in (None, "memory"):
            results[f"MiB, {chosen.many} frames"] = growth(browser, Path(name), chosen.many)
        browser.close()
    for what, values in results.items():
        print(what, ", ".join(f"{n} {v:.{2 if n == 'ratio' else 0}f}" for n, v in values.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
