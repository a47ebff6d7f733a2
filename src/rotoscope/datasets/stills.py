"""Photographs with masks, in the layouts their data sets were published in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rotoscope.datasets.folders import MASKS, by_stem, files_in, folders_in, read_list
from rotoscope.errors import InputError

PHOTOGRAPHS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


@dataclass(frozen=True)
class Layout:
    """Where a set keeps images and masks.

    Attributes:
        pairs: the folders of images and of masks by split, in the order in which they are tried; the first pair that
            exists is taken.
        image, mask: endings that tell an image from a mask where both are in one folder.
        binary: whether masks hold one object as bright pixels; else they hold labels.
    """

    pairs: Mapping[str, tuple[tuple[str, str], ...]]
    image: str = ""
    mask: str = ""
    binary: bool = True


LAYOUTS: dict[str, Layout] = {
    "msra10k": Layout({"all": (("MSRA10K_Imgs_GT/Imgs", "MSRA10K_Imgs_GT/Imgs"), ("Imgs", "Imgs"), (".", "."))}),
    "dut-omron": Layout({"all": (("DUT-OMRON-image", "pixelwiseGT-new-PNG"), ("images", "masks"))}),
    "duts": Layout(
        {
            "train": (("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"), ("DUTS-TR-Image", "DUTS-TR-Mask")),
            "test": (("DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask"), ("DUTS-TE-Image", "DUTS-TE-Mask")),
        }
    ),
    "ecssd": Layout({"all": (("images", "ground_truth_mask"), ("ecssd/images", "ecssd/ground_truth_mask"))}),
    "big": Layout(
        {
            "val": (("BIG_small/val", "BIG_small/val"), ("val", "val")),
            "test": (("test", "test"),),
            "all": ((".", "."),),
        },
        image="_im",
        mask="_gt",
    ),
    "hrsod": Layout(
        {
            "train": (("HRSOD_train", "HRSOD_train_mask"), ("hrsod/train", "hrsod/train_mask")),
            "test": (("HRSOD_test", "HRSOD_test_mask"), ("hrsod/test", "hrsod/test_mask")),
            "all": ((".", "."),),
        },
        image="_image",
        mask="_mask",
    ),
    "fss1000": Layout({"all": ((".", "."), ("fewshot_data", "fewshot_data"))}),
    "voc2012": Layout(
        dict.fromkeys(("train", "val", "trainval"), (("VOCdevkit/VOC2012", "."), ("VOC2012", "."), (".", "."))),
        binary=False,
    ),
    "stills": Layout({"all": (("images", "masks"), ("Imgs", "Imgs"), (".", "."))}, binary=False),
}
"""Layout by the set's name; the first split is the one taken unless said."""


@dataclass(frozen=True)
class Still:
    """A photograph and its mask; ``binary`` masks hold one object of bright pixels, others labels (255 unknown).

    ``classes``, where there is one, holds the class of each pixel (0 none, 255 unknown).
    """

    image: Path
    mask: Path
    binary: bool
    classes: Path | None = None


@dataclass(frozen=True)
class StillDataset:
    """Photographs with masks."""

    spec: str
    kind: str
    split: str
    stills: tuple[Still, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.stills)

    def explain(self) -> list[str]:
        """Lines for a person."""
        split = f", split {self.split}" if self.split != "all" else ""
        kind = "one object each" if all(s.binary for s in self.stills) else "labels"
        return [f"{self.kind}{split}: {len(self.stills)} photographs with masks ({kind})", *self.notes]


def list_stills(kind: str, root: Path, options: Mapping[str, str], spec: str) -> StillDataset:
    """List a set of photographs.

    Raises:
        InputError: an unknown split, or nothing of the layout is there.
    """
    layout = LAYOUTS[kind]
    split = options.get("split", next(iter(layout.pairs)))
    if split not in layout.pairs:
        raise InputError(f"{spec}: split {split!r} is not known; {kind} has {', '.join(layout.pairs)}.")
    for images, masks in layout.pairs[split]:
        if not (root / images).is_dir() or not (root / masks).is_dir():
            continue
        if kind == "voc2012":
            stills, notes = _voc(root / images, split)
        elif kind == "fss1000":
            stills, notes = _classes(root / images)
        else:
            stills, notes = _pairs(root / images, root / masks, layout)
        if stills:
            return StillDataset(spec, kind, split, tuple(stills), tuple(notes))
    tried = ", ".join(f"{images} with {masks}" for images, masks in layout.pairs[split])
    raise InputError(f"{root}: no photographs with masks of {kind} ({split}) in it; looked for {tried}.")


def _pairs(images: Path, masks: Path, layout: Layout) -> tuple[list[Still], list[str]]:
    same = images == masks
    files = files_in(images, PHOTOGRAPHS)
    if same and not layout.image:
        photographs = {p.stem: p for p in files if p.suffix.lower() in (".jpg", ".jpeg")}
        truth = {p.stem: p for p in files if p.suffix.lower() == ".png"}
    elif same:
        photographs = {p.stem.removesuffix(layout.image): p for p in files if p.stem.endswith(layout.image)}
        truth = {p.stem.removesuffix(layout.mask): p for p in files if p.stem.endswith(layout.mask)}
    else:
        photographs, truth = by_stem(files), by_stem(files_in(masks, MASKS | {".jpg"}))
    stills = [Still(photographs[stem], truth[stem], layout.binary) for stem in photographs if stem in truth]
    lonely = [path for stem, path in photographs.items() if stem not in truth]
    notes = [f"{len(lonely)} photograph(s) without a mask, such as {lonely[0].name}"] if lonely else []
    return stills, notes


def _classes(root: Path) -> tuple[list[Still], list[str]]:
    """FSS-1000: a folder per class, ``1.jpg`` with ``1.png``."""
    stills, notes = [], []
    for folder in folders_in(root):
        files = files_in(folder, PHOTOGRAPHS)
        truth = {p.stem: p for p in files if p.suffix.lower() == ".png"}
        chosen = [Still(p, truth[p.stem], True) for p in files if p.suffix.lower() != ".png" and p.stem in truth]
        if not chosen:
            notes.append(f"{folder.name}: no photograph with a mask")
        stills += chosen
    return stills, notes[:12]


def _voc(root: Path, split: str) -> tuple[list[Still], list[str]]:
    """Pascal VOC 2012: ``JPEGImages`` with ``SegmentationObject``, listed in ``ImageSets/Segmentation``."""
    listed = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not listed.exists():
        return [], []
    stills, missing = [], []
    for name in read_list(listed):
        image, mask = root / "JPEGImages" / f"{name}.jpg", root / "SegmentationObject" / f"{name}.png"
        if image.exists() and mask.exists():
            classes = root / "SegmentationClass" / f"{name}.png"
            stills.append(Still(image, mask, False, classes if classes.exists() else None))
        else:
            missing.append(name)
    return stills, [f"{len(missing)} listed photograph(s) missing, such as {missing[0]}"] if missing else []
