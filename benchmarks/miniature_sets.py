"""The papers' training sets in miniature: a few drawn pictures each, in the published layout and at published sizes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.methods.recipe import Recipe

Rgb = NDArray[np.uint8]
Labels = NDArray[np.uint8]
DAVIS, YOUTUBE, PHOTOGRAPH = (854, 480), (1280, 720), (400, 300)
"""Width and height."""
FRAMES = 80
"""Frames of a video: sixteen annotated ones of YouTube-VOS."""
EVERY = 5
"""Frames from one annotation of YouTube-VOS to the next."""


def picture(rng: np.random.Generator, size: tuple[int, int], objects: int, shift: float = 0.0) -> tuple[Rgb, Labels]:
    """A blotched background with so many ellipses, each moved by a share of the width, and their labels."""
    width, height = size
    small = rng.integers(0, 120, (6, 9, 3), dtype=np.uint8)
    image = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    labels = np.zeros((height, width), np.uint8)
    for number in range(objects):
        centre = ((number + 0.5 + shift) * width / objects % width, height * rng.uniform(0.4, 0.6))
        axes = (width * 0.28 / objects, height * rng.uniform(0.15, 0.3))
        shape = ((centre[0], centre[1]), (2 * axes[0], 2 * axes[1]), float(20 * number))
        cv2.ellipse(labels, shape, number + 1, -1)
        cv2.ellipse(image, shape, tuple(int(c) for c in rng.integers(130, 255, 3)), -1)
    return image, labels


def video(size: tuple[int, int], objects: int, seed: int) -> list[tuple[Rgb, Labels]]:
    """Frames of objects that glide over a still background."""
    return [picture(np.random.default_rng(seed), size, objects, 0.002 * t) for t in range(FRAMES)]


def save(array: NDArray[np.uint8], path: Path) -> None:
    """Write a picture; labels as a palette image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if array.ndim == 2 and path.suffix == ".png":
        image.putpalette([value for i in range(256) for value in (i * 67 % 256, i * 149 % 256, i * 211 % 256)])
    image.save(path)


def davis(root: Path, scale: float) -> list[str]:
    """DAVIS 2016 and 2017 in one tree: two training videos, and one for validation."""
    size = scaled(DAVIS, scale)
    lists = {"train": ("bear", "boat"), "val": ("cows",)}
    for year in ("2016", "2017"):
        (root / "ImageSets" / year).mkdir(parents=True)
        for split, names in lists.items():
            (root / "ImageSets" / year / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    for number, name in enumerate(name for names in lists.values() for name in names):
        for t, (image, labels) in enumerate(video(size, 2, number)):
            save(image, root / "JPEGImages" / "480p" / name / f"{t:05d}.jpg")
            save(labels, root / "Annotations" / "480p" / name / f"{t:05d}.png")
    return ["davis17:{}?split=train", "davis16:{}?split=train"]


def youtubevos(root: Path, scale: float) -> list[str]:
    """YouTube-VOS: annotated frames in ``train``, all frames in ``train_all_frames``."""
    videos = {}
    for number, name in enumerate(("0a1b2c3d4e", "1f2e3d4c5b", "2b3c4d5e6f")):
        annotated = []
        for t, (image, labels) in enumerate(video(scaled(YOUTUBE, scale), number + 1, 10 + number)):
            save(image, root / "train_all_frames" / "JPEGImages" / name / f"{t:05d}.jpg")
            if t % EVERY == 0:
                annotated.append(f"{t:05d}")
                save(image, root / "train" / "JPEGImages" / name / f"{t:05d}.jpg")
                save(labels, root / "train" / "Annotations" / name / f"{t:05d}.png")
        objects = {str(i): {"category": "thing", "frames": annotated} for i in range(1, number + 2)}
        videos[name] = {"objects": objects}
    (root / "train" / "meta.json").write_text(json.dumps({"videos": videos}))
    return ["youtubevos:{}?split=train", "youtubevos:{}?split=train_all_frames"]


def voc2012(root: Path, scale: float) -> list[str]:
    """Pascal VOC 2012: photographs, objects, their classes, and the list."""
    home = root / "VOCdevkit" / "VOC2012"
    for number in range(4):
        image, labels = picture(np.random.default_rng(30 + number), scaled(PHOTOGRAPH, scale), number + 1)
        name = f"2008_00000{number}"
        save(image, home / "JPEGImages" / f"{name}.jpg")
        save(labels, home / "SegmentationObject" / f"{name}.png")
        save(np.where(labels > 0, labels + 10, 0).astype(np.uint8), home / "SegmentationClass" / f"{name}.png")
    (home / "ImageSets" / "Segmentation").mkdir(parents=True)
    (home / "ImageSets" / "Segmentation" / "train.txt").write_text("".join(f"2008_00000{i}\n" for i in range(4)))
    return ["voc2012:{}?split=train"]


def leaves(root: Path, scale: float) -> list[str]:
    """Plants with many leaves, as photographs with labels."""
    for number in range(4):
        image, labels = picture(np.random.default_rng(50 + number), scaled((500, 530), scale), 6 + number)
        save(image, root / "images" / f"plant{number}.jpg")
        save(labels, root / "masks" / f"plant{number}.png")
    return ["stills:{}"]


def salient(images: str, masks: str, image: str = "{}.jpg", mask: str = "{}.png", spec: str = "{}") -> Maker:
    """A set of photographs with one object each, in two folders and with names of its own."""

    def make(root: Path, scale: float) -> list[str]:
        for number in range(4):
            rgb, labels = picture(np.random.default_rng(70 + number), scaled(PHOTOGRAPH, scale), 1)
            save(rgb, root / images / image.format(number))
            save((labels > 0).astype(np.uint8) * 255, root / masks / mask.format(number))
        return [spec]

    return make


Maker = Callable[[Path, float], list[str]]
MAKERS: dict[str, Maker] = {
    "davis": davis,
    "youtubevos": youtubevos,
    "voc2012": voc2012,
    "leaves": leaves,
    "msra10k": salient("MSRA10K_Imgs_GT/Imgs", "MSRA10K_Imgs_GT/Imgs", spec="msra10k:{}"),
    "dut-omron": salient("DUT-OMRON-image", "pixelwiseGT-new-PNG", spec="dut-omron:{}"),
    "duts": salient("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask", spec="duts:{}"),
    "ecssd": salient("images", "ground_truth_mask", spec="ecssd:{}"),
    "big": salient("val", "val", "{}_im.jpg", "{}_gt.png", "big:{}"),
    "hrsod": salient("HRSOD_train", "HRSOD_train_mask", spec="hrsod:{}"),
    "fss1000": salient("abacus", "abacus", spec="fss1000:{}"),
}
"""What writes a set, by the name of its folder; it returns the specs that it can be opened by, without the folder."""


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """A size times a factor."""
    return max(round(size[0] * scale), 16), max(round(size[1] * scale), 16)


def make(folder: Path, scale: float = 1.0, only: set[str] | None = None) -> dict[str, str]:
    """Write sets.

    Args:
        folder: each set gets a folder in it.
        scale: factor of the published size of pictures.
        only: names of :data:`MAKERS`; all of them if None.
    Returns: specs by the name of the set; ``youtubevos`` in all its frames is ``youtubevos all``.
    """
    specs = {}
    for name, write in MAKERS.items():
        if only is not None and name not in only:
            continue
        for spec in write(folder / name, scale):
            kind = "leaves" if name == "leaves" else spec.partition(":")[0]
            specs[f"{kind} all" if "all_frames" in spec else kind] = spec.format(folder / name)
    return specs


def sets_of(recipe: Recipe) -> set[str]:
    """Names of the sets that a published recipe names, or that its page names where it takes any."""
    names = {name for origin in recipe.origins() for name in origin.sets.all}
    return names or {"leaves" if recipe.name.endswith("leaves") else "voc2012"}


def needed(wanted: Sequence[Recipe]) -> set[str]:
    """Names of :data:`MAKERS` that write the sets of recipes."""
    return {"davis" if name.startswith("davis") else name for recipe in wanted for name in sets_of(recipe)}


def data_for(recipe: Recipe, specs: dict[str, str]) -> list[str]:
    """Specs of a recipe's sets."""
    names = sets_of(recipe)
    every = recipe.augmentation.every_frame
    return [specs["youtubevos all" if name == "youtubevos" and every else name] for name in sorted(names)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the published size of pictures")
    chosen = parser.parse_args()
    for spec in make(chosen.folder, chosen.scale).values():
        print(spec)
