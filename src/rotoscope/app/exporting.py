"""What a project has found, in every format that ``rotoscope segment`` writes."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rotoscope.app.facts import read_facts
from rotoscope.app.history import TrackedObject
from rotoscope.app.pictures import Mask
from rotoscope.app.project import Project
from rotoscope.errors import InputError
from rotoscope.files import make_folder, remove_tree
from rotoscope.masks.mattes import Delivery, MatteStore
from rotoscope.masks.sequences import exr_library
from rotoscope.masks.writing import SEQUENCES, VIDEOS, WITH_IMAGE, formats, open_writer
from rotoscope.runs.deliver import check_videos, deliver, write_overlay
from rotoscope.video.codings import WITH_ALPHA
from rotoscope.video.writer import h264_encoder
from rotoscope.weights import CATALOGUE


@dataclass(frozen=True, eq=False)
class Answered:
    """One frame's masks, as writers take them; see :class:`~rotoscope.masks.saving.Segmented`."""

    index: int
    name: str
    object_ids: tuple[int, ...]
    labels: Mask
    probabilities: torch.Tensor


class Export:
    """Write a project's masks into a new folder of ``exports/``.

    Making it finds what is wrong with the request.

    Args:
        project: whose masks.
        names: formats, as of ``rotoscope segment --format``.
        delivery: how objects are shown in those for other programs; names and colours are those of the project.

    Raises:
        InputError: an unknown format, none, an object that there is not, or there is no mask yet.
    """

    def __init__(self, project: Project, names: list[str], delivery: Delivery | None = None) -> None:
        self.project = project
        self.delivery = as_named(project, delivery or Delivery())
        self.delivery.check_objects(project.history.by_id)
        self.formats = formats(names)
        if not self.formats:
            raise InputError("choose at least one format.")
        if "overlay" in self.formats:
            self.formats = list(dict.fromkeys(["palette", *self.formats]))
            h264_encoder()
        self.videos = [name for name in self.formats if name in VIDEOS]
        if "exr" in self.formats:
            exr_library()
        check_videos(project.video, self.videos, project.folder)
        self.frames = [i for i in range(project.frames) if project.mask_file(i).exists()]
        if not self.frames:
            raise InputError("there is no mask yet. Point at an object, and run along the clip.")
        number = 1
        while (project.folder / "exports" / str(number)).exists():
            number += 1
        self.folder = project.folder / "exports" / str(number)

    @property
    def steps(self) -> int:
        """How many frames are gone through: once for masks, again for the overlay, and for other videos together."""
        return len(self.frames) + self.project.frames * (("overlay" in self.formats) + bool(self.videos))

    @property
    def needs_images(self) -> bool:
        """Whether frames are written, or looked at, beside their masks."""
        return bool(set(WITH_IMAGE) & set(self.formats)) or ("exr" in self.formats and self.delivery.refine)

    def go(self, tell: Callable[[int], None], stopped: Callable[[], bool]) -> Path:
        """Do it; ``tell`` is told how many steps are done. Return the folder."""
        make_folder(self.folder)
        at_the_end = ("overlay", *self.videos)
        places = {n: self.folder if n == "palette" else self.folder / n for n in self.formats if n not in at_the_end}
        known = sorted(ids_given(self.project))
        writers = [open_writer(name, place, self.delivery, known) for name, place in places.items()]
        kept = self.folder / ".mattes"
        store = MatteStore(kept, self.delivery) if self.videos else None
        writers += [store] if store is not None else []
        done = 0
        for index in self.frames:
            if stopped():
                remove_tree(kept)
                return self.folder
            item = answered(self.project, index)
            image = self.project.frame(index).image if self.needs_images else None
            for writer in writers:
                writer.write(item, image)
            done += 1
            tell(done)
        for writer in writers:
            writer.close()
        count = iter(range(done + 1, self.steps + 1))
        whole = self.project.part(0, None)
        if "overlay" in self.formats:
            path, paints = self.folder / "overlay.mp4", self.delivery.paints()
            write_overlay(whole, self.folder, path, lambda: tell(next(count, self.steps)), paints)
        if store is not None:
            deliver(whole, store, self.videos, self.folder, lambda: tell(next(count, self.steps)))
            remove_tree(kept)
        return self.folder


def answered(project: Project, index: int) -> Answered:
    """The masks of a frame with their probabilities: those given, those found, and what is left for the background."""
    with project.lock:
        labels = project.labels(index)
        known = project.history.prompts.get(index, {}).keys() | project.answers.followed(index) | set(np.unique(labels))
        there = (one for one in project.history.objects if one.ends is None or index < one.ends)
        ids = tuple(one.id for one in there if one.id in known)
        own = [project.mask(index, object_id).astype(np.float32) / 255 for object_id in ids]
    soft: NDArray[Any] = np.stack(own) if own else np.zeros((0, *labels.shape), np.float32)
    total = np.maximum(soft.sum(axis=0, keepdims=True), 1)
    soft = soft / total
    probabilities = np.concatenate([1 - soft.sum(axis=0, keepdims=True), soft])
    return Answered(index, project.video.name_of(index), ids, labels, torch.from_numpy(probabilities.clip(0, 1)))


def as_named(project: Project, delivery: Delivery) -> Delivery:
    """A delivery with the colours that a project's objects have, and with their names as layers of EXR."""
    objects = project.history.objects
    own = Delivery.of(names=layers_of(objects), colours={one.id: one.colour for one in objects})
    return replace(delivery, names=own.names, colours=own.colours)


def layers_of(objects: Iterable[TrackedObject]) -> dict[int, str]:
    """Names of objects as layers can have them: ``Café 2`` is ``Cafe_2``; those of no such letter keep their number.

    Two of one name are told apart by their numbers.
    """
    layers: dict[int, str] = {}
    for one in objects:
        plain = unicodedata.normalize("NFKD", one.name).encode("ascii", "ignore").decode()
        layer = re.sub(r"\W+", "_", plain).strip("_")[:80]
        layer = layer if re.match(r"[A-Za-z_]", layer) else f"object_{one.id}"
        while layer in layers.values():  # a name with a number behind it may be another object's too
            layer = f"{layer}_{one.id}"
        layers[one.id] = layer
    return layers


def ids_given(project: Project) -> set[int]:
    """Objects of which a mask with pixels is given on some frame: those that the command line would know."""
    nothing = project.history.name_of(np.zeros(project.size[::-1], np.uint8))
    known, prompts = project.history.by_id, project.history.prompts.values()
    return {i for masks in prompts for i, name in masks.items() if i in known and name != nothing}


def command_line(project: Project, names: list[str], method: str, delivery: Delivery | None = None) -> str:
    """What to type for the same masks without the page.

    It is exact for masks that were run forward from first to last; those of frames that were run backward, corrected
    while others were left, followed an object deleted since, or locked, it gives anew. It cannot say where an object
    ends: the object is followed to the last frame.
    """
    video = read_facts(project.folder)["video"]["path"]
    words = ["rotoscope", "segment", video, "--mask", str(project.folder / "prompts"), "--output", "masks"]
    words += [] if method == "stcn-small" else ["--method" if method in CATALOGUE else "--weights", method]
    words += ["--format", ",".join(names)] if names != ["palette"] else []
    shown, given = as_named(project, delivery or Delivery()), ids_given(project)
    if set(names) & {*SEQUENCES, *VIDEOS}:
        objects = shown.objects if isinstance(shown.objects, str) else ",".join(map(str, shown.objects))
        words += ["--objects", objects] if objects != "all" else []
        heeded = set(names) & {"png", *WITH_ALPHA}
        words += ["--alpha", shown.alpha] if heeded and shown.alpha != "straight" else []
        words += ["--refine"] if shown.refine else []
    if "exr" in names:
        named = ((i, layer) for i, layer in shown.names if i in given and layer != f"object_{i}")
        words += [word for i, layer in named for word in ("--name", f"{i}={layer}")]
    if "overlay" in names:
        words += [word for i, colour in shown.colours if i in given for word in ("--color", f"{i}={colour}")]
    return shlex.join(words)
