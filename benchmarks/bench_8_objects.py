"""How does the time of a frame grow with the number of objects, method beside method?"""

from __future__ import annotations

from statistics import median
from typing import Any

from common import SIZE, options, report
from rotoscope.experiments.speed import method_to_time, time_session


def main() -> None:
    chosen = options(
        __doc__,
        methods="giel-small-fast,giel-small,stcn-small",
        objects=6,
        frames=10,
        rounds=3,
        precision="fast",
    )
    names = chosen.methods.split(",")
    models = {name: method_to_time(name, None, chosen.precision) for name in names}
    spent: dict[tuple[str, int], list[float]] = {}
    for _ in range(chosen.rounds):  # in turns: a machine that slows down slows all of them
        for count in range(1, chosen.objects + 1):
            for name, model in models.items():
                spent.setdefault((name, count), []).append(time_session(model, SIZE, count, chosen.frames).per_frame)
    rows: list[dict[str, Any]] = []
    for count in range(1, chosen.objects + 1):
        row: dict[str, Any] = {"objects": count}
        for name in names:
            now, one = median(spent[name, count]), median(spent[name, 1])
            row |= {f"{name} (s)": now, f"{name}, against one": now / one}
        rows.append(row)
    report("objects", f"seconds a frame, {chosen.precision}, 854x480, median of {chosen.rounds}", rows, chosen)


if __name__ == "__main__":
    main()
