"""Sizes of an STCN network and the choices of its inference; every ablation is a field here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rotoscope.errors import InputError
from rotoscope.layers.canvas import Resizing
from rotoscope.layers.trunks import TrunkName
from rotoscope.memory import parse_policy
from rotoscope.methods.checks import Count, Lean, MethodConfig, NotNegative, Range, Share, WorkingSide

Previous = Literal["none", "mask", "matched"]


@dataclass(frozen=True)
class STCNConfig(MethodConfig):
    """STCN (Cheng et al., NeurIPS 2021) with the memory of the thesis; the defaults are the released network.

    Attributes:
        trunk: the name of the network that encodes keys, cut at stride 16 (see :mod:`rotoscope.layers.trunks`).
        value_encoder: ``resnet18``: a second trunk that sees the picture with each object's mask (released);
            ``light``: a few convolutions of masks over the key encoder's features.
        value_width: the number of first-layer channels of the value encoder; 64 as released.
        key_dim: the number of channels of a key.
        value_dim: the number of channels of a value, and of the fused object features.
        thin_dim: the number of channels of the compressed query features that enter the decoder beside the readout.
        decoder: ``released``, or ``light``: thin, with 1x1 skips and the picture itself at stride 4.
        decoder_dims: the numbers of channels of the decoder at stride 16, 8 and 4.
        subpixel: the light decoder answers so many by so many logits for each cell at stride 4.
        previous: what the light decoder is told of the frame before: nothing; its masks (``mask``); or its masks, and
            the same moved to where the nearest keys within ``reach`` are (``matched``).
        reach: cells at stride 16, in each direction, that ``matched`` looks for an object in.
        nearness: what similarity loses per squared cell of distance in ``matched``, at least 0: between look-alikes the
            nearer one is right.
        scores: the light decoder also answers whether an object is there, and what IoU its mask will have.
        short_side: the network works on frames resized to this short side in pixels; None works at native size.
        max_short_side: frames with a longer short side are shrunk to this one; bounds the memory of 4K video.
        resizing: how frames and masks are resized (see :class:`~rotoscope.layers.canvas.Canvas`).
        memory: policy of the memory bank: ``every:K``, ``first-latest`` or ``lfu:M`` (M in frames' worth of features).
        usage: what counts as use of a feature: being among the top-k, or its softmax weight (thesis, table 4).
        mem_every: the distance in frames of the frames that enter memory; ``every:K`` sets it too.
        top_k: the number of support features that a query reads from; None reads all (full softmax).
        include_last: keep the previous frame as one temporary entry (released option).
        protect_first: pin the features of the frames on which objects were given. The thesis does not.
        counters: whose features compete for the places of ``lfu:M``: those of all objects (``shared``, as in the
            thesis), or each object's own (``object``), which keeps what shows an object that is hidden (see
            :class:`~rotoscope.memory.by_object.ObjectBank`; the thesis names the shared counter as the cause, section
            3.5.5).
        scales: the number of scales at which frame and memory are compared (see
            :func:`~rotoscope.methods.stcn.scales.at_scales`; the thesis's outlook, chapter 5). 1 as released.
        crossings: objects that look alike and have overlapped are told apart by how they moved before (see
            :class:`~rotoscope.methods.crossings.Crossings`). The papers do not.
        strays: a piece of a mask that lies apart is left out if it resembles the given object less than this share of
            what the rest does (see :class:`~rotoscope.methods.strays.Strays`); 0 leaves out none. The papers do not.
        lean: how much is added to the logits of objects, before they are joined and remembered; 0 in the papers.
        trust: how much is added to the similarity to what memory holds of frames on which masks were given, since these
            are true and answers need not be; from 0, as in the papers, to 100.
        least_presence: an object whose presence score is lower is not there; 0 asks for none. Needs ``scores``.
        least_quality: a frame enters memory, for good or as the previous one, only if the mean of its present objects'
            predicted IoU is at least this; else the next that has it does. 0 asks for none. Needs ``scores``.
    """

    trunk: TrunkName = "resnet50"
    value_encoder: Literal["resnet18", "light"] = "resnet18"
    value_width: Count = 64
    key_dim: Count = 64
    value_dim: Count = 512
    thin_dim: Count = 512
    decoder: Literal["released", "light"] = "released"
    decoder_dims: tuple[Count, Count, Count] = (512, 256, 256)
    subpixel: Literal[1, 2, 4] = 1
    previous: Previous = "none"
    reach: Count = 6
    nearness: NotNegative = 0.0
    scores: bool = False
    short_side: WorkingSide | None = None
    max_short_side: WorkingSide | None = 1088
    resizing: Resizing = "bicubic"
    memory: str = "lfu:4"
    usage: Literal["topk", "softmax"] = "topk"
    mem_every: Count = 5
    top_k: Count | None = 20
    include_last: bool = False
    protect_first: bool = True
    counters: Literal["shared", "object"] = "shared"
    scales: Annotated[int, Range(1, 4)] = 1
    crossings: bool = False
    strays: Share = 0.0
    lean: Lean = 0.0
    trust: Annotated[float, Range(0, 100)] = 0.0
    least_presence: Share = 0.0
    least_quality: Share = 0.0

    def check(self) -> None:
        """See that fields do not contradict each other.

        Raises:
            InputError: a field of the light decoder beside the released one, scores asked for that are not there, or
                counters by object in a memory that does not count.
        """
        if self.decoder == "released" and (self.previous != "none" or self.scores or self.subpixel != 1):
            raise InputError("previous, scores and subpixel are of the light decoder: give decoder=light as well.")
        if not self.scores and (self.least_presence or self.least_quality):
            raise InputError("least_presence and least_quality need a network with scores=true.")
        parse_policy(self.memory, self.mem_every)
        if self.counters == "object" and not self.memory.startswith("lfu"):
            raise InputError(f"counters=object is of lfu:M; the policy {self.memory} counts nothing.")
