"""Soft masks as videos and pictures for other programs take them: of which objects, with what alpha; kept on disk."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, WriteError, shown
from rotoscope.files import atomic_write, inside, make_folder
from rotoscope.masks.guided import refine
from rotoscope.masks.palette import parse_colour
from rotoscope.masks.saving import Segmented

AlphaKind = Literal["straight", "premultiplied"]
TOGETHER = 0
"""In place of an id: the matte of all objects that are asked for."""
SURE = 0.95
"""Probability from which on an object is opaque, and below one less this nothing is seen of it.

Inside of objects networks are sure by 0.97 or so, through which one would see the new background.
"""
LEVELS = 4095
"""Levels above 0 that mattes are kept with. More would keep the noise of a network's certainty, and take the room."""


@dataclass(frozen=True)
class Delivery:
    """How objects are shown in videos and pictures: in those for other programs, and in the overlay.

    Attributes:
        objects: ``all`` of them together; ``each`` in a file of its own; or the ids of those that are shown, together.
        alpha: ``straight``: colours are those of the source, also where alpha is small. ``premultiplied``: they are
            multiplied by alpha, as over black.
        refine: bring edges to those of the picture; see :func:`rotoscope.masks.guided.refine`.
        names: what objects are called in EXR, with their ids; ``object_ID`` unless given.
        colours: of objects in the overlay, ``#rrggbb``, with their ids; the palette's unless given.
    """

    objects: Literal["all", "each"] | tuple[int, ...] = "all"
    alpha: AlphaKind = "straight"
    refine: bool = False
    names: tuple[tuple[int, str], ...] = ()
    colours: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(
        cls,
        objects: str | Sequence[int] = "all",
        alpha: str = "straight",
        refine: bool = False,
        names: Mapping[int, str] | None = None,
        colours: Mapping[int, str] | None = None,
    ) -> Delivery:
        """What a caller means by ``each``, ``1,3`` or a list of ids; colours are read by ``parse_colour``.

        Raises:
            InputError: no such alpha; ids that are not 1 to 65535; a name that no layer can have; or no colour.
        """
        if alpha not in get_args(AlphaKind):
            raise InputError(f"alpha {alpha!r} is not known; use {' or '.join(get_args(AlphaKind))}.")
        if not isinstance(refine, bool):
            raise InputError(f"refine is {refine!r}; give True or False.")
        called, painted = _checked_names(names or {}), _checked_colours(colours or {})
        strange = [i for i in (*(names or {}), *(colours or {})) if not 0 < i < 65536]
        if strange:
            raise InputError(f"object {strange[0]} cannot be: ids are 1 to 65535.")
        if isinstance(objects, str) and objects in ("all", "each"):
            return cls(objects, alpha, refine, called, painted)  # type: ignore[arg-type]
        given = re.split(r"[,\s]+", objects.strip(", ")) if isinstance(objects, str) else list(objects)
        ids = [int(one) if isinstance(one, str) and one.isdecimal() else one for one in given]
        if not ids or not all(isinstance(i, int) and not isinstance(i, bool) and 0 < i < 65536 for i in ids):
            raise InputError(f"objects {objects!r}: give all, each, or ids such as 1,3.")
        return cls(tuple(sorted({int(i) for i in ids})), alpha, refine, called, painted)  # type: ignore[arg-type]

    def mattes(self, item: Segmented) -> dict[int, NDArray[np.float32]]:
        """The mattes of a frame by id, ``[H, W]`` in [0, 1]; one of all together is under :data:`TOGETHER`."""
        soft = np.asarray(item.probabilities[1:].cpu(), np.float32)
        if self.objects == "each":
            return dict(zip(item.object_ids, map(solid, soft), strict=True))
        wanted = [n for n, i in enumerate(item.object_ids) if self.objects == "all" or i in self.objects]
        if self.objects == "all" and wanted:
            return {TOGETHER: solid(1 - np.asarray(item.probabilities[0].cpu(), np.float32))}
        return {TOGETHER: solid(soft[wanted].sum(axis=0))}

    def layer_of(self, object_id: int) -> str:
        """The name of an object's layer in EXR."""
        return dict(self.names).get(object_id, f"object_{object_id}")

    def paints(self) -> dict[int, tuple[int, int, int]]:
        """The colours that are given, RGB in [0, 255] by id."""
        return {i: parse_colour(colour) for i, colour in self.colours}

    def check_objects(self, known: Collection[int]) -> None:
        """See that objects asked for are among those given.

        Raises:
            InputError: one is not.
        """
        asked = {"shown": () if isinstance(self.objects, str) else self.objects}
        asked |= {"named": tuple(dict(self.names)), "coloured": tuple(dict(self.colours))}
        for what, ids in asked.items():
            missing = [i for i in ids if i not in known]
            if missing:
                there = ", ".join(map(str, sorted(known)))
                raise InputError(f"object {missing[0]} is to be {what}, but the objects given are {there}.")


def _checked_names(names: Mapping[int, str]) -> tuple[tuple[int, str], ...]:
    """Names of layers by id, in order.

    Raises:
        InputError: one would not be a layer of its own.
    """
    for name in names.values():
        if not re.fullmatch(r"[^\W\d]\w{0,99}", name, re.ASCII):
            raise InputError(f"{shown(name)!r} cannot be the name of a layer. Use letters, digits and _.")
    if len(set(names.values())) < len(names):
        raise InputError("two objects have one name. Give each its own.")
    for object_id, name in names.items():
        other = re.fullmatch(r"object_(\d+)", name)
        if other and int(other[1]) != object_id and int(other[1]) not in names:
            raise InputError(f"{name} is what object {int(other[1])} is called. Give object {object_id} another name.")
    return tuple(sorted(names.items()))


def _checked_colours(colours: Mapping[int, str]) -> tuple[tuple[int, str], ...]:
    """Colours by id, in order, each written in one way.

    Raises:
        InputError: one is no colour.
    """
    values = {i: parse_colour(text) for i, text in sorted(colours.items())}
    return tuple((i, f"#{red:02x}{green:02x}{blue:02x}") for i, (red, green, blue) in values.items())


def solid(probability: NDArray[Any]) -> NDArray[np.float32]:
    """Alpha of a probability: sure is opaque, or nothing; between, it is proportional. See :data:`SURE`."""
    return np.asarray(((probability - (1 - SURE)) / (2 * SURE - 1)).clip(0, 1), np.float32)


def edges(matte: NDArray[np.float32], image: NDArray[np.uint8] | None, delivery: Delivery) -> NDArray[np.float32]:
    """A matte with its edges refined, if that is asked for; ``image`` is RGB ``[H, W, 3]``."""
    if not delivery.refine:
        return matte
    if image is None:
        raise InputError("edges are refined with the frame's image.")
    return refine(image, matte)


class MatteStore:
    """Keeps the mattes of each frame in a folder until videos are made of them; a writer of masks.

    A file a frame, ``NUMBER.npz``: ids, and all mattes as one 16-bit PNG below each other, of :data:`LEVELS` levels.

    Args:
        folder: made when the first frame comes.
        delivery: which mattes are kept.
    """

    def __init__(self, folder: Path, delivery: Delivery) -> None:
        self.folder = make_folder(folder)
        self.delivery = delivery

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Keep one frame's mattes."""
        mattes = {i: matte for i, matte in self.delivery.mattes(item).items() if matte.max(initial=0) * LEVELS >= 0.5}
        path = inside(self.folder, f"{item.index:08d}.npz")
        values = [np.round(matte * LEVELS).astype(np.uint16) * 16 for matte in mattes.values()]
        done, coded = True, np.zeros(0, np.uint8)
        if values:
            done, coded = cv2.imencode(".png", np.concatenate(values), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise WriteError(f"{path}: the mattes could not be encoded.")
        with atomic_write(path, durable=False) as temporary, temporary.open("wb") as file:
            np.savez(file, ids=np.array(list(mattes), np.int64), png=coded)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to finish."""

    def read(self, index: int) -> dict[int, NDArray[np.float32]]:
        """The mattes of a frame by id; one that has none or was not answered gives none.

        Raises:
            WriteError: what was kept is damaged.
        """
        path = inside(self.folder, f"{index:08d}.npz")
        if not path.exists():
            return {}
        try:
            with np.load(path) as data:
                ids, coded = data["ids"], data["png"]
            if not len(ids):
                return {}
            values: Any = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
            parts = np.split(values.astype(np.float32) / (16 * LEVELS), len(ids))
        except (OSError, ValueError, KeyError, AttributeError, cv2.error, EOFError):
            raise WriteError(f"{path}: is damaged. Pass --overwrite to start again.") from None
        return {int(i): part for i, part in zip(ids, parts, strict=True)}

    def ids(self) -> list[int]:
        """Ids of all frames' mattes; :data:`TOGETHER` alone where they are kept together."""
        if self.delivery.objects != "each":
            return [TOGETHER]
        ids: set[int] = set()
        for path in self._files():
            with np.load(path) as data:
                ids |= {int(i) for i in data["ids"]}
        return sorted(ids)

    def _files(self) -> Iterator[Path]:
        return (path for path in sorted(self.folder.glob("[0-9]*.npz")))


def names_of(kind: str, suffix: str, ids: Collection[int]) -> dict[int, str]:
    """Names of the videos of a format by id: ``prores.mov``, or ``prores-3.mov`` of one object."""
    return {i: f"{kind}-{i}.{suffix}" if i != TOGETHER else f"{kind}.{suffix}" for i in ids}


def comment(delivery: Delivery, shown: int) -> str:
    """A line that a video keeps about itself."""
    which: Any = f"object {shown}" if shown != TOGETHER else delivery.objects
    which = which if isinstance(which, str) else "objects " + ", ".join(map(str, which))
    return f"Rotoscope: {which if shown else f'{which} together'}; alpha is {delivery.alpha}"
