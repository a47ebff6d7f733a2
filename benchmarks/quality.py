"""J and F on a folder in the DAVIS layout, the first mask of each clip given, first and last frame left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import options, report
from rotoscope.evaluation import contour_accuracy, region_similarity
from rotoscope.experiments.speed import method_to_time
from rotoscope.masks import overlay
from rotoscope.masks.saving import save_png
from rotoscope.methods.base import Method
from rotoscope.video import open_video


def clip_scores(
    model: Method, frames: Path, masks: Path, extra: dict[str, Any], pictures: Path | None
) -> dict[str, Any]:
    """Scores of one clip; every tenth overlay goes to ``pictures``."""
    paths = sorted(masks.glob("*.png"))
    session = model.session(**extra)
    scores: list[tuple[float, float]] = []
    with open_video(frames) as video:
        for frame, path in zip(video, paths, strict=True):
            truth = np.array(Image.open(path)) > 0
            if frame.index == 0:
                session.add({1: truth})
            found = session.push(frame)[0].labels == 1
            if pictures is not None and frame.index % 10 == 0:
                drawn = overlay(frame.image, found.astype(np.uint8))
                save_png(pictures / f"{frames.name}_{frame.index:03d}.png", drawn[..., ::-1])
            scores.append((region_similarity(found, truth), contour_accuracy(found, truth)))
    inner = np.array(scores[1:-1])
    return {"clip": frames.name, "J": float(inner[:, 0].mean()), "F": float(inner[:, 1].mean())}


def main() -> None:
    chosen = options(__doc__, method="stcn-small", data="../shared/data/davis-dev", session="", pictures="")
    extra = dict(pair.split("=") for pair in chosen.session.split(",") if pair)
    known = {key: int(value) if value.isdecimal() else value == "True" if value in ("True", "False") else value
             for key, value in extra.items()}  # fmt: skip
    model = method_to_time(chosen.method, None, "fast")
    root = Path(chosen.data)
    clips = sorted(p for p in (root / "JPEGImages" / "480p").iterdir() if p.is_dir())
    pictures = Path(chosen.pictures) if chosen.pictures else None
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    rows = [clip_scores(model, clip, root / "Annotations" / "480p" / clip.name, known, pictures) for clip in clips]
    rows.append({"clip": "mean", **{key: float(np.mean([row[key] for row in rows])) for key in ("J", "F")}})
    report("quality", f"{chosen.method} {chosen.session or 'with its defaults'} on {root.name}", rows, chosen)


if __name__ == "__main__":
    main()
