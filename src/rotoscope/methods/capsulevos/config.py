"""Sizes and choices of a CapsuleVOS network; every ablation of the paper is a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rotoscope.errors import InputError
from rotoscope.layers.trunks import TrunkName
from rotoscope.methods.checks import Count, FixedSide, Lean, MethodConfig, Range

Zoom = Literal["learnt", "crafted", "none"]
Routing = Literal["attention", "concatenation"]
Skips = Literal["published", "fine"]
Merging = Literal["soft", "published"]
CROP_MULTIPLE = 32
"""The crop is halved five times: twice by the video branch, once by each of three layers of capsules."""
CropSide = Annotated[int, Range(CROP_MULTIPLE, multiple=CROP_MULTIPLE)]


@dataclass(frozen=True)
class CapsuleVOSConfig(MethodConfig):
    """CapsuleVOS (Duarte, Rawat, Shah, ICCV 2019); the defaults are the released network.

    Attributes:
        width: the number of channels of the first convolutions; all other widths are multiples of it.
        video_types: the number of types of capsules that describe the clip.
        frame_types: the number of types of capsules that describe the given frame and mask.
        types: the number of types of capsules behind the routing.
        size: the height and width in pixels that frames are resized to, whatever their shape.
        crop: the height and width in pixels of what the video branch sees of them; multiples of 32.
        clip: the number of frames that are segmented together.
        zoom: where the crop is taken. ``learnt``: the zoom branch says how large a square to take, as published;
            ``crafted``: the last mask's bounding box and a leeway; ``none``: the whole frame.
        routing: how the frame's capsules act on the clip's. ``attention``: as published; ``concatenation``: both are
            routed together by EM.
        capsules: False replaces the routed layers by convolutions of like parameter count.
        carry_states: the ConvLSTMs' states go on from clip to clip; False begins each clip with zeros.
        overlap: the number of frames that a clip shares with the clip before it.
        trunk: None: the video branch's own convolutions see the clip, as published. Else a network that sees each
            frame in place of the first four of them, and can begin with what another method has learnt; the last two
            and all that follows are the same.
        skips: what the decoder sees beside the capsules. ``published``: nothing. ``fine``, with a trunk: the trunk's
            features of each frame at stride 4, compared with the frame branch's of the first frame and its mask.
        merging: how objects that overlap become labels: ``soft`` aggregates probabilities; ``published`` takes the
            most probable object, or the background where none reaches one half.
        lean: how much is added to the logits of objects; 0 in the paper.
    """

    width: Count = 32
    video_types: Count = 12
    frame_types: Count = 8
    types: Count = 16
    size: tuple[FixedSide, FixedSide] = (512, 896)
    crop: tuple[CropSide, CropSide] = (128, 224)
    clip: Annotated[int, Range(4, multiple=4)] = 8
    zoom: Zoom = "learnt"
    routing: Routing = "attention"
    capsules: bool = True
    carry_states: bool = True
    overlap: Count = 3
    trunk: TrunkName | None = None
    skips: Skips = "published"
    merging: Merging = "soft"
    lean: Lean = 0.0

    def check(self) -> None:
        """See that fields do not contradict each other.

        Raises:
            InputError: skips without a trunk, or an overlap as long as a clip.
        """
        if self.skips == "fine" and self.trunk is None:
            raise InputError("skips 'fine' are of a trunk's features: give trunk=resnet18 as well.")
        if self.overlap >= self.clip:
            raise InputError(f"an overlap of {self.overlap} is not possible; give 1 to {self.clip - 1} frames.")
