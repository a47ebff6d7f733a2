"""What do COSNet's references cost, with features kept and computed again, and what does the CRF?"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

import numpy as np

from common import SIZE, options, peak, report
from rotoscope.experiments.speed import method_to_time, moving_frames
from rotoscope.methods.base import Method
from rotoscope.video import open_video


def seconds(model: Method, clip: np.ndarray[Any, Any], frames: int, **asked: Any) -> float:
    """Seconds a frame of a clip's last ``frames`` frames; any of the clip's may be references."""
    with open_video(clip) as video:
        session = model.session(video, **asked)
        for index in range(len(clip) - frames):
            session.push(video[index])
        begun = time.perf_counter()
        for index in range(len(clip) - frames, len(clip)):
            session.push(video[index])
        return (time.perf_counter() - begun) / frames


def main() -> None:
    chosen = options(__doc__, frames=5, method="cosnet", weights="", sampling="uniform", precision="fast")
    model = method_to_time(chosen.method, chosen.weights or None, chosen.precision)
    clip = np.stack(moving_frames(2 * chosen.frames, SIZE))
    rows: list[dict[str, Any]] = []
    for references in (0, 1, 5):
        row: dict[str, Any] = {"references": references}
        for name, cached in (("features kept (s)", True), ("computed again (s)", False)):
            asked = {"references": references, "sampling": chosen.sampling, "cached": cached}
            row[name] = seconds(model, clip, chosen.frames, **asked)
        rows.append(row | {"peak (MiB)": peak()})
    if find_spec("pydensecrf") is not None:
        spent = seconds(model, clip, chosen.frames, references=0, crf=True)
        rows.append(
            {"references": "0, with CRF", "features kept (s)": spent, "computed again (s)": "", "peak (MiB)": peak()}
        )
    report(
        "references", f"{chosen.method}, {chosen.precision}, 854x480, {chosen.sampling}, seconds a frame", rows, chosen
    )


if __name__ == "__main__":
    main()
