"""Clips with several objects and exact truth, put together from the objects of a data set's clips.

Data sets with one object per clip cannot show whether a method confuses objects. Here the object of one clip is pasted
into another, moving as it moves in its own, before or behind the object that is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.photographs import read_rgb
from rotoscope.datasets.placement import COARSE, Place, find_place, laid_masks
from rotoscope.datasets.sequences import VOID, VideoDataset, VideoSequence
from rotoscope.errors import InputError

TRIPLES = 6
"""Clips of three objects, one a seed."""
FIRST_AREA = 0.001
"""Share of the frame that an object must fill for its clip to begin."""


@dataclass(frozen=True, eq=False)
class ComposedClip:
    """A clip with the truth of all its objects.

    Attributes:
        name: the names of the clips that it is made of, such as ``blackswan+libby``; the scene is that of the first.
        frames: RGB uint8 ``[T, H, W, 3]``.
        labels: uint8 ``[T, H, W]``, 0 for the background, objects 1..N in the order of the name.
    """

    name: str
    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def objects(self) -> tuple[int, ...]:
        """Objects that the first frame shows: those that a mask can be given of."""
        return tuple(int(i) for i in np.unique(self.labels[0]) if i)


@dataclass(frozen=True, eq=False)
class Cut:
    """An object cut out, on a canvas.

    Attributes:
        colour: float32 ``[H, W, 3]`` in [0, 255], already multiplied by ``alpha``.
        alpha: float32 ``[H, W]`` in [0, 1]; the object's pixels are those of at least 0.5.
    """

    colour: NDArray[np.float32]
    alpha: NDArray[np.float32]

    @classmethod
    def of(cls, image: NDArray[np.uint8], mask: NDArray[np.bool_], size: tuple[int, int]) -> Cut:
        """Cut the masked pixels out of a frame and bring them to ``size``, (width, height)."""
        shrinks = size[0] < mask.shape[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        alone = image.astype(np.float32) * mask[..., None]
        colour = cv2.resize(alone, size, interpolation=how)
        return cls(np.asarray(colour), np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=how)))

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Cut:
        """A canvas ``[H, W]`` without anything on it."""
        return cls(np.zeros((*shape[:2], 3), np.float32), np.zeros(shape[:2], np.float32))

    def at(self, left: int, top: int, shape: tuple[int, ...]) -> Cut:
        """The same on a canvas of ``shape``, its upper left corner there; what lies beyond the edges is lost."""
        moved = Cut.nothing(shape)
        height, width = self.alpha.shape
        rows, columns = (slice(max(top, 0), max(top + height, 0)), slice(max(left, 0), max(left + width, 0)))
        seen = moved.alpha[rows, columns].shape
        source = (slice(max(-top, 0), max(-top, 0) + seen[0]), slice(max(-left, 0), max(-left, 0) + seen[1]))
        moved.colour[rows, columns] = self.colour[source]
        moved.alpha[rows, columns] = self.alpha[source]
        return moved

    def over(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Laid over an image ``[H, W, 3]``."""
        return np.asarray(self.colour + (1 - self.alpha[..., None]) * image)

    def before(self, other: Cut) -> Cut:
        """Both as one, this one in front."""
        return Cut(self.over(other.colour), self.alpha + (1 - self.alpha) * other.alpha)


def flatten(scene: NDArray[np.float32], own: Cut, behind: Sequence[Cut], ahead: Sequence[Cut]) -> NDArray[np.uint8]:
    """Draw cuts into a scene, some of them between the scene and an object of its own.

    Args:
        scene: RGB float32 ``[H, W, 3]`` in [0, 255].
        own: the object that the scene itself shows.
        behind: cuts that it hides, the farthest first.
        ahead: cuts that hide it, the farthest first.
    Returns: RGB uint8 ``[H, W, 3]``.
    """
    shade = Cut.nothing(scene.shape)
    for cut in behind:
        shade = cut.before(shade)
    image = own.over(shade.colour) + (1 - shade.alpha[..., None]) * (scene - own.colour)
    for cut in ahead:
        image = cut.over(image)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Footage:
    """The annotated frames of a sequence from the first that shows its object on, all ids as one object.

    Attributes:
        sequence: the annotated sequence that the frames come from.
        frames: the names of the frames, in order of time.
        masks: the mask of each frame, bool ``[H, W]`` at the size of the annotations.
    """

    sequence: VideoSequence
    frames: tuple[str, ...]
    masks: tuple[NDArray[np.bool_], ...]

    @classmethod
    def open(cls, sequence: VideoSequence) -> Footage:
        """Read the masks.

        Raises:
            InputError: no annotated frame with an image shows an object.
        """
        names = [name for name in sequence.annotated if name in sequence.images]
        masks = [(labels > 0) & (labels != VOID) for labels in map(sequence.labels, names)]
        begin = next((i for i, mask in enumerate(masks) if mask.mean() >= FIRST_AREA), None)
        if begin is None:
            raise InputError(f"{sequence.name}: no annotated frame with an image shows an object. Leave it out.")
        return cls(sequence, tuple(names[begin:]), tuple(masks[begin:]))

    def size(self, short: int | None) -> tuple[int, int]:
        """Width and height of its frames with a short side of ``short`` pixels; never larger than they are."""
        height, width = self.masks[0].shape
        share = 1.0 if short is None else min(1.0, short / min(height, width))
        return round(width * share), round(height * share)

    def image(self, t: int) -> NDArray[np.uint8]:
        """Frame ``t``, RGB uint8 ``[H, W, 3]``.

        Raises:
            InputError: it is not of its mask's size.
        """
        image = read_rgb(self.sequence.images[self.frames[t]])
        if image.shape[:2] != self.masks[t].shape:
            raise InputError(f"{self.sequence.name}: frame {self.frames[t]} and its mask are not of one size.")
        return image

    def coarse(self, count: int) -> NDArray[np.bool_]:
        """Masks of the first ``count`` frames, ``COARSE`` pixels high, ``[count, h, w]``: to find places with."""
        height, width = self.masks[0].shape
        size = (max(round(width * COARSE / height), 1), COARSE)
        small = [cv2.resize(m.astype(np.float32), size, interpolation=cv2.INTER_AREA) for m in self.masks[:count]]
        return np.stack(small) >= 0.5


class MixedClips:
    """Clip number ``index`` is made of the objects of ``members[index]``, in the scene of the first of them.

    Args:
        members: sequences with an object each; two or more a clip.
        short: short side of the frames in pixels; None for that of the data set.
        frames: keep only the first so many frames; None for all that every member has.
        seed: of places, sizes and depths, together with the index.
    """

    def __init__(
        self,
        members: Sequence[Sequence[VideoSequence]],
        short: int | None = 240,
        frames: int | None = None,
        seed: int = 0,
    ) -> None:
        self.members = members
        self.short = short
        self.frames = frames
        self.seed = seed

    def __len__(self) -> int:
        return len(self.members)

    def clip(self, index: int) -> ComposedClip:
        """Make a clip; the same index gives the same clip.

        Raises:
            InputError: a sequence that shows no object, or whose frames and masks differ in size.
        """
        footage = [Footage.open(sequence) for sequence in self.members[index]]
        rng = np.random.default_rng((self.seed, len(footage), index))
        count = min(len(f.frames) for f in footage)
        standing = footage[0].coarse(count)
        places: list[Place] = []
        for other in footage[1:]:
            masks = other.coarse(count)
            places.append(find_place(rng, standing, masks))
            standing = standing | laid_masks(masks, places[-1], standing.shape[1:])
        depths = [int(i) for i in rng.permutation(len(footage))]  # members from back to front
        size = footage[0].size(self.short)
        made = [self._frame(footage, places, depths, size, t) for t in range(min(count, self.frames or count))]
        name = "+".join(f.sequence.name for f in footage)
        return ComposedClip(name, np.stack([image for image, _ in made]), np.stack([labels for _, labels in made]))

    @staticmethod
    def _frame(
        footage: Sequence[Footage], places: Sequence[Place], depths: Sequence[int], size: tuple[int, int], t: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One frame and its labels."""
        shape = (size[1], size[0])
        image = footage[0].image(t)
        how = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_LINEAR
        scene = np.asarray(cv2.resize(image.astype(np.float32), size, interpolation=how), dtype=np.float32)
        cuts = [Cut.of(image, footage[0].masks[t], size)]
        for other, place in zip(footage[1:], places, strict=True):
            height, width = other.masks[t].shape
            tall = max(round(place.scale * size[1]), 1)
            cut = Cut.of(other.image(t), other.masks[t], (max(round(tall * width / height), 1), tall))
            cuts.append(cut.at(round(place.left * size[1]), round(place.top * size[1]), shape))
        labels = np.zeros(shape, np.uint8)
        for number in depths:
            labels[cuts[number].alpha >= 0.5] = number + 1
        own = depths.index(0)
        behind, ahead = ([cuts[i] for i in part] for part in (depths[:own], depths[own + 1 :]))
        return flatten(scene, cuts[0], behind, ahead), labels


def all_pairs(dataset: VideoDataset) -> list[tuple[VideoSequence, ...]]:
    """Each sequence with each other one, as the scene and as what is pasted into it."""
    return list(permutations(dataset.sequences, 2))


def some_triples(dataset: VideoDataset, seeds: int = TRIPLES) -> list[tuple[VideoSequence, ...]]:
    """Three different sequences for each seed; none if there are fewer."""
    if len(dataset) < 3:
        return []
    drawn = [np.random.default_rng(seed).choice(len(dataset), 3, replace=False) for seed in range(seeds)]
    return [tuple(dataset.sequences[i] for i in three) for three in drawn]
