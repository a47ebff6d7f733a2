"""How fast is each method on each runtime, on idle cores and beside busy processes?

Every number is of the whole way of a frame from an array to its labels, with the next frame encoded in a thread where
the method can; reading and writing files is not in it. Runtimes take turns, and the best round of each counts.
A measurement ends after ``--frames`` or ``--seconds``, whichever comes first. As they stand, the options take all
methods through all runtimes in less than eight minutes on two idle cores, with the graphs that must be made first;
``--seconds 60 --frames 60 --rounds 3 --method …`` is the long form. ``--glue`` adds what happens where PyTorch keeps
its threads while a runtime has as many.
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
from rotoscope.errors import InputError
from rotoscope.experiments.speed import method_to_time, moving_frames, squares
from rotoscope.methods.base import Method
from rotoscope.runtimes import Served, installed_runtimes

METHODS = [
    "stcn-small",
    "stcn",
    "rvos-small",
    "agame-small",
    "giel-small",
    "cosnet-small",
    "rsis-small",
    "capsulevos-small",
]
WARM = 6
"""Answers that come before those that are timed; of a method that answers clips, those of the first clip."""
WARM_SECONDS = 3.0
"""After so long a slow method is warm from its second answer on."""


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


def answers_of(model: Method, images: np.ndarray[Any, Any], objects: int, direct: bool) -> Iterator[Any]:
    """The answers to a clip; ``direct`` pushes frames one after another, with all threads for each."""
    masks = squares(objects, SIZE) if model.task == "semi" else None
    if not direct:
        yield from rotoscope.segment(images, None if masks is None else {0: masks}, model)
        return
    session = model.session()
    session.add(masks or {})
    for image in images:
        yield from session.push(image)


def rate(model: Method, images: np.ndarray[Any, Any], objects: int, chosen: Any) -> float:
    """Frames a second, over whole clips where a method answers these at once."""
    latency = model.session().latency
    warm, at_once = (latency + 1, latency + 1 - model.config.overlap) if latency else (WARM, 1)
    answers = answers_of(model, images, objects, chosen.direct)
    asked, begun, first = time.perf_counter(), 0.0, 0
    for number, answer in enumerate(answers, 1):
        assert answer.labels is not None  # they are made when they are looked at
        now = time.perf_counter()
        if not first and (number == warm or (number > 1 and not latency and now - asked > WARM_SECONDS)):
            begun, first = now, number
        elif first and (number - first) % at_once == 0:
            timed, taken = number - first, now - begun
            if taken > chosen.seconds or timed + at_once > chosen.frames:
                break
    answers.close()  # type: ignore[attr-defined]
    return timed / taken


def columns(name: str, chosen: Any, images: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """Rows of one method: by number of objects and of busy processes."""
    print(f"{name}: loading, and making graphs that are not kept yet", file=sys.stderr, flush=True)
    models = {"torch": method_to_time(name, None, chosen.precision)}
    for runtime in installed_runtimes():
        if runtime != "torch":
            try:
                models[runtime] = method_to_time(name, None, chosen.precision, runtime)
            except InputError as error:  # a runtime that cannot compute the network has no column in its row
                print(f"{name}: {error}", file=sys.stderr, flush=True)
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
                            best[title] = max(best[title], rate(models[runtime], images, objects, chosen))
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
        frames=40,
        seconds=1.5,
        rounds=2,
        precision="fast",
        glue=False,
        direct=False,
        markdown=False,
    )
    begun = time.perf_counter()
    images = np.stack(moving_frames(2 * WARM + chosen.frames, SIZE))
    found = [row for name in chosen.method for row in columns(name, chosen, images)]
    titles = dict.fromkeys(title for row in found for title in row)
    rows = [{title: row.get(title, "-") for title in titles} for row in found]
    way = "frames pushed one after another" if chosen.direct else "the next frame encoded in a thread"
    report("runtimes", f"{chosen.precision}, {SIZE[0]}x{SIZE[1]}, {way}", rows, chosen)
    if chosen.markdown:
        table = [list(rows[0]), ["---"] * len(rows[0]), *(list(map(str, row.values())) for row in rows)]
        print("\n".join(f"| {' | '.join(line)} |" for line in table))
    print(f"{time.perf_counter() - begun:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
