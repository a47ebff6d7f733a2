"""MOSE, LVOS, BURST and VIPSeg, where they are folders of frames and of index masks, as DAVIS is."""

from __future__ import annotations

from rotoscope.datasets.folders import check_listed, first_folder, folders_in, read_list
from rotoscope.datasets.motion_sets import walk
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.datasets.spec import Spec
from rotoscope.errors import InputError

SPLITS = ("train", "valid", "test")


def mose(spec: Spec) -> VideoDataset:
    """MOSE, versions 1 and 2: ``SPLIT/JPEGImages/VIDEO`` and ``SPLIT/Annotations/VIDEO``; or one split's folder itself.

    Of ``valid`` only the masks of first frames are public; a server scores it. Split ``valid`` unless said.

    Raises:
        InputError: folders are not there.
    """
    return _by_split(spec, "valid")


def lvos(spec: Spec) -> VideoDataset:
    """LVOS, versions 1 and 2, laid out as MOSE. Objects may begin late; masks say where. Split ``valid`` unless said.

    Raises:
        InputError: folders are not there.
    """
    return _by_split(spec, "valid")


def burst(spec: Spec) -> VideoDataset:
    """BURST with its masks as index PNGs: ``frames/SPLIT/SET/VIDEO``, masks alike in ``annotations``.

    As released its masks are JSON; several projects turn them into PNGs, which is what is read here. Frames may be
    annotated sparsely. The whole folder unless a split is said.

    Raises:
        InputError: folders are not there, or no masks as PNGs.
    """
    return _under(spec, ("frames", "JPEGImages"), ("annotations", "Annotations", "masks"))


def vipseg(spec: Spec) -> VideoDataset:
    """VIPSeg with masks of its things as index PNGs: ``JPEGImages/VIDEO`` or ``images/VIDEO``, and ``Annotations``.

    Its own panoptic masks code classes and are no objects' ids: turn them into index masks first. ``split=NAME`` takes
    the videos that ``NAME.txt`` lists.

    Raises:
        InputError: folders or the list are not there, or a video that it names.
    """
    return _under(spec, ("JPEGImages", "images", "imgs"), ("Annotations", "masks"))


def _by_split(spec: Spec, default: str) -> VideoDataset:
    root, split = spec.path, spec.options.get("split", "")
    folder = root / (split or default)
    if not split and (root / "JPEGImages").is_dir():
        folder, split = root, root.name
    if not folder.is_dir():
        there = ", ".join(s for s in SPLITS if (root / s).is_dir()) or "none"
        raise InputError(f"{root}: no folder of split {split or default!r}; there are {there}.")
    sequences, notes = walk(first_folder(folder, "JPEGImages"), first_folder(folder, "Annotations"), "index")
    others = {
        other: frozenset(path.name for path in folders_in(folder.parent / other / "JPEGImages"))
        for other in SPLITS
        if other != folder.name and (folder.parent / other / "JPEGImages").is_dir()
    }
    return VideoDataset(str(spec), spec.kind, root, split or default, tuple(sequences), others, tuple(notes))


def _under(spec: Spec, frames: tuple[str, ...], masks: tuple[str, ...]) -> VideoDataset:
    split = spec.options.get("split", "")
    roots = first_folder(spec.path, *frames), first_folder(spec.path, *masks)
    listed = spec.path / f"{split}.txt"
    in_folder = bool(split) and (roots[0] / split).is_dir()
    if split and not in_folder and not listed.is_file():
        raise InputError(f"{spec.path}: no split {split!r}: neither {roots[0] / split} nor {listed} is there.")
    if in_folder:
        roots = roots[0] / split, first_folder(roots[1], split)
    sequences, notes = walk(*roots, "index")
    if split and not in_folder:
        wanted = read_list(listed)
        check_listed(listed, wanted, {sequence.name for sequence in sequences}, roots[0])
        chosen = frozenset(wanted)
        sequences = [sequence for sequence in sequences if sequence.name in chosen]
    if not any(sequence.annotations for sequence in sequences):
        raise InputError(f"{roots[1]}: holds no index masks of the frames in {roots[0]}.")
    return VideoDataset(str(spec), spec.kind, spec.path, split, tuple(sequences), {}, tuple(notes))
