"""The archive that a benchmark's server takes, packed from a folder of masks and checked by reading it back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rotoscope.datasets.sequences import VideoDataset, VideoSequence
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.evaluation.protocol import Protocol
from rotoscope.evaluation.truth import Truth
from rotoscope.files import atomic_write
from rotoscope.masks.palette import davis_palette
from rotoscope.runs.dataset import folder_of
from rotoscope.video.images import ImageSequence
from rotoscope.video.limits import open_picture

SERVERS = {"youtubevos": "Annotations", "davis16": "", "davis17": "", "mose": "", "lvos": "Annotations"}
"""Folder that a server looks for sequences in, by data set; of others none is known, and they stand at the top."""
MOST_ID = 254
"""Largest id in an 8-bit mask; 255 reads as unknown."""


@dataclass(frozen=True)
class Packed:
    """What was packed, and read back.

    Attributes:
        path: the archive.
        sequences, frames: how many are in it.
        bytes: its size.
    """

    path: Path
    sequences: int
    frames: int
    bytes: int


@dataclass(frozen=True)
class Expected:
    """What a server expects of one mask.

    Attributes:
        entry: its name in the archive.
        frame: its frame's name.
        image: the frame's file, whose size it has.
        ids: that may be in it: objects that have appeared by then.
    """

    entry: str
    frame: str
    image: Path
    ids: frozenset[int]


def expected(sequence: VideoSequence, protocol: Protocol, folder: str) -> Iterator[Expected]:
    """Masks that a server expects of a sequence, in order of time.

    Args:
        sequence: with its images.
        protocol: says which objects there are.
        folder: of the archive that sequences stand in; empty for its top.
    """
    wanted = set(sequence.submitted or sequence.images)
    order = {frame: index for index, frame in enumerate(sequence.images)}
    slots = frozenset(range(1, protocol.proposals + 1))
    first = Truth.first_frames(sequence, protocol) if protocol.task == "semi" else None
    for frame, index in order.items():
        if frame in wanted:
            ids = slots if first is None else frozenset(i for i, begun in first.items() if order.get(begun, 0) <= index)
            entry = "/".join([*([folder] if folder else []), sequence.name, f"{frame}.png"])
            yield Expected(entry, frame, sequence.images[frame], ids)


def check_images(dataset: VideoDataset) -> None:
    """See that every image can be read: a server wants a mask of each, and hours of work would end without an archive.

    Raises:
        InputError: one cannot.
    """
    for sequence in dataset:
        with ImageSequence(list(sequence.images.values()), sequence.name) as video:
            for _ in video:
                pass
            if video.problems:
                raise InputError(f"{video.problems[0]}. The archive needs a mask of it: fetch the data set again.")


def pack(dataset: VideoDataset, protocol: Protocol, masks: Path, archive: Path) -> Packed:
    """Pack masks as the data set's server takes them, and read the archive back.

    Args:
        dataset: what was segmented.
        protocol: how.
        masks: a folder per sequence, of palette PNGs named as the frames.
        archive: the zip file to write; it appears only if it is as it should be.

    Raises:
        InputError: a mask is not there.
        RotoscopeError: what was packed is not what the server expects; the first faults are named.
    """
    folder = SERVERS.get(dataset.kind, "")
    frames = 0
    with atomic_write(archive) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:  # PNGs are compressed already
            for sequence in dataset:
                for mask in expected(sequence, protocol, folder):
                    source = folder_of(sequence, masks) / f"{mask.frame}.png"
                    if not source.is_file():
                        raise InputError(f"{source}: is not there; the archive needs it. Segment the data set again.")
                    packed.write(source, mask.entry)
                    frames += 1
        faults = faults_of(temporary, dataset, protocol)
        if faults:
            more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
            raise RotoscopeError(f"{archive}: is not what the server takes: {'; '.join(faults[:3])}{more}.")
    return Packed(archive, len(dataset), frames, archive.stat().st_size)


def faults_of(archive: Path, dataset: VideoDataset, protocol: Protocol) -> list[str]:
    """What a server of the data set would not take in an archive, a line each; nothing if it is as it should be.

    Every mask must be there and no other file, be a palette PNG with the palette of DAVIS and the size of its frame,
    and hold ids of objects only that have appeared.

    Args:
        archive: a zip file, packed by whatever program.
        dataset: that it answers.
        protocol: says which objects there are.
    """
    folder = SERVERS.get(dataset.kind, "")
    faults: list[str] = []
    try:
        with zipfile.ZipFile(archive) as packed:
            there = {name for name in packed.namelist() if not name.endswith("/")}
            for sequence in dataset:
                for mask in expected(sequence, protocol, folder):
                    if mask.entry in there:
                        faults += _faults(mask, packed.read(mask.entry))
                    else:
                        faults.append(f"{mask.entry} is missing")
                    there.discard(mask.entry)
    except (zipfile.BadZipFile, OSError) as error:
        return [f"it cannot be read ({error})"]
    return faults + [f"{name} belongs to no frame" for name in sorted(there)]


def _faults(mask: Expected, content: bytes) -> list[str]:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError) as error:
        return [f"{mask.entry} cannot be read ({error})"]
    faults = []
    if picture.format != "PNG" or picture.mode != "P":
        return [f"{mask.entry} is {picture.format} {picture.mode}, not a palette PNG"]
    if picture.getpalette() != davis_palette().ravel().tolist():
        faults.append(f"{mask.entry} has another palette than DAVIS")
    with open_picture(mask.image) as frame:
        size = frame.size
    if picture.size != size:
        faults.append(f"{mask.entry} is {picture.width}x{picture.height}, not of its frame's size")
    strange = [int(i) for i in np.unique(np.asarray(picture)) if i and int(i) not in mask.ids]
    if strange:
        faults.append(f"{mask.entry} holds id(s) {', '.join(map(str, strange[:5]))}, which no object has by then")
    return faults


def check_ids(dataset: VideoDataset, protocol: Protocol) -> None:
    """Refuse, before anything is segmented, a set whose ids do not fit a server's masks.

    Raises:
        InputError: an id over 254.
    """
    if protocol.task != "semi":
        return
    for sequence in dataset:
        most = max(Truth.first_frames(sequence, protocol), default=0)
        if most > MOST_ID:
            raise InputError(f"{sequence.name}: has object {most}; masks of a server hold ids up to {MOST_ID}.")
