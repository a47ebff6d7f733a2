"""How many frames a second does the default method reach, and where does the time go?"""

from __future__ import annotations

from typing import Any

from common import SIZE, options, report
from rotoscope.experiments.speed import method_to_time, time_session


def main() -> None:
    chosen = options(__doc__, frames=60, method="stcn-small")
    rows: list[dict[str, Any]] = []
    model = method_to_time(chosen.method, None, "fast")
    own = model.config.max_short_side or SIZE[1]
    for side in sorted({own, 192, 256}, reverse=True):
        speed = time_session(model, SIZE, 1, chosen.frames, memory="lfu:4", short_side=side)
        row: dict[str, Any] = {"short side": f"{side}{' (default)' if side == own else ''}", "frames/s": speed.rate}
        rows.append(row | {f"{part} (s)": seconds for part, seconds in speed.parts_per_frame.items()})
    report("small", f"{chosen.method}, fast, 854x480, 1 object, lfu:4", rows, chosen)


if __name__ == "__main__":
    main()
