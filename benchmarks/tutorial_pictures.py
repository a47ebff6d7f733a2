"""Make the pictures of the tutorials, of the built-in clip alone, with ``stcn-small``.

python benchmarks/tutorial_pictures.py docs/tutorials
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import rotoscope
from rotoscope.datasets.demo import DemoClip, demo_clip
from rotoscope.evaluation import region_similarity
from rotoscope.masks import contact_sheet, overlay
from rotoscope.masks.mattes import Delivery
from rotoscope.masks.polygons import polygons_of
from rotoscope.runs.segment import segment_to_folder

Picture = NDArray[np.uint8]
CORRECTED = 30
"""The frame that is corrected, as in the tutorial."""
SHOWN = 35
"""The frame that is shown before and after."""


def followed(clip: DemoClip, given: dict[int, dict[int, Any]]) -> list[NDArray[Any]]:
    """Labels of all frames, from masks given."""
    return [np.asarray(prediction.labels) for prediction in rotoscope.segment(clip.frames, given)]


def masks_of(labels: NDArray[Any]) -> dict[int, Any]:
    """The two objects of a frame."""
    return {object_id: labels == object_id for object_id in (1, 2)}


def save(folder: Path, name: str, picture: Picture) -> None:
    """Write a JPEG, and say how large it is."""
    path = folder / f"{name}.jpg"
    Image.fromarray(picture).save(path, "JPEG", quality=80, optimize=True, progressive=True)
    print(f"{path}: {picture.shape[1]}x{picture.shape[0]}, {path.stat().st_size / 1000:.0f} kB")


def correcting(clip: DemoClip, before: list[NDArray[Any]], after: list[NDArray[Any]]) -> Picture:
    """The part of a frame where both differ most."""
    changed = (before[SHOWN] != after[SHOWN]).astype(np.float32)
    heat = cv2.boxFilter(changed, -1, (320, 220), normalize=False)
    y, x = np.unravel_index(int(heat[110:-110, 160:-160].argmax()), (480 - 220, 854 - 320))
    part = slice(int(y), int(y) + 220), slice(int(x), int(x) + 320)
    pictures = [overlay(clip.frames[SHOWN], labels[SHOWN])[part] for labels in (before, after)]
    captions = [f"frame {SHOWN}", f"frame {SHOWN}, corrected on {CORRECTED}"]
    return contact_sheet(pictures, 2, captions, 480)


def exporting(clip: DemoClip, labels: list[NDArray[Any]]) -> Picture:
    """One frame as several formats show it, by the very writers."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "out"
        with rotoscope.open_video(clip.frames[:25]) as video:
            formats = ["palette", "greenscreen", "blur", "png"]
            given = {0: masks_of(clip.labels[0])}
            model = rotoscope.load("stcn-small")
            segment_to_folder(video, given, model, out, output_formats=formats, delivery=Delivery())
        cut = np.array(Image.open(out / "png/00020.png").convert("RGBA")).astype(np.float32)
        films = [rotoscope.open_video(out / f"{name}.mp4")[20].image for name in ("greenscreen", "blur")]
    rows, columns = np.mgrid[:480, :854] // 16
    checkers = np.where((rows + columns) % 2, 200.0, 240.0)[..., None]
    share = cut[..., 3:] / 255
    on_checkers = (cut[..., :3] * share + checkers * (1 - share)).astype(np.uint8)
    outlines = clip.frames[20].copy()
    for object_id, line in ((1, (255, 80, 80)), (2, (90, 230, 120))):
        for polygon in polygons_of(labels[20] == object_id, 1.0):
            for ring in polygon.rings:
                cv2.polylines(outlines, [np.round(ring).astype(np.int32)], True, line, 2, cv2.LINE_AA)
    pictures = [clip.frames[20], on_checkers, *films, outlines]
    return contact_sheet(pictures, 3, ["the frame", "png, on checkers", "greenscreen", "blur", "shapes"], 320)


def evaluating(clip: DemoClip, labels: list[NDArray[Any]]) -> Picture:
    """J over the frames."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 2.6), dpi=110, layout="constrained")
    for object_id, name in ((1, "person"), (2, "cup")):
        inner = range(1, len(labels) - 1)
        scores = [region_similarity(labels[t] == object_id, clip.labels[t] == object_id) for t in inner]
        axes.plot(list(inner), scores, label=f"{name}: mean {np.mean(scores):.3f}")
    axes.set(xlabel="frame", ylabel="J", ylim=(0, 1.02), xlim=(0, len(labels) - 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", frameon=False)
    figure.canvas.draw()
    drawn: Any = figure.canvas
    picture = np.asarray(drawn.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return picture


def main() -> int:
    """All of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    clip = demo_clip()
    first = masks_of(clip.labels[0])
    before = followed(clip, {0: first})
    shown = (0, 20, 40, 59)
    drawn = [overlay(clip.frames[t], before[t]) for t in shown]
    save(folder, "first-clip", contact_sheet(drawn, 4, [f"frame {t}" for t in shown], 300))
    crossing = (24, 30, 36)
    close = [overlay(clip.frames[t], before[t])[60:, 100:700] for t in crossing]
    save(folder, "many-objects", contact_sheet(close, 3, [f"frame {t}" for t in crossing], 320))
    after = followed(clip, {0: first, CORRECTED: masks_of(clip.labels[CORRECTED])})
    save(folder, "correcting", correcting(clip, before, after))
    save(folder, "evaluating", evaluating(clip, before))
    save(folder, "exporting", exporting(clip, before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
