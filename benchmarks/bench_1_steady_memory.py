"""Does memory stay flat? Streams a long clip, of two objects where masks are given, and watches the process."""

from __future__ import annotations

import time
from typing import Any

from common import SIZE, options, peak, report, resident
from rotoscope.experiments.speed import method_to_time, moving_frames, push_and_see, squares


def main() -> None:
    chosen = options(__doc__, frames=10_000, method="stcn-small", memory="lfu:4", size=None)
    model = method_to_time(chosen.method, None, "fast")
    policy = "memory" in model.inference_options
    wanted = {"memory": chosen.memory if policy else None, "short_side": chosen.size or None}
    extra = {name: value for name, value in wanted.items() if value and name in model.inference_options}
    session = model.session(**extra)
    images = moving_frames(200, SIZE)
    if model.task == "semi":
        session.add(squares(2, SIZE))
    rows: list[dict[str, Any]] = []
    marks = {500, *range(chosen.frames // 5, chosen.frames + 1, max(chosen.frames // 5, 1))}
    begun = time.perf_counter()
    for number in range(1, chosen.frames + 1):
        push_and_see(session, images[number % 200])
        if number in marks:
            rows.append({"frames": number, "resident MiB": resident(), "peak MiB": peak()})
            rows[-1]["seconds per frame"] = (time.perf_counter() - begun) / number
    base = next(row["peak MiB"] for row in rows if row["frames"] >= min(500, chosen.frames))
    growth = 100 * (rows[-1]["peak MiB"] / base - 1)
    settings = ", ".join(f"{name}={value}" for name, value in extra.items()) or "its own settings"
    title = f"{chosen.method}, {settings}, 854x480: peak grows {growth:.2f} % after frame 500"
    report("steady_memory" if chosen.method == "stcn-small" else f"steady_memory_{chosen.method}", title, rows, chosen)


if __name__ == "__main__":
    main()
