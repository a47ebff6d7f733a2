"""How fast is each method on each runtime, on idle cores and beside busy processes?

Every number is of the whole way of a frame from an array to its labels, with the next frame encoded in a thread where
the method can; reading and writing files is not in it. Runtimes take turns, and the best round of each counts.
``--glue`` adds what happens where PyTorch keeps its threads while a runtime has as many.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

import rotoscope
from common import SIZE, options, report
from rotoscope.experiments.speed import method_to_time, moving_frames, squares
from rotoscope.methods.base import Method
from rotoscope.runtimes import Served, installed_runtimes

METHODS = [
    "stcn-small",
    "stcn-small-resnet18",
    "stcn",
    "rvos-small",
    "agame-small",
    "giel-small",
    "giel-small-fast",
    "cosnet-small",
    "rsis-small",
    "capsulevos-small",
]
WARM = 6
"""Frames that come before those that are timed."""


@contextmanager
def busy(count: int) -> Iterator[None]:
    """As many processes that compute beside."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@contextmanager
def torch_keeps_its_threads() -> Iterator[None]:
    """What :meth:`Served.turn` prevents."""
    turn = Served.turn
    Served.turn = lambda self: nullcontext()  # type: ignore[assignment, method-assign, return-value]
    try:
        yield
    finally:
        Served.turn = turn  # type: ignore[method-assign]


def rate(model: Method, images: np.ndarray[Any, Any], objects: int, direct: bool) -> float:
    """Frames a second; ``direct`` pushes frames one after another, with all threads for each."""
    masks = squares(objects, SIZE) if model.task == "semi" else None
    if direct:
        session = model.session()
        session.add(masks or {})
        answers: Any = (found for image in images for found in session.push(image))
    else:
        answers = rotoscope.segment(images, None if masks is None else {0: masks}, model)
    for number, _ in enumerate(answers, 1):
        if number == WARM:
            begun = time.perf_counter()
    return (len(images) - WARM) / (time.perf_counter() - begun)


def columns(name: str, chosen: Any, images: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """Rows of one method: by number of objects and of busy processes."""
    models = {"torch": method_to_time(name, None, chosen.precision)}
    others = [runtime for runtime in installed_runtimes() if runtime != "torch"]
    models |= {runtime: method_to_time(name, None, chosen.precision, runtime) for runtime in others}
    ways = [(runtime, runtime, nullcontext) for runtime in models]
    if chosen.glue:
        kept = [(f"{r}, PyTorch keeps its threads", r, torch_keeps_its_threads) for r in models if r != "torch"]
        ways += kept  # type: ignore[arg-type]
    rows = []
    for count in map(int, chosen.busy.split(",")):
        for objects in map(int, chosen.objects.split(",") if models["torch"].task == "semi" else "0"):
            best = dict.fromkeys((title for title, *_ in ways), 0.0)
            with busy(count):
                for _ in range(chosen.rounds):
                    for title, runtime, around in ways:
                        with around():
                            best[title] = max(best[title], rate(models[runtime], images, objects, chosen.direct))
            row: dict[str, Any] = {"method": name, "objects": objects or "-", "busy": count}
            row |= {f"{title}, frames/s": f"{found:.3g}" for title, found in best.items()}
            row |= {f"{t} / torch": f"{f / best['torch']:.2f}" for t, f in best.items() if t != "torch"}
            print("  ".join(f"{key}: {value}" for key, value in row.items()), file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def main() -> None:
    chosen = options(
        __doc__,
        method=METHODS,
        objects="1",
        busy="0,4",
        frames=30,
        rounds=2,
        precision="fast",
        glue=False,
        direct=False,
    )
    images = np.stack(moving_frames(WARM + chosen.frames, SIZE))
    found = [row for name in chosen.method for row in columns(name, chosen, images)]
    titles = dict.fromkeys(title for row in found for title in row)
    rows = [{title: row.get(title, "-") for title in titles} for row in found]
    way = "frames pushed one after another" if chosen.direct else "the next frame encoded in a thread"
    report("runtimes", f"{chosen.precision}, {SIZE[0]}x{SIZE[1]}, {chosen.frames} frames, {way}", rows, chosen)


if __name__ == "__main__":
    main()
