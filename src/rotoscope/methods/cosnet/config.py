"""Sizes and choices of a COSNet; every ablation of the paper is a field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from rotoscope.errors import InputError
from rotoscope.layers.trunks import TrunkName, check_trunk
from rotoscope.methods.checks import Count, FixedSide, MethodConfig, Positive, Range

Attention = Literal["vanilla", "symmetric", "channel", "none"]
Fusion = Literal["prediction", "summary", "group"]
Sampling = Literal["random", "uniform", "consecutive"]
LEAST_SIDE = 32


class Joined(NamedTuple):
    """How references and a frame's own saliency make one answer; see the fields of :class:`COSNetConfig`."""

    fusion: Fusion
    own_share: float = 0.0
    recurrence: float = 0.0
    carried: float = 0.0


@dataclass(frozen=True)
class COSNetConfig(MethodConfig):
    """COSNet (Lu et al., CVPR 2019); the defaults are the released network and the released test.

    Attributes:
        trunk: the name of the network that encodes frames (see :mod:`rotoscope.layers.trunks`).
        stages: how many stages of the trunk are used, 3 or 4.
        output_stride: the stride of the last stage, in pixels; stages that would go beyond it dilate instead.
        caffe: a residual trunk has the layout of Caffe's networks (see :class:`~rotoscope.layers.resnet.ResNet`) and
            sees BGR in [0, 255] less a mean; else torchvision's layout and normalised RGB.
        aspp_dim: the number of channels of each branch of the spatial pyramid.
        dilations: the dilations of its 3x3 branches, in cells.
        dim: the number of channels of the features that frames attend to each other with.
        attention: how alike two cells are. ``vanilla``: a free matrix between them; ``symmetric``: both frames
            projected alike, ``P^T D P`` with ``D`` diagonal, the rows of ``P`` kept near orthogonal by a loss;
            ``channel``: a diagonal matrix, the product of both frames' channel weights; ``none``: a frame attends to
            nothing and its own features stand for the summary, so that the network keeps its size.
        scaled: similarities are divided by the root of ``dim``; not in the released code, whose softmax begins hard.
        sharpness: not in the paper. Other than 0: cells are compared by their cosine, times this; it takes the place of
            ``scaled``. The softmax is then sharp from the first step on, however large features are.
        look_dim: not in the paper. Other than 0: cells are compared by so many channels of their own, a linear map of
            the trunk's normalised features, which see less of what is around than those that are passed on; and heads
            are told how alike a cell is to what it found.
        fusion: how several references are joined. ``prediction``: the masks that each gives are averaged (released);
            ``summary``: their gated summaries are, and the head runs once (the paper); ``group``: the query attends to
            the cells of all references at once (the authors' later version).
        own_share: not in the paper. How much of an answer's logits is the trunk's own saliency, in [0, 1]; the rest is
            what the references say.
        recurrence: not in the paper. How many logits a cell gains for a likeness of 1 more than what stands out on its
            frame has on average, at most 3, where likeness is the mean over references of the greatest cosine between
            the cell and theirs (:meth:`~rotoscope.methods.cosnet.network.COSNetNetwork.recurring`): what stands out on
            one frame only is not the primary object. 0 leaves it out.
        carried: not in the paper. How many logits a cell gains if what it looks at in the references stands out there
            by 1 more than what the frame's cells look at does on average; with those of ``recurrence`` at most 3. 0
            leaves it out.
        references: the number of frames that each frame attends to; with 0 the answer is the trunk's own saliency.
        sampling: which frames are references. ``random``: drawn anew for each frame (released code), by ``seed``;
            ``uniform``: spread evenly over the video, the same for all frames (the paper); ``consecutive``: the frame's
            neighbours.
        seed: whole number of at least 0 that draws ``random`` references, and what is kept of a stream.
        size: the height and width in pixels that frames are resized to.
        keep_aspect: keep the frame's shape instead, at the area of ``size``, with sides that are multiples of 8.
        pool: the most frames of a video that ``random`` draws from. Of a longer video so many are drawn first, once for
            all, so that the features of all of them can be kept.
        cached: whether features of references are kept; without, they are computed again for every frame.
        reservoir: the number of past frames whose features are kept where the whole video is not known.
        guided: not in the paper. How often a mask is brought to the edges of the picture at the working size, from 0 to
            10 times (see :func:`~rotoscope.masks.guided.settle`).
        crf: whether masks are refined by a dense CRF, which needs the extra ``crf``.
        crf_position: the standard deviation of the CRF in the picture, in pixels; the authors tried 10, 15 and 20.
        crf_compat: the weight of its colour term; the authors tried 8, 9 and 10.
    """

    trunk: TrunkName = "resnet101"
    stages: Literal[3, 4] = 4
    output_stride: Literal[8, 16] = 8
    caffe: bool = True
    aspp_dim: Count = 512
    dilations: tuple[Count, ...] = (6, 12, 18)
    dim: Count = 256
    attention: Attention = "vanilla"
    scaled: bool = False
    sharpness: Annotated[float, Range(0)] = 0.0
    look_dim: Annotated[int, Range(0)] = 0
    fusion: Fusion = "prediction"
    own_share: Annotated[float, Range(0, 1)] = 0.0
    recurrence: Annotated[float, Range(0, 1000)] = 0.0
    carried: Annotated[float, Range(0, 1000)] = 0.0
    references: Annotated[int, Range(0)] = 5
    sampling: Sampling = "random"
    seed: Annotated[int, Range(0)] = 0
    size: tuple[FixedSide, FixedSide] = (473, 473)
    keep_aspect: bool = False
    pool: Count = 128
    cached: bool = True
    reservoir: Count = 16
    guided: Annotated[int, Range(0, 10)] = 0
    crf: bool = False
    crf_position: Positive = 20
    crf_compat: Positive = 9

    @property
    def kept_dim(self) -> int:
        """The number of channels that are kept of a frame."""
        return self.dim + self.look_dim

    @property
    def joined(self) -> Joined:
        """How references and a frame's own saliency make one answer."""
        return Joined(self.fusion, self.own_share, self.recurrence, self.carried)

    def check(self) -> None:
        """See that the trunk can have the layout, and that cells are compared where their likeness is asked for.

        Raises:
            InputError: Caffe's layout of what is no residual network, or recurrence or carried without attention.
        """
        check_trunk(self.trunk, caffe=self.caffe)
        for name in ("recurrence", "carried"):
            if getattr(self, name) and self.attention == "none":
                raise InputError(
                    f"{name} needs a network that compares cells, and this one has attention=none. Set it to 0."
                )

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that the network works at for frames of ``size``, width and height."""
        if not self.keep_aspect:
            return self.size
        scale = math.sqrt(self.size[0] * self.size[1] / (size[0] * size[1]))
        height, width = (max(LEAST_SIDE, 8 * round(side * scale / 8)) for side in (size[1], size[0]))
        return height, width
