"""How quick the page's service is: a frame after a jump, a click, running along beside the command line, memory.

    python benchmarks/bench_app.py [--frames 120] [--many 10000] [--only 480|1080|memory] [--no-run]

Times are those of a client on the same machine, over HTTP, so that decoding, coding and the way are in them. Clips are
drawn, and written with a key frame every 250 frames, as encoders do unless told otherwise: a jump decodes up to those.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import numpy as np

from rotoscope.app.serving import Launch
from rotoscope.runs.measure import peak_memory
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import VideoWriter, open_video

SIZES = ((854, 480), (1920, 1080))


def drawn(path: Path, size: tuple[int, int], frames: int) -> Path:
    """A textured clip with a bright square that moves."""
    rng = np.random.default_rng(0)
    back = np.kron(
        rng.integers(0, 160, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)
    )
    with VideoWriter(path, 24.0, size) as writer:
        for t in range(frames):
            image = np.ascontiguousarray(back[: size[1], : size[0]])
            left = 20 + t * (size[0] // 2) // frames
            image[size[1] // 3 : size[1] * 2 // 3, left : left + size[1] // 3] = (240, 190, 40)
            writer.write(image)
    return path


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


class Client:
    """A page, as far as the service can tell."""

    def __init__(self, root: Path, clip: Path) -> None:
        self.launch = Launch(root, clip)
        ready = threading.Event()
        threading.Thread(target=self.launch.serve, args=(ready.set,), daemon=True).start()
        ready.wait()
        self.http = httpx.Client(base_url=self.launch.address, timeout=600)
        given = self.launch.service.library.named
        assert given is not None
        self.key = given.key
        self.api = f"api/projects/{given.key}"

    def post(self, action: str, **body: object) -> None:
        self.http.post(f"{self.api}/{action}", json=body).raise_for_status()

    def frame(self, index: int, side: int | None = None) -> None:
        asked = f"?side={side}" if side else ""
        self.http.get(f"{self.api}/frames/{index}{asked}").raise_for_status()
        self.http.get(f"{self.api}/labels/{index}").raise_for_status()

    def click(self, point: list[int]) -> None:
        self.post("click", frame=0, object=1, points=[point])

    def wait(self) -> None:
        while self.launch.service.worker.busy:
            time.sleep(0.005)

    def end(self) -> None:
        self.http.close()
        self.launch.end()


def measure(folder: Path, size: tuple[int, int], frames: int, run: bool) -> dict[str, float]:
    """Milliseconds for a frame and a click, and what running along costs over the command line.

    Jumps are measured twice: as soon as the clip is open, and when its pictures have been made, some seconds later.
    """
    clip = drawn(folder / f"{size[1]}.mp4", size, frames)
    page = Client(folder, clip)
    places = [int(i) for i in np.random.default_rng(1).permutation(frames)[:20]]
    side = 960 if size[0] > 960 else None  # what a window of 1280x720 asks for
    early = [seconds(lambda i=i: page.frame(i, side)) for i in places[:8]]  # type: ignore[misc]
    page.post("look", frame=0, side=side)
    begun = time.perf_counter()
    service = page.launch.service
    while any((page.key, i, side or 0) not in service.shelf for i in range(frames)):
        time.sleep(0.05)
    ready = time.perf_counter() - begun
    jumps = [seconds(lambda i=i: page.frame(i, side)) for i in places[8:]]  # type: ignore[misc]
    again = [seconds(lambda i=i: page.frame(i, side)) for i in places[-8:]]  # type: ignore[misc]
    page.post("objects")
    time.sleep(0.5)  # a person looks before pointing
    point = [30 + size[1] // 6, size[1] // 2]
    clicks = [seconds(lambda n=n: page.click([point[0] + n, point[1]])) for n in range(9)]  # type: ignore[misc]
    found = {
        "jump ms, pictures made": 1000 * statistics.median(jumps),
        "worst": 1000 * max(jumps),
        "jump ms, just opened": 1000 * statistics.median(early),
        "s until made": ready,
        "cached ms": 1000 * statistics.median(again),
        "first click ms": 1000 * clicks[0],
        "click ms": 1000 * statistics.median(clicks[1:]),
    }
    if run:
        found["run / command line"] = along(page, clip, folder / f"out{size[1]}")
    page.end()
    return found


def along(page: Client, clip: Path, folder: Path) -> float:
    """How much longer a run takes on the page than on the command line: medians of three, by turns.

    Both write over what their turn before left: ext4, for one, takes longer to put a file in the place of another.
    """
    prompts = page.launch.service.project(page.key).folder / "prompts"
    by_page, by_hand = [], []
    model = page.launch.service.model
    for turn in range(3):
        page.post("run", start=0)
        by_page.append(seconds(page.wait))
        with open_video(clip) as video:
            work = partial(segment_to_folder, video, str(prompts), model, folder, overwrite=turn > 0)
            by_hand.append(seconds(work))
    return statistics.median(by_page) / statistics.median(by_hand)


def growth(folder: Path, frames: int) -> dict[str, float]:
    """Memory in MiB before and after every 50th frame of a long clip was looked at."""
    page = Client(folder, drawn(folder / "long.mp4", (320, 180), frames))
    for index in range(0, 500, 5):
        page.frame(index)
    early = peak_memory()
    for index in range(500, frames, 50):
        page.frame(index)
    late = peak_memory()
    page.end()
    return {"MiB early": early / 2**20, "MiB late": late / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--only", choices=["480", "1080", "memory"], help="One part, in a process of its own.")
    parser.add_argument("--no-run", action="store_true", help="Leave out running along.")
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for size in SIZES:
            if arguments.only in (None, str(size[1])):
                run = not arguments.no_run
                results[f"{size[0]}x{size[1]}"] = measure(Path(name), size, arguments.frames, run)
        if arguments.only in (None, "memory"):
            results[f"{arguments.many} frames"] = growth(Path(name), arguments.many)
    for what, values in results.items():
        print(what, ", ".join(f"{k} {v:.2f}" if "/" in k or k[0] == "s" else f"{k} {v:.0f}" for k, v in values.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
