"""How smooth the page is in a real browser: painting, and a frame on the screen after a jump.

    PYTHONPATH=src:benchmarks:tests python benchmarks/bench_page.py

Chromium draws without a graphics card here, so that a machine that has one is quicker. Painted is
with a steady hand for four seconds; a jump ends when the browser has drawn the frame.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from bench_app import SIZES, drawn
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
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(120_000)
    page.goto(service.address)
    page.locator("body[data-frame]").wait_for()
    page.wait_for_timeout(6000)
    found: dict[str, Any] = page.evaluate(JUMP, [80, 20, 110, 50, 5, 95, 35, 65, 15])
    page.keyboard.press("b")
    found |= page.evaluate(PAINT)
    page.close()
    service.end()
    return found


def main() -> None:
    results = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        for size in SIZES:
            results[f"{size[0]}x{size[1]}"] = measure(browser, Path(name), size)
        browser.close()
    for what, values in results.items():
        print(what, ", ".join(f"{name} {value:.0f}" for name, value in values.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
