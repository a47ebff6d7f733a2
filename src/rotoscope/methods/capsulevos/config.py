"""Sizes and choices of a CapsuleVOS network; every ablation of the paper is a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rotoscope.errors import InputError
from rotoscope.layers.trunks import TrunkName, check_trunk

Zoom = Literal["learnt", "crafted", "none"]
Routing = Literal["attention", "concatenation"]
Skips = Literal["published", "fine"]
Merging = Literal["soft", "published"]
CROP_MULTIPLE = 32
"""The crop is halved five times: twice by the video branch, once by each of three layers of capsules."""


@dataclass(frozen=True)
class CapsuleVOSConfig:
    """CapsuleVOS (Duarte, Rawat, Shah, ICCV 2019); the defaults are the released network.

    Attributes:
        width: channels of the first convolutions; all others are multiples of it.
        video_types: types of capsules that the clip is described with.
        frame_types: types of capsules that the given frame and mask are described with.
        types: types of the capsules behind the routing.
        size: height and width that frames are resized to, whatever their shape.
        crop: height and width of what the video branch sees of them; multiples of 32.
        clip: frames that are segmented together.
        zoom: where the crop is taken. ``learnt``: the zoom branch says how large a square to take, as published;
            ``crafted``: the last mask's bounding box and a leeway; ``none``: the whole frame.
        routing: how the frame's capsules act on the clip's. ``attention``: as published; ``concatenation``: both are
            routed together by EM.
        capsules: False replaces the routed layers by convolutions of like parameter count.
        memory: the ConvLSTMs' states go on from clip to clip; False begins each clip with zeros.
        overlap: frames that a clip shares with the one before.
        trunk: None: the video branch's own convolutions see the clip, as published. Else a network that sees each
            frame in place of the first four of them, and can begin with what another method has learnt; the last two
            and all that follows are the same.
        skips: what the decoder sees beside the capsules. ``published``: nothing. ``fine``, with a trunk: the trunk's
            features of each frame at stride 4, compared with the frame branch's of the first frame and its mask.
        merging: how objects that overlap become labels: ``soft`` aggregates probabilities; ``published`` takes the
            most probable object, or the background where none reaches one half.
    """

    width: int = 32
    video_types: int = 12
    frame_types: int = 8
    types: int = 16
    size: tuple[int, int] = (512, 896)
    crop: tuple[int, int] = (128, 224)
    clip: int = 8
    zoom: Zoom = "learnt"
    routing: Routing = "attention"
    capsules: bool = True
    memory: bool = True
    overlap: int = 3
    trunk: TrunkName | None = None
    skips: Skips = "published"
    merging: Merging = "soft"

    def __post_init__(self) -> None:
        """Refuse what no network or session could do.

        Raises:
            InputError: a field out of its range.
        """
        for name, value, known in (
            ("zoom", self.zoom, get_args(Zoom)),
            ("routing", self.routing, get_args(Routing)),
            ("skips", self.skips, get_args(Skips)),
            ("merging", self.merging, get_args(Merging)),
        ):
            if value not in known:
                raise InputError(f"{name} {value!r} is not known; use {' or '.join(known)}.")
        if self.trunk is not None:
            check_trunk(self.trunk)
        if self.skips == "fine" and self.trunk is None:
            raise InputError("skips 'fine' are of a trunk's features: give trunk=resnet18 as well.")
        for name, truth in (("capsules", self.capsules), ("memory", self.memory)):
            if not isinstance(truth, bool):
                raise InputError(f"{name} is {truth!r}; give true or false.")
        for name, sides in (("size", self.size), ("crop", self.crop)):
            if not isinstance(sides, tuple) or len(sides) != 2 or min(sides) < CROP_MULTIPLE:
                raise InputError(f"{name} {sides!r} is not possible; give height and width, at least {CROP_MULTIPLE}.")
        if any(side % CROP_MULTIPLE for side in self.crop):
            raise InputError(f"crop {self.crop!r} is not possible; sides must be multiples of {CROP_MULTIPLE}.")
        if min(self.width, self.video_types, self.frame_types, self.types) < 1:
            raise InputError("width and the numbers of capsule types must be at least 1.")
        if self.clip < 4 or self.clip % 4:
            raise InputError(
                f"clips of {self.clip} frames are not possible; give a multiple of 4, as capsules halve it."
            )
        if not 1 <= self.overlap < self.clip:
            raise InputError(f"an overlap of {self.overlap} is not possible; give 1 to {self.clip - 1} frames.")
