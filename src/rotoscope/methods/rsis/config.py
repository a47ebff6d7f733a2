"""Sizes and choices of an RSIS network, and of RIS, which is one of its configs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rotoscope.errors import InputError
from rotoscope.layers.trunks import TrunkName
from rotoscope.methods.checks import Count, FixedSide, MethodConfig, Odd, Range, Share

Skip = Literal["concat", "sum", "mult", "none"]
Pooling = Literal["levels", "quarters", "map"]


@dataclass(frozen=True)
class RSISConfig(MethodConfig):
    """RSIS (Salvador et al., 2017); the defaults are the released network for Pascal VOC. :data:`RIS_PERSONS` and
    :data:`RIS_LEAVES` make RIS (Romera-Paredes and Torr, ECCV 2016) of it.

    Attributes:
        trunk: network of the encoder; None for four convolutions at the picture's own resolution (RIS on leaves).
        last_width: planes of a residual encoder's fourth stage, its own if None; other encoders leave it unused.
        decoder: ``pyramid``: a ConvLSTM at each of five resolutions, coarse to fine (RSIS). ``single``: ConvLSTMs one
            behind another at one resolution, over fully convolutional features (RIS).
        hidden: channels of the coarsest ConvLSTM of a pyramid, the next have 1/2, 1/4 … of it; of each ConvLSTM of a
            single resolution.
        kernel: side of the ConvLSTMs' kernels.
        layers: ConvLSTMs; of a pyramid the coarsest ones (the paper compares one to five).
        skip: how a pyramid's finer features meet the state from above: side by side, added, multiplied, or not at all.
        classes: classes that the class head tells apart, class 0 (none of them) included; 0 leaves the head out.
        box: a third head for the box of the mask, which the slides of the authors name and no released code has.
        pooling: what the heads see of the states: each level's largest values (RSIS), the largest values of the four
            quarters of the last (RIS on persons), or the last whole (RIS on leaves), which ties it to one ``size``.
        inhibition: spatial inhibition (RIS): the logits of a mask compete by a softmax over all positions, and one
            learnt number decides which share of it is enough.
        beyond: steps of a training picture after those for its objects, from which the stop head learns to stop: one
            (both released codes) or two (the slides, of RIS).
        slots: most steps on a picture, so the most objects found on it.
        stop_at: a step whose stop score is below is no object.
        ending: whether such a step is passed over (``skip``, the released RSIS) or ends the picture (``end``, RIS).
        mask_at: pixels above it belong to the mask.
        least: share of the picture that a mask must fill to be an object.
        class_at: with a class head, an object's best class must be another than 0 and score so much, its stop score
            multiplied in; 0 keeps all.
        merging: how objects that overlap become labels: ``soft`` aggregates probabilities; ``earlier`` paints, with
            what was found first on top (RIS).
        linking: which ids the objects of a further frame have: those of the objects before that they ``overlap``
            best, or, with ``none``, the number of their step.
        size: height and width that frames are resized to, whatever their shape.
        keep_aspect: keep the frame's shape instead, at the area of ``size``, with sides that are multiples of 16.
    """

    trunk: TrunkName | None = "resnet101"
    last_width: Count | None = None
    decoder: Literal["pyramid", "single"] = "pyramid"
    hidden: Count = 128
    kernel: Odd = 3
    layers: Annotated[int, Range(1, 5)] = 5
    skip: Skip = "concat"
    classes: Annotated[int, Range(0, 10_000)] = 21
    box: bool = False
    pooling: Pooling = "levels"
    inhibition: bool = False
    beyond: Count = 1
    slots: Annotated[int, Range(1, 100)] = 10
    stop_at: Share = 0.5
    ending: Literal["skip", "end"] = "skip"
    mask_at: Share = 0.5
    least: Share = 1e-3
    class_at: Share = 0.5
    merging: Literal["soft", "earlier"] = "soft"
    linking: Literal["overlap", "none"] = "overlap"
    size: tuple[FixedSide, FixedSide] = (256, 256)
    keep_aspect: bool = False

    def check(self) -> None:
        """See that fields do not contradict each other.

        Raises:
            InputError: says which do, and what to do.
        """
        if self.decoder == "pyramid" and self.trunk is None:
            raise InputError("trunk=none has one resolution: with it give decoder=single.")
        if self.decoder == "pyramid" and self.hidden % 16:
            raise InputError(f"hidden is {self.hidden}; decoder=pyramid halves it four times: give a multiple of 16.")
        if self.pooling == "map" and self.keep_aspect:
            raise InputError("pooling=map reads maps of one size: with it give keep_aspect=false.")
        if self.pooling == "map" and self.decoder == "pyramid":
            raise InputError("pooling=map reads the state of one resolution: with it give decoder=single.")

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that the network works at for frames of ``size``, width and height."""
        if not self.keep_aspect:
            return self.size
        scale = math.sqrt(self.size[0] * self.size[1] / (size[0] * size[1]))
        height, width = (max(32, 16 * round(side * scale / 16)) for side in (size[1], size[0]))
        return height, width


RIS: dict[str, Any] = {
    "decoder": "single",
    "layers": 2,
    "classes": 0,
    "inhibition": True,
    "ending": "end",
    "merging": "earlier",
    "least": 0.0,
}
"""What RIS has on both of its data sets."""
RIS_PERSONS: dict[str, Any] = {**RIS, "hidden": 100, "pooling": "quarters", "slots": 7, "size": (512, 512)}
"""RIS on the persons of Pascal VOC: features of strides 32, 16 and 8 added up as in FCN-8s. Its trunk was a VGG-16 with
layers of its own; here it is one of ours."""
RIS_LEAVES: dict[str, Any] = {
    **RIS,
    "trunk": None,
    "hidden": 30,
    "pooling": "map",
    "slots": 30,
    "mask_at": 0.9,
    "size": (106, 100),
}
"""RIS on the leaves of CVPPP, the pictures scaled straight to the size of its features."""
