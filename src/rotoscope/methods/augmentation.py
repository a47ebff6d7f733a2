"""How a recipe changes what it trains on, as data; :mod:`rotoscope.datasets.video_clips` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Crop = Literal["square", "whole", "window"]
Colours = tuple[float, float, float, float]


@dataclass(frozen=True)
class Geometry:
    """Ranges of a random affine map about the centre of a frame.

    Attributes:
        degrees: rotation, up to so many either way.
        scale: factor of what is shown; above 1 it grows.
        shear: in degrees, up to so many either way.
        shift: up to this share of each side either way.
        by_axis: whether the factors of the two axes are drawn apart.
    """

    degrees: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    shift: float = 0.0
    by_axis: bool = False

    @property
    def still(self) -> bool:
        """Whether it moves nothing."""
        return self == Geometry()


@dataclass(frozen=True)
class Augmentation:
    """What happens to the frames of a video's clip. The defaults are those of the released STCN.

    What is of the clip is drawn once and alike for all its frames, so that a motionless object stays where it is; what
    is of a frame is drawn for each.

    Attributes:
        crop: ``square``: a square of the frame, of which ``share`` says the size; ``whole``: the whole frame, at the
            clip's size; ``window``: a window of the clip's size out of the frame as large as it is, or as much larger
            as it must be.
        share: of the area that is shown: of the largest square that fits, or of the whole frame.
        flip: chance that the clip is mirrored.
        backwards: chance that it runs backwards.
        clip: geometry of the clip.
        frame: geometry of each frame.
        apart: each frame has crop, flip and the clip's geometry of its own (COSNet).
        clip_colour, frame_colour: ranges of brightness, contrast and saturation, as factors 1 ± x, and of the hue, as a
            share of a turn.
        grey: chance that the clip has no colour.
        between: of sparsely annotated sets, whether frames between annotations are taken, with interpolated masks;
            else only annotated ones, and gaps count in annotations.
        every_frame: whether a sparsely annotated set must bring the images between annotations.
        stills: what photographs become: ``stcn``: versions of one as the released STCN makes them, whatever stands
            here; ``own``: a motionless video, changed as all this says.
    """

    crop: Crop = "square"
    share: tuple[float, float] = (0.36, 1.0)
    flip: float = 0.5
    backwards: float = 0.5
    clip: Geometry = Geometry()
    frame: Geometry = Geometry(degrees=15, shear=10)
    apart: bool = False
    clip_colour: Colours = (0.1, 0.03, 0.03, 0.0)
    frame_colour: Colours = (0.01, 0.01, 0.01, 0.0)
    grey: float = 0.05
    between: bool = True
    every_frame: bool = False
    stills: Literal["stcn", "own"] = "stcn"


RELEASED_STCN = Augmentation()
"""The defaults."""
PLAIN = Augmentation(
    crop="whole",
    share=(1.0, 1.0),
    backwards=0.0,
    frame=Geometry(),
    clip_colour=(0.0, 0.0, 0.0, 0.0),
    frame_colour=(0.0, 0.0, 0.0, 0.0),
    grey=0.0,
    between=False,
    stills="own",
)
"""The whole frame, mirrored or not, and nothing else."""
