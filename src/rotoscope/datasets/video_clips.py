"""Training clips from annotated videos, changed as a recipe says; each clip is a function of a random generator."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.augment import Affine, Colour, recolour, to_grey, warp
from rotoscope.datasets.clip_sources import ClipShape, Labels, Rgb, classes_of, finished, read_still
from rotoscope.datasets.interpolation import interpolate_labels
from rotoscope.datasets.photographs import read_rgb
from rotoscope.datasets.sequences import VOID, VideoDataset, VideoSequence
from rotoscope.datasets.stills import Still
from rotoscope.datasets.synthetic import Clip
from rotoscope.errors import InputError
from rotoscope.methods.augmentation import Augmentation, Geometry


class Changes:
    """What a recipe does to the pictures of a clip.

    Args:
        how: what it says.
    """

    def __init__(self, how: Augmentation) -> None:
        self.how = how

    def crop(self, rng: np.random.Generator, picture: tuple[int, ...], shape: ClipShape) -> NDArray[np.float64]:
        """What is shown of a picture of height and width ``picture``, maybe mirrored: a map ``[3, 3]`` to a frame."""
        (height, width), (across, down) = picture, shape.across
        if self.how.crop == "square":
            side = np.sqrt(rng.uniform(*self.how.share)) * min(height, width)
            left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
            zoom = (across / side, down / side)
        elif self.how.crop == "window":
            enlarged = max(1.0, across / width, down / height)
            zoom = (enlarged, enlarged)
            left = rng.uniform(0, max(width - across / enlarged, 0))
            top = rng.uniform(0, max(height - down / enlarged, 0))
        else:
            share = np.sqrt(rng.uniform(*self.how.share))
            left, top = rng.uniform(0, (1 - share) * width), rng.uniform(0, (1 - share) * height)
            zoom = (across / (share * width), down / (share * height))
        to_crop = np.array([[zoom[0], 0, -left * zoom[0]], [0, zoom[1], -top * zoom[1]], [0, 0, 1]])
        if rng.random() < self.how.flip:
            to_crop = np.array([[-1, 0, across - 1], [0, 1, 0], [0, 0, 1]]) @ to_crop
        if self.how.clip.still:
            return np.asarray(to_crop, dtype=np.float64)
        turn = affine(self.how.clip).draw(rng, shape.across)
        return np.asarray(np.vstack([turn, [0, 0, 1]]) @ to_crop, dtype=np.float64)

    def changed(
        self,
        rng: np.random.Generator,
        images: list[Rgb],
        marks: list[Labels],
        crop: NDArray[np.float64],
        shape: ClipShape,
    ) -> tuple[list[Rgb], list[Labels]]:
        """Pictures and labels through a map to a frame, ``[3, 3]``, and whatever else is of a frame or of the clip."""
        how = self.how
        colour, grey = Colour(*how.clip_colour).draw(rng), rng.random() < how.grey
        frames, moved_marks = [], []
        for number, (image, labels) in enumerate(zip(images, marks, strict=True)):
            shown = self.crop(rng, labels.shape, shape) if how.apart and number else crop
            turn = np.vstack([affine(how.frame).draw(rng, shape.across), [0, 0, 1]])
            moved, marked = warp(image, labels, (turn @ shown)[:2], shape.across)
            moved = recolour(recolour(moved, colour), Colour(*how.frame_colour).draw(rng))
            frames.append(to_grey(moved) if grey else moved)
            moved_marks.append(marked)
        return frames, moved_marks


class VideoClips(Changes):
    """Frames of an annotated video with gaps between them, changed as a recipe says.

    Annotations may be sparse: with ``between`` their gaps are filled by interpolation, else only annotated frames are
    taken.

    Args:
        dataset: videos with masks.
        between: whether frames between annotations are taken.
        how: what happens to the frames; the released STCN's way if left out (``dataset/vos_dataset.py``).
        step: frames from one annotation to the next; without ``between``, gaps count in annotations.
    """

    def __init__(
        self, dataset: VideoDataset, between: bool = False, how: Augmentation | None = None, step: int = 1
    ) -> None:
        super().__init__(how or Augmentation())
        self.sequences = [s for s in dataset if len(s.images) > 1 and len(s.annotations) > 1]
        self.between = between
        self.step = 1 if between else step
        if not self.sequences:
            raise InputError(f"{dataset.spec}: no sequence has two frames with masks; it cannot be trained on.")

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip."""
        for _ in range(16):
            sequence = self.sequences[rng.integers(len(self.sequences))]
            frames, marks = self.window(rng, sequence, shape)
            clip = finished(rng, frames, marks, shape.objects)
            if clip is not None:
                return clip
        raise InputError("sixteen clips in a row show no object in their first frame; look at the annotations.")

    def window(
        self, rng: np.random.Generator, sequence: VideoSequence, shape: ClipShape, crops: int = 1
    ) -> tuple[list[Rgb], list[Labels]]:
        """Choose, crop and colour frames of one sequence.

        Args:
            rng: the source of randomness.
            sequence: one of ``sequences``.
            shape: of the clip.
            crops: most crops drawn until one shows objects on a hundredth of the first frame.
        Returns: frames uint8 ``[H, W, 3]`` and their labels ``[H, W]`` with the data set's own ids; 255 is
            unknown. The last crop is taken even if it shows no object.
        """
        chosen = self.choose(rng, sequence, shape)
        images = [read_rgb(sequence.images[name]) for name in chosen]
        marks = [self.labels(sequence, name) for name in chosen]
        crop = self.crop(rng, marks[0].shape, shape)
        for _ in range(crops - 1):
            shown = cv2.warpAffine(marks[0], crop[:2], shape.across, flags=cv2.INTER_NEAREST)
            if ((shown > 0) & (shown < VOID)).mean() > 0.01:
                break
            crop = self.crop(rng, marks[0].shape, shape)
        return self.changed(rng, images, marks, crop, shape)

    def choose(self, rng: np.random.Generator, sequence: VideoSequence, shape: ClipShape) -> list[str]:
        """Names of the frames of a clip, in order of time or reversed; ``shape.skip`` says how many are left out."""
        names = [n for n in (sequence.frames if self.between else sequence.annotated) if n in sequence.images]
        if self.between:  # interpolation needs an annotation on both sides
            ends = [names.index(n) for n in sequence.annotated if n in sequence.images]
            names = names[min(ends) : max(ends) + 1]
        gaps = rng.integers(1, shape.skip // self.step + 2, shape.frames - 1)
        while gaps.sum() > len(names) - 1 and gaps.max() > 1:
            gaps = np.maximum(gaps - 1, 1)
        start = int(rng.integers(0, max(len(names) - int(gaps.sum()), 1)))
        places = np.minimum(start + np.concatenate([[0], np.cumsum(gaps)]), len(names) - 1)
        chosen = [names[place] for place in places]
        return chosen[::-1] if rng.random() < self.how.backwards else chosen

    def labels(self, sequence: VideoSequence, name: str) -> Labels:
        """Labels of a chosen frame, ``[H, W]``, interpolated where it is not annotated."""
        if name in sequence.annotations:
            return sequence.labels(name).astype(np.uint8)
        order = {frame: index for index, frame in enumerate(sequence.frames)}
        here = order[name]
        before = max((n for n in sequence.annotated if order[n] < here), key=order.__getitem__)
        after = min((n for n in sequence.annotated if order[n] > here), key=order.__getitem__)
        share = (here - order[before]) / (order[after] - order[before])
        return interpolate_labels(sequence.labels(before), sequence.labels(after), share)


class MotionlessClips(Changes):
    """Clips of one photograph each, as a camera sees it that stands still.

    Args:
        stills: photographs with masks.
        how: what happens to the frames.
    """

    def __init__(self, stills: Sequence[Still], how: Augmentation) -> None:
        super().__init__(how)
        if not stills:
            raise InputError("no photographs with masks are given.")
        self.stills = tuple(stills)

    def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
        """Make a clip."""
        for _ in range(16):
            still = self.stills[rng.integers(len(self.stills))]
            image, labels = read_still(still)
            crop = self.crop(rng, labels.shape, shape)
            frames, marks = self.changed(rng, [image] * shape.frames, [labels] * shape.frames, crop, shape)
            clip = finished(rng, frames, marks, shape.objects, classes_of(still, labels))
            if clip is not None:
                return clip
        raise InputError("sixteen photographs in a row show no object large enough; look at their masks.")


def affine(geometry: Geometry) -> Affine:
    """A recipe's geometry as something that draws."""
    return Affine(geometry.degrees, geometry.scale, geometry.shear, geometry.shift, geometry.by_axis)
