"""What does a clip answered at once cost, beside a method that goes frame by frame?"""

from __future__ import annotations

from statistics import median
from typing import Any

from common import SIZE, options, report
from rotoscope.experiments.speed import method_to_time, time_session


def main() -> None:
    chosen = options(
        __doc__, method="capsulevos-small", beside="stcn-small", overlaps="1,3,5", clips=4, rounds=3, precision="fast"
    )
    model, other = (method_to_time(name, None, chosen.precision) for name in (chosen.method, chosen.beside))
    clip = model.config.clip
    overlaps = [int(text) for text in chosen.overlaps.split(",")]
    rows: list[dict[str, Any]] = []
    for count in (1, 2, 5):
        spent: dict[int | str, list[float]] = {}
        parts: dict[str, float] = {}
        for _ in range(chosen.rounds):
            for overlap in overlaps:
                # As many frames as a whole number of clips brings, after the first clip.
                new = clip - overlap
                speed = time_session(model, SIZE, count, chosen.clips * new, warm=clip, overlap=overlap)
                spent.setdefault(overlap, []).append(speed.per_frame)
                parts = {name: seconds * new for name, seconds in speed.parts_per_frame.items()}
            spent.setdefault("beside", []).append(time_session(other, SIZE, count, chosen.clips * 5).per_frame)
        first = overlaps[0]
        beside, ours = median(spent["beside"]), median(spent[first])
        row: dict[str, Any] = {"objects": count, f"clip of {clip} (s)": ours * (clip - first)}
        row |= {f"  {name}": seconds for name, seconds in parts.items()}
        row |= {f"a frame, overlap {overlap}": median(spent[overlap]) for overlap in overlaps}
        rows.append(row | {chosen.beside: beside, f"frames for each of its, overlap {first}": beside / ours})
    report("clips", f"{chosen.method}, {chosen.precision}, 854x480, seconds, median of {chosen.rounds}", rows, chosen)


if __name__ == "__main__":
    main()
