"""Does a network confuse objects? J, F and pixels given to the wrong object, on clips put together from single objects.

Pairs: the object of each clip of a data set pasted into each other clip. Triples: three clips at once. Look-alikes:
two or three copies of one cut-out that cross, from the photographs that training keeps apart for validation. The masks
of the first frame are given; all frames after it count. Shares are of the pixels whose truth is an object: wrong, given
to another object; missed, to the background; leaked, background given to an object (beside, not among, these pixels).
``--option NAME=VALUE``, any number of times, sets an option of the sessions.

    python benchmarks/pairs.py --dataset davis16:DAVIS --data PHOTOGRAPHS --weights stcn-small --weights NEW.safetensors
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

import rotoscope
from common import options, report
from rotoscope.cli.options import session_options
from rotoscope.datasets.look_alikes import LookAlikes
from rotoscope.datasets.pairs import ComposedClip, MixedClips, all_pairs, some_triples
from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import RotoscopeError
from rotoscope.evaluation import contour_accuracy, region_similarity
from rotoscope.evaluation.confusion import Confusion, confusion
from rotoscope.masks import overlay
from rotoscope.masks.saving import save_png
from rotoscope.methods.base import Method
from rotoscope.weights.catalogue import CATALOGUE
from rotoscope.weights.store import file_hash

SHORT, FULL = 240, 480
"""Short side of the frames in pixels; the second with ``--full``."""
SHOWN = 6
"""Frames of a clip on its picture."""
MEASURES = ("J", "F", "wrong %", "missed %", "leaked %")


class Clips(Protocol):
    """Numbered clips."""

    def __len__(self) -> int: ...

    def clip(self, index: int) -> ComposedClip: ...


def sources(chosen: Any) -> dict[str, Clips]:
    """The parts that what is given allows for; says which are left out, and why."""
    short, frames = FULL if chosen.full else chosen.short_side, chosen.frames or None
    parts: dict[str, Clips] = {}
    if chosen.dataset:
        dataset = open_dataset(chosen.dataset)
        parts = {
            "pairs": MixedClips(all_pairs(dataset), short, frames),
            "triples": MixedClips(some_triples(dataset), short, frames),
        }
    else:
        print("pairs and triples left out: no --dataset NAME:PATH.", file=sys.stderr)
    try:
        held_out = Photographs.open(data_root(chosen.data or None)).split()[1]
        parts["look-alikes"] = LookAlikes(held_out, short, frames)
    except RotoscopeError as error:
        print(f"look-alikes left out: {error}", file=sys.stderr)
    parts = {name: clips for name, clips in parts.items() if len(clips)}
    if not parts:
        raise RotoscopeError("there is nothing to measure with. Give --dataset, --data or both.")
    return parts


def spread(count: int, most: int) -> list[int]:
    """``most`` of ``count`` numbers at even distances; all if ``most`` is 0."""
    if not 0 < most < count:
        return list(range(count))
    return [number * count // most for number in range(most)]


def score(clip: ComposedClip, found: NDArray[Any]) -> dict[str, float]:
    """Measures of label maps ``[T, H, W]`` over all frames but the first; J and F are means over objects."""
    total, values = Confusion(), []
    for ours, theirs in zip(found[1:], clip.labels[1:], strict=True):
        total += confusion(ours, theirs)
        masks = [(ours == i, theirs == i) for i in clip.objects]
        values.append([(region_similarity(a, b), contour_accuracy(a, b)) for a, b in masks])
    region, contour = np.mean(values, axis=(0, 1))
    shares = {f"{name} %": 100 * share for name, share in total.shares().items()}
    return {"J": float(region), "F": float(contour), **shares}


def follow(model: Method, clip: ComposedClip, how: Mapping[str, Any]) -> NDArray[Any]:
    """Labels ``[T, H, W]`` that a method finds from the first frame's masks."""
    given = {0: {i: clip.labels[0] == i for i in clip.objects}}
    return np.stack([np.asarray(p.labels) for p in rotoscope.segment(clip.frames, given, model, **how)])


def picture(path: Path, clip: ComposedClip, found: Mapping[str, NDArray[Any]]) -> None:
    """Frames of a clip side by side with the truth laid over; below, what each of the weights found."""
    moments = np.linspace(0, len(clip.frames) - 1, SHOWN).round().astype(int)
    rows = [
        np.hstack([overlay(clip.frames[t], labels[t]) for t in moments]) for labels in (clip.labels, *found.values())
    ]
    save_png(path, np.vstack(rows)[..., ::-1])


def measured(parts: Mapping[str, Clips], models: Mapping[str, Method], chosen: Any) -> Iterator[dict[str, Any]]:
    """A row for each clip and each of the weights, with a checksum that tells whether two runs had the same clips."""
    how = session_options(others=chosen.option)
    todo = [(part, index) for part, clips in parts.items() for index in spread(len(clips), chosen.clips)]
    for part, index in track(todo, console=Console(stderr=True), description="clips"):
        clip = parts[part].clip(index)
        checksum = zlib.crc32(clip.labels.tobytes(), zlib.crc32(clip.frames.tobytes()))
        facts = {"part": part, "clip": clip.name, "frames": len(clip.frames), "objects": len(clip.objects)}
        found = {}
        for name, model in models.items():
            begun = time.perf_counter()
            found[name] = follow(model, clip, how)
            seconds = time.perf_counter() - begun
            yield facts | {"weights": name, **score(clip, found[name]), "seconds": seconds, "checksum": checksum}
        if chosen.pictures:
            picture(Path(chosen.pictures) / f"{part}_{clip.name.replace('/', '-')}.png", clip, found)


def summed(clips: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Means over the clips of each part, then over all, for each of the weights."""
    rows = []
    for part in (*dict.fromkeys(row["part"] for row in clips), "all"):
        for name in names:
            mine = [row for row in clips if row["weights"] == name and part in (row["part"], "all")]
            means = {measure: float(np.nanmean([row[measure] for row in mine])) for measure in MEASURES}
            rows.append({"": part, "weights": name, "clips": len(mine), **means})
    return rows


def loaded(given: list[str], precision: str) -> dict[str, Method]:
    """Methods by the shortest names that tell them apart."""
    short = [Path(name).stem if Path(name).suffix else name for name in given]
    names = short if len(set(short)) == len(short) else given
    return {name: rotoscope.load(what, precision=precision) for name, what in zip(names, given, strict=True)}


def hashes(names: Iterable[str], given: list[str]) -> dict[str, str | None]:
    """SHA-256 of each weights file, since the weights behind a name change; None for what is not one file."""
    named = {what: CATALOGUE[what].path for what in given if what in CATALOGUE and not Path(what).exists()}
    paths = [named.get(what, Path(what)) for what in given]
    return {n: file_hash(p) if p is not None and p.is_file() else None for n, p in zip(names, paths, strict=True)}


def main() -> None:
    chosen = options(
        __doc__, weights=["stcn-small"], dataset="", data="", short_side=SHORT, full=False, clips=0, frames=0,
        precision="fast", pictures="", option=[],
    )  # fmt: skip
    cv2.setNumThreads(chosen.threads)
    torch.set_num_threads(chosen.threads)
    if chosen.frames == 1:
        sys.exit("error: --frames 1 leaves nothing to measure after the given frame; give 2 or more.")
    if chosen.pictures:
        Path(chosen.pictures).mkdir(parents=True, exist_ok=True)
    try:
        models = loaded(chosen.weights, chosen.precision)
        clips = list(measured(sources(chosen), models, chosen))
    except RotoscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    short = FULL if chosen.full else chosen.short_side
    title = f"clips of several objects, short side {short}, {chosen.precision}; means over clips, first frame left out"
    rows = summed(clips, list(models))
    report("pairs", title, rows, chosen, weights_sha256=hashes(models, chosen.weights), clips=clips)


if __name__ == "__main__":
    main()
