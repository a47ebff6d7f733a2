"""Masks that somebody predicted, in a folder per sequence, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.datasets.codings import LOSSY, VOID, Coding, DamagedMaskError, coding_of, object_ids, read_label_file
from rotoscope.datasets.folders import MASKS, by_stem, files_in, folders_in
from rotoscope.errors import InputError
from rotoscope.masks.values import label_type

PLACES = ("", "480p", "Annotations/480p", "Annotations", "Full-Resolution")
"""Where in a results folder the sequences may stand."""
INSTANCE = "_instance_"
"""In names of files that hold one proposal each: ``00000_instance_03.png``."""
LARGEST_ID = 20
"""Grey values from here to 254 are taken for soft masks, not ids, where a sequence has one object."""


def sequences_root(results: Path, names: list[str]) -> Path:
    """The folder that holds most of the named sequences: the results folder itself or a usual one in it.

    Raises:
        InputError: there is no such folder, or nothing in it.
    """
    if not results.is_dir():
        raise InputError(f"{results}: no such folder of results.")
    counts = {place: sum((results / place / name).is_dir() for name in names) for place in PLACES}
    best = max(PLACES, key=lambda place: counts[place])
    if not counts[best] and not folders_in(results):
        raise InputError(f"{results}: holds no folders; results are a folder of masks per sequence.")
    return results / best


@dataclass
class SequenceResults:
    """One sequence's predicted masks.

    Reading never fails: what cannot be used counts as a mask without any object, and a line in ``problems`` says so.

    Attributes:
        folder: holds ``FRAME.png``, or ``FRAME_instance_NN.png`` for each proposal.
        merged: all ids are one object.
        single: the sequence has one object, so that 0/255 masks can be understood.
        problems: damage, missing frames, wrong sizes; lines.
        warnings: what was read in another way than it stands there; lines.
    """

    folder: Path
    merged: bool = False
    single: bool = False
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _missing: list[str] = field(default_factory=list)
    _sizes: dict[tuple[int, ...], list[str]] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)
    _shown: bool = False
    _faint: Path | None = None

    def __post_init__(self) -> None:
        files = by_stem(files_in(self.folder, MASKS))
        self.unread = () if files or not self.folder.is_dir() else tuple(files_of(self.folder))
        self.files = {stem: path for stem, path in files.items() if INSTANCE not in stem}
        self.instances: dict[str, dict[int, Path]] = {}
        for stem, path in files.items():
            frame, separator, number = stem.partition(INSTANCE)
            if separator and number.isdecimal():
                kept = self.instances.setdefault(frame, {}).setdefault(int(number) + 1, path)
                if kept != path:
                    self.problems.append(f"{path}: is the same proposal as {kept.name}, which counts. Leave one out.")

    @property
    def coding(self) -> Coding:
        """How the files are read."""
        return coding_of(tuple(self.files.values()))

    def extra(self, frames: tuple[str, ...]) -> list[str]:
        """Names of predicted frames that the data set does not have."""
        known = set(frames)
        return [stem for stem in (*self.files, *self.instances) if stem not in known]

    def labels(self, frame: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Predicted labels of a frame, of the truth's shape."""
        empty = np.zeros(shape, np.uint8)
        path = self.files.get(frame)
        if path is None:
            if frame in self.instances:
                masks = self.proposals(frame, shape)
                labels = np.zeros(shape, label_type(masks))
                for number, mask in masks.items():
                    labels[mask] = number
                return labels
            self._missing.append(frame)
            return empty
        try:
            array = read_label_file(path)
        except DamagedMaskError as error:
            self.problems.append(f"{str(error).removesuffix(' Write it again.')} Counted as empty.")
            return empty
        if array.shape[:2] != shape:
            self._sizes.setdefault(array.shape[:2], []).append(frame)
            return empty
        return self._understood(array, path)

    def proposals(self, frame: str, shape: tuple[int, ...]) -> dict[int, NDArray[np.bool_]]:
        """Masks of a frame by number, which may overlap where each has a file; files of another size are resized
        by nearest neighbour, as the RVOS protocol does."""
        if frame not in self.instances:
            labels = self.labels(frame, shape)
            return {i: labels == i for i in object_ids(labels)}
        masks = {}
        for number, path in sorted(self.instances[frame].items()):
            try:
                mask = self._proposal(path)
            except DamagedMaskError as error:
                self.problems.append(f"{str(error).removesuffix(' Write it again.')} Counted as empty.")
                continue
            masks[number] = mask if mask.shape == shape else nearest(mask, shape)
        return masks

    def numbers(self, frames: Iterable[str]) -> list[int]:
        """Numbers of the proposals that some frames show, ascending; files that cannot be read count for nothing."""
        shown: set[int] = set()
        for frame in frames:
            if frame in self.instances:
                for number, path in self.instances[frame].items():
                    with suppress(DamagedMaskError):
                        if number not in shown and self._proposal(path).any():
                            shown.add(number)
            elif frame in self.files:
                with suppress(DamagedMaskError):
                    shown.update(object_ids(self._understood(read_label_file(self.files[frame]), self.files[frame])))
        return sorted(shown)

    def _proposal(self, path: Path) -> NDArray[np.bool_]:
        """The mask of a file that holds one proposal.

        Raises:
            DamagedMaskError: it cannot be read.
        """
        values = grey(read_label_file(path))
        mask: NDArray[np.bool_] = values > (0 if self._hard else white_of(values) // 2)
        self._shown = self._shown or bool(mask.any())
        self._faint = self._faint or (path if values.any() else None)
        return mask

    @cached_property
    def _hard(self) -> bool:
        """Whether whatever is not 0 is the proposal, in files of one each: no file has full white or several values.

        So 0/1 masks are known, in one bit, 8 or 16, and palette indices. The files decide together: where an object
        is hardly there, a soft mask holds 0 and 1 too.
        """
        for path in (path for numbered in self.instances.values() for path in numbered.values()):
            with suppress(DamagedMaskError):  # told when its turn comes
                array = grey(read_label_file(path))
                values = np.unique(array)
                if values[-1] == white_of(array) or np.count_nonzero(values) > 1:
                    return False
        return True

    def finish(self) -> None:
        """Turn what was counted into lines."""
        if self.unread:
            first = self.unread[0]
            why = ", as JPEG changes ids" if first.suffix.lower() in LOSSY else ""
            self.problems.append(
                f"{self.folder}: no mask images but {len(self.unread)} {first.suffix or 'other'} file(s), such as "
                f"{first.name}, which are not read{why}. Counted as empty; write PNG."
            )
        elif self._missing:
            more = f" and {len(self._missing) - 1} more" if len(self._missing) > 1 else ""
            self.problems.append(f"{self.folder}: no mask for frame {self._missing[0]}{more}. Counted as empty.")
        for (height, width), frames in self._sizes.items():
            self.problems.append(
                f"{self.folder}: {len(frames)} mask(s) of {width}x{height}, another size than the truth, such as frame "
                f"{frames[0]}. Counted as empty; write them at the size of the annotations."
            )
        if self._faint is not None and not self._shown:
            self.warnings.append(
                f"{self._faint}: no value is above half of white, as in all proposals of this sequence, so that none "
                "shows anything. Write 0 and 255."
            )

    def _understood(self, array: NDArray[Any], path: Path) -> NDArray[Any]:
        coding = self.coding
        if coding.kind == "table" or array.ndim == 3:
            return self._from_colours(array, path, coding)
        if coding.kind == "white":
            if coding.note or not (self.merged or array.max(initial=0) <= 1):
                self._warn("255", coding.note or f"{path}: 0/255 where ids are expected; 255 read as object 1.")
            return coding.labels(array)
        if self.merged or self.single:
            white = white_of(array)
            soft = (array > LARGEST_ID * white // VOID) & (array < white)
            if soft.any() and int(array.max()) > white // 2 and not _is_palette(path):
                self._warn("soft", f"{path}: grey values read as a soft mask, at 0.5 of {white}.")
                return (array > white // 2).astype(np.uint8)
            if self.merged:
                return (array > 0).astype(np.uint8)
            if array.max(initial=0) == VOID and not ((array > 0) & (array < VOID)).any():
                self._warn("255", f"{path}: 0/255 where ids are expected; 255 read as object 1.")
                return (array > 0).astype(np.uint8)
        elif array.dtype == np.uint8 and (array == VOID).any():
            self._warn("255", f"{path}: value 255 where ids are expected; it counts as background.")
            array = np.where(array == VOID, 0, array).astype(np.uint8)
        return array

    def _from_colours(self, array: NDArray[Any], path: Path, coding: Coding) -> NDArray[np.uint8]:
        """Ids of an RGB image or of grey levels; any colour is the object where there is but one."""
        if self.merged or (self.single and len(coding.table) != 1 and "DAVIS" not in coding.note):
            return (grey(array) > 0).astype(np.uint8)
        self._warn("colours", coding.note or f"{path}: a colour image; ids read by the DAVIS palette.")
        labels = np.asarray(coding.labels(array))
        return np.where(labels == VOID, 0, labels).astype(np.uint8)

    def _warn(self, what: str, line: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self.warnings.append(f"{line} So are others of this sequence, if they are like it.")


def grey(array: NDArray[Any]) -> NDArray[Any]:
    """A mask of one object as grey values; of colours the brightest channel counts."""
    return array if array.ndim == 2 else np.asarray(array.max(axis=2))


def white_of(array: NDArray[Any]) -> int:
    """The largest value of an image of its depth."""
    return VOID if array.dtype == np.uint8 else 65535


def files_of(folder: Path) -> list[Path]:
    """The visible files and folders of a folder."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def nearest(mask: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Resize a mask by nearest neighbour, as Pillow does."""
    resized = Image.fromarray(mask.astype(np.uint8)).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    return np.asarray(resized).astype(mask.dtype)


def _is_palette(path: Path) -> bool:
    """Whether a PNG is a palette image: byte 25 of the file is its colour type."""
    with path.open("rb") as file:
        return file.read(26)[25:26] == b"\x03"
