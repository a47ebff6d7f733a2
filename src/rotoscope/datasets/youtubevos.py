"""YouTube-VOS 2018 and 2019 in their published layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rotoscope.datasets.folders import IMAGES, MASKS, by_stem, files_in, read_list
from rotoscope.datasets.sequences import ObjectFacts, VideoDataset, VideoSequence
from rotoscope.datasets.spec import Spec
from rotoscope.errors import InputError, shown
from rotoscope.files import is_plain_name, text_of
from rotoscope.limits import limit

SPLITS = ("train", "valid", "valid_all_frames", "test", "test_all_frames")


def youtubevos(spec: Spec) -> VideoDataset:
    """``SPLIT/JPEGImages/VIDEO``, ``SPLIT/Annotations/VIDEO``, ``SPLIT/meta.json``; or one split's folder itself.

    ``meta.json`` says of each object its category and frames; objects may start late. The folders of all frames
    (``valid_all_frames``) bring no masks of their own: masks and ``meta.json`` are those of ``valid`` beside them, and
    its frames are those that the server takes.
    A category is *seen* if it is one of the training split's (``train/meta.json`` beside it) or stands in the file
    ``seen=FILE``, a category a line; with neither it is not known. Split ``valid`` unless said.

    Raises:
        InputError: folders or ``meta.json`` are not there or not of this form.
    """
    root = spec.path
    if "split" not in spec.options and (root / "meta.json").exists():
        folder, split = root, root.name
    else:
        split = spec.options.get("split", "valid")
        folder = root / split
        if not folder.is_dir():
            there = ", ".join(s for s in SPLITS if (root / s).is_dir()) or "none"
            raise InputError(f"{root}: no folder of split {split!r}; there are {there}.")
    annotated = folder.parent / folder.name.removesuffix("_all_frames")
    if not (folder / "JPEGImages").is_dir():
        raise InputError(f"{folder}: no JPEGImages in it. Give the folder that holds {split}/JPEGImages.")
    videos = _meta(annotated / "meta.json")
    seen, notes = _seen_categories(spec, folder, split)
    sequences = []
    for name, video in videos.items():
        images = by_stem(files_in(folder / "JPEGImages" / name, IMAGES))
        masks = by_stem(files_in(annotated / "Annotations" / name, MASKS))
        if not images:
            notes.append(f"{folder / 'JPEGImages' / name}: missing, the video has no images")
        if not masks:
            notes.append(f"{annotated / 'Annotations' / name}: missing, the video has no masks")
        sparse = by_stem(files_in(annotated / "JPEGImages" / name, IMAGES)) if annotated != folder else {}
        objects = {int(i): _facts(entry, seen) for i, entry in video["objects"].items()}
        listed = sorted({frame for facts in objects.values() for frame in facts.frames})
        sequences.append(
            VideoSequence(
                name=name,
                frames=tuple(images) or tuple(listed),
                images=images,
                annotations={stem: (path,) for stem, path in masks.items()},
                objects=objects,
                submitted=tuple(sparse) or (tuple(listed) if annotated != folder else ()),
            )
        )
    others = {
        other: frozenset(_meta(folder.parent / other / "meta.json"))
        for other in SPLITS
        if folder.parent / other != annotated and (folder.parent / other / "meta.json").exists()
    }
    return VideoDataset(str(spec), spec.kind, root, split, tuple(sequences), others, tuple(notes[:12]))


def _facts(entry: dict[str, Any], seen: frozenset[str] | None) -> ObjectFacts:
    category = entry.get("category")
    known = None if seen is None or category is None else category in seen
    return ObjectFacts(category, known, tuple(str(frame) for frame in entry.get("frames", ())))


def _meta(path: Path) -> dict[str, Any]:
    """The videos of a ``meta.json``."""
    text = text_of(path, limit("json"))
    if text is None:
        raise InputError(f"{path}: missing. It comes with the data set; put it there.")
    try:
        videos: dict[str, Any] = json.loads(text)["videos"]
        for name, video in videos.items():
            _check(name, video)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        told = shown(f"{type(error).__name__}: {error}", 120)
        raise InputError(f"{path}: not a meta.json of YouTube-VOS ({told}).") from None
    return videos


def _check(name: str, video: Any) -> None:
    """Refuse a video whose names are no names, or whose objects have no ids.

    Raises:
        ValueError: says which.
    """
    if not is_plain_name(name):
        raise ValueError(f"video {name!r} is no name of a folder")
    for object_id, entry in video["objects"].items():
        if not 0 < int(object_id) < 65536:
            raise ValueError(f"video {name}: object id {object_id}")
        frames = entry.get("frames", ())
        if not all(is_plain_name(str(frame)) for frame in frames) or not isinstance(entry.get("category", ""), str):
            raise ValueError(f"video {name}: object {object_id} has frames or a category that are no names")


def _seen_categories(spec: Spec, folder: Path, split: str) -> tuple[frozenset[str] | None, list[str]]:
    """Categories that training shows, and a note if they are not known."""
    if "seen" in spec.options:
        path = Path(spec.options["seen"])
        if not path.exists():
            raise InputError(f"{path}: no such list of seen categories.")
        return frozenset(read_list(path)), []
    training = folder / "meta.json" if split == "train" else folder.parent / "train" / "meta.json"
    if training.exists():
        videos = _meta(training).values()
        return frozenset(o["category"] for v in videos for o in v["objects"].values() if "category" in o), []
    return None, [
        f"seen categories are not known: put train/meta.json into {folder.parent}, or add ?seen=FILE (one a line)"
    ]
