"""DAVIS 2016 and 2017 in their published layouts."""

from __future__ import annotations

from pathlib import Path

from rotoscope.datasets.folders import IMAGES, MASKS, by_stem, files_in, first_folder, folders_in, read_list
from rotoscope.datasets.sequences import Codec, VideoDataset, VideoSequence
from rotoscope.datasets.spec import Spec
from rotoscope.errors import InputError


def davis16(spec: Spec) -> VideoDataset:
    """DAVIS 2016: ``JPEGImages/480p/SEQ``, ``Annotations/480p/SEQ``, and lists in ``ImageSets``.

    One object per sequence: 0/255 masks as released, or the index masks of DAVIS 2017, all ids as one. Lists are
    ``ImageSets/2016/SPLIT.txt`` (names) or ``ImageSets/480p/SPLIT.txt`` (pairs of files). Split ``val`` unless said.

    Raises:
        InputError: folders or the list of the split are not there.
    """
    return _davis(spec, ("2016", "480p"), "binary", "Annotations")


def davis17(spec: Spec) -> VideoDataset:
    """DAVIS 2017: as 2016, with index masks; lists in ``ImageSets/2017`` (unsupervised test sets: ``ImageSets/2019``).

    ``task=unsupervised`` reads ``Annotations_unsupervised``. Split ``val`` unless said; ``test-dev`` and
    ``test-challenge`` have the first frame's masks only.

    Raises:
        InputError: folders or the list of the split are not there.
    """
    unsupervised = spec.options.get("task", "semi") == "unsupervised"
    if not unsupervised and spec.options.get("task", "semi") != "semi":
        raise InputError(f"{spec}: task {spec.options['task']!r} is not known; use semi or unsupervised.")
    annotations = "Annotations_unsupervised" if unsupervised else "Annotations"
    return _davis(spec, ("2019", "2017") if unsupervised else ("2017",), "index", annotations)


def _davis(spec: Spec, years: tuple[str, ...], codec: Codec, annotations: str) -> VideoDataset:
    root, resolution = spec.path, spec.options.get("resolution", "480p")
    frames_root = first_folder(root, f"JPEGImages/{resolution}")
    masks_root = first_folder(root, f"{annotations}/{resolution}")
    lists = {p.stem: p for year in reversed(years) for p in files_in(root / "ImageSets" / year, {".txt"})}
    split = spec.options.get("split", "val")
    notes: list[str] = []
    if split in lists:
        names = _names(lists[split])
    elif lists or "split" in spec.options:
        known = ", ".join(sorted(lists)) or "none"
        raise InputError(f"{root}: no list of split {split!r} in ImageSets/{years[0]}; there are {known}.")
    else:
        names, split = [p.name for p in folders_in(frames_root)], ""
        notes.append(f"no lists in ImageSets/{years[0]}: all {len(names)} sequences taken")
    sequences = []
    for name in names:
        sequence = _sequence(name, frames_root / name, masks_root / name, codec)
        if not sequence.images:
            notes.append(f"{frames_root / name}: missing, the sequence has no images")
        if not sequence.annotations:
            notes.append(f"{masks_root / name}: missing, the sequence has no masks")
        elif len(sequence.annotations) < len(sequence.frames):
            notes.append(f"{name}: {len(sequence.annotations)} of {len(sequence.frames)} frames annotated")
        sequences.append(sequence)
    others = {other: _other(path) for other, path in lists.items() if other != split}
    return VideoDataset(str(spec), spec.kind, root, split, tuple(sequences), others, _shortened(notes, root))


def _names(path: Path) -> list[str]:
    """Sequence names of a list: one a line, or lines of ``/JPEGImages/480p/NAME/00000.jpg …``."""
    firsts = {line: Path(line.split()[0]) for line in read_list(path)}
    return list(dict.fromkeys(p.parent.name if p.suffix.lower() in IMAGES else line for line, p in firsts.items()))


def _other(path: Path) -> frozenset[str]:
    """Sequence names of a split that is not asked for; none if its list cannot be read."""
    try:
        return frozenset(_names(path))
    except InputError:
        return frozenset()


def _sequence(name: str, frames: Path, masks: Path, codec: Codec) -> VideoSequence:
    images, annotations = by_stem(files_in(frames, IMAGES)), by_stem(files_in(masks, MASKS))
    return VideoSequence(
        name=name,
        frames=tuple(images) or tuple(annotations),
        images=images,
        annotations={stem: (path,) for stem, path in annotations.items() if not images or stem in images},
        codec=codec,
    )


def _shortened(notes: list[str], root: Path, most: int = 12) -> tuple[str, ...]:
    """The first notes, and how many more there are."""
    rest = len(notes) - most
    return tuple(notes[:most]) + ((f"and {rest} more such lines",) if rest > 0 else ())
