"""FBMS-59, YouTube-Objects, SegTrack v2, and any pair of folders of frames and masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rotoscope.datasets.codings import coding_of
from rotoscope.datasets.folders import (
    IMAGES,
    MASKS,
    by_stem,
    check_listed,
    files_in,
    first_folder,
    folders_in,
    leaf_folders,
    read_list,
)
from rotoscope.datasets.sequences import Codec, VideoDataset, VideoSequence
from rotoscope.datasets.spec import Spec
from rotoscope.errors import InputError
from rotoscope.video.images import natural_key


def fbms(spec: Spec) -> VideoDataset:
    """FBMS-59: ``Trainingset`` and ``Testset``, each ``SEQ/*.jpg`` with ``SEQ/GroundTruth/*``.

    Every frame file is a frame; a mask belongs to the frame whose name it carries (``marple1_001_gt.ppm`` to
    ``marple1_001.jpg``) or whose number it carries. Masks are coloured regions: the background is white, or black
    where no pixel is white, or ``background=R,G,B``. Split ``test`` unless said (``train``, ``all``).

    Raises:
        InputError: folders are not there.
    """
    split = spec.options.get("split", "test")
    folders = {"train": ("Trainingset",), "test": ("Testset",), "all": ("Trainingset", "Testset")}
    if split not in folders:
        raise InputError(f"{spec}: split {split!r} is not known; use train, test or all.")
    background = _colour(spec)
    sequences, notes = [], []
    for part in folders[split]:
        for folder in folders_in(_either(spec.path, part)):
            images = by_stem(files_in(folder, IMAGES - {".pgm"}))
            truth = next((f for f in folders_in(folder) if f.name.lower() == "groundtruth"), folder)
            suffixes = MASKS if truth != folder else frozenset({".pgm"})
            masks = _of_frames(files_in(truth, suffixes), images)
            if not masks:
                notes.append(f"{folder.name}: no masks")
            sequences.append(
                VideoSequence(
                    folder.name,
                    tuple(images),
                    images,
                    {stem: (path,) for stem, path in masks.items()},
                    codec="regions",
                    background=background,
                )
            )
    if not sequences:
        raise InputError(f"{spec.path}: no sequence in {' or '.join(folders[split])}.")
    others = {
        name: frozenset(p.name for part in parts for p in folders_in(_either(spec.path, part, missing=True)))
        for name, parts in folders.items()
        if name not in (split, "all")
    }
    return VideoDataset(str(spec), spec.kind, spec.path, split, tuple(sequences), others, tuple(notes))


def _either(root: Path, part: str, missing: bool = False) -> Path:
    """``Testset``, also as ``FBMS_Testset/Testset`` (how the archives unpack)."""
    for place in (root / part, root / f"FBMS_{part}" / part, root / f"FBMS_{part}"):
        if place.is_dir():
            return place
    if missing:
        return root / part
    raise InputError(f"{root}: no folder {part} in it. Give the folder that holds it.")


def _colour(spec: Spec) -> tuple[int, int, int] | None:
    if "background" not in spec.options:
        return None
    parts = spec.options["background"].split(",")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise InputError(f"{spec}: background is written R,G,B, such as 255,255,255.")
    return int(parts[0]), int(parts[1]), int(parts[2])


def _of_frames(masks: list[Path], images: dict[str, Path]) -> dict[str, Path]:
    """Masks by the frame they belong to: by name, by name less ``_gt``, else by the last number in the name."""
    numbers = {_number(stem): stem for stem in images}
    file_of = {}
    for path in masks:
        bare = path.stem.removesuffix("_gt").removesuffix("_GT")
        frame = bare if bare in images else numbers.get(_number(bare))
        if frame is not None:
            file_of[frame] = path
    return {stem: file_of[stem] for stem in images if stem in file_of}


def _number(stem: str) -> int | None:
    numbers = [part for part in natural_key(Path(stem)) if part[0] == 0]
    return numbers[-1][1] if numbers else None


def youtubeobjects(spec: Spec) -> VideoDataset:
    """YouTube-Objects with pixel masks: ``JPEGImages/CATEGORY/VIDEO``, masks alike in ``Annotations``.

    Any depth under the category is taken; a sequence is named by its path. Masks may be sparse (every tenth frame)
    and hold one object, whatever is not 0.

    Raises:
        InputError: folders are not there.
    """
    frames = first_folder(spec.path, "JPEGImages", "images", "Videos", "frames")
    masks = first_folder(spec.path, "Annotations", "GroundTruth", "SegmentationMasks", "labels", "masks")
    sequences, notes = walk(frames, masks, "binary")
    named = tuple(
        VideoSequence(s.name, s.frames, s.images, s.annotations, s.codec, category=s.name.split("/")[0])
        for s in sequences
    )
    return VideoDataset(str(spec), spec.kind, spec.path, "", named, {}, tuple(notes))


def segtrack(spec: Spec) -> VideoDataset:
    """SegTrack v2: ``JPEGImages/SEQ``, ``GroundTruth/SEQ/*`` or, for several objects, ``GroundTruth/SEQ/1/*``, ….

    Frames and masks with different names are paired in order where there are as many.

    Raises:
        InputError: folders are not there, or masks cannot be told to which frames they belong.
    """
    frames, masks = first_folder(spec.path, "JPEGImages"), first_folder(spec.path, "GroundTruth", "Annotations")
    sequences, notes = [], []
    for folder in folders_in(frames):
        images = by_stem(files_in(folder, IMAGES))
        parts = folders_in(masks / folder.name) or [masks / folder.name]
        columns = []
        for part in parts:
            files = files_in(part, MASKS | {".jpg"})
            paired = {p.stem: p for p in files if p.stem in images}
            if files and len(paired) < len(files):
                if len(files) != len(images):
                    raise InputError(f"{part}: {len(files)} masks for {len(images)} frames, and other names.")
                paired = dict(zip(images, files, strict=True))
            columns.append(paired)
        common = [stem for stem in images if all(stem in column for column in columns)]
        if not common:
            notes.append(f"{folder.name}: no masks")
        codec: Codec = "objects" if len(parts) > 1 else "binary"
        annotations = {stem: tuple(column[stem] for column in columns) for stem in common}
        sequences.append(VideoSequence(folder.name, tuple(images), images, annotations, codec))
    return VideoDataset(str(spec), spec.kind, spec.path, "", tuple(sequences), {}, tuple(notes))


def pairs(spec: Spec) -> VideoDataset:
    """Any folder with ``JPEGImages`` and ``Annotations``, the sequences in folders under both, at any depth.

    Index masks or 0/255 masks, told apart by what the first holds. ``split=NAME`` takes the sequences of
    ``ImageSets/NAME.txt``.

    Raises:
        InputError: folders or the list are not there, or a sequence that it names.
    """
    frames = first_folder(spec.path, "JPEGImages", "images", "frames")
    masks = first_folder(spec.path, "Annotations", "masks", "GroundTruth", "labels")
    sequences, notes = walk(frames, masks, "index")
    split = spec.options.get("split", "")
    if split:
        path = spec.path / "ImageSets" / f"{split}.txt"
        if not path.exists():
            raise InputError(f"{path}: no such list of sequences.")
        named = {s.name: s for s in sequences}
        wanted = read_list(path)
        check_listed(path, wanted, named, frames)
        sequences = [named[name] for name in wanted]
    return VideoDataset(str(spec), spec.kind, spec.path, split, tuple(sequences), {}, tuple(notes))


def walk(frames: Path, masks: Path, codec: Codec) -> tuple[list[VideoSequence], list[str]]:
    """Sequences in folders under two roots, at any depth, named by their path, and what a person should know.

    Raises:
        InputError: there are no images.
    """
    sequences, notes = [], []
    for folder in leaf_folders(frames):
        name = folder.relative_to(frames).as_posix()
        images = by_stem(files_in(folder, IMAGES))
        masks_of = by_stem(files_in(masks / name, MASKS))
        stray = [stem for stem in masks_of if stem not in images]
        if stray:
            notes.append(f"{masks / name}: {len(stray)} mask(s) without a frame, such as {stray[0]}")
        annotations = {stem: (masks_of[stem],) for stem in images if stem in masks_of}
        if not annotations:
            notes.append(f"{name}: no masks")
        kind = _told_apart(annotations) if codec == "index" else codec
        sequences.append(VideoSequence(name, tuple(images), images, annotations, kind))
    if not sequences:
        raise InputError(f"{frames}: no images in it or in its folders.")
    return sequences, notes[:12]


def _told_apart(annotations: Mapping[str, tuple[Path, ...]]) -> Codec:
    """``binary`` if no mask holds anything but 0 and white."""
    return "binary" if coding_of(tuple(files[0] for files in annotations.values())).kind == "white" else "index"
