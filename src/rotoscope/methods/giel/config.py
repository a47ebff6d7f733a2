"""Sizes and choices of a GIEL network; every ablation of the paper, and STM, is a setting of these fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from rotoscope.errors import InputError
from rotoscope.layers.canvas import Border, Resizing
from rotoscope.layers.trunks import TrunkName, is_lite
from rotoscope.memory import parse_policy
from rotoscope.methods.checks import Count, MethodConfig, Share, WorkingSide

Attention = Literal["weights", "similarity", "none"]
Output = Literal["full", "fast"]
Judged = Literal["keys", "values"]


@dataclass(frozen=True)
class GIELConfig(MethodConfig):
    """GIEL (Ge et al., CVPR 2021); the defaults are the paper's network, with STM's parts where it names them.

    Attributes:
        trunk: network of the query encoder, cut at stride 16. A residual network is the support encoder's too; beside
            an EfficientNet-Lite that is a ResNet-18, and the two cannot share their keys and values.
        support_width: the number of first-layer channels of the support encoder; the query encoder has 64.
        key_dim: the number of channels of a key.
        value_dim: the number of channels of a value.
        kernel: side of the convolutions that make keys and values; 1 in the paper, 3 in STM.
        shared: whether support and query have these convolutions in common, as equation 3 writes them.
        keys: a support frame's key is made from the support encoder's features (paper, STM), or it is the key that the
            frame had as a query, as in STCN.
        similarity: how alike two keys are: their product, or the negative squared distance over sqrt(key_dim), as in
            STCN.
        scaled: the product is divided by sqrt(key_dim), as in STM; the paper writes no scale.
        others: the support encoder sees the masks of the other objects too, as in STM; only without instance embedding.
        decoder_dims: the numbers of channels of the decoders at stride 16, 8 and 4.
        skip_blocks: the decoders' skips go through a residual block, as in STM.
        label_dim: the number of channels of the label encoder's first layer.
        label_gate: what the label codes go through before they multiply values.
        coarse_dim: the number of channels of the coarse head.
        global_embedding: a class-agnostic map of all objects; without it the union of their masks takes its place.
        instance_embedding: objects are told apart by label codes on common features; without it each object goes
            through support encoder, memory and decoder on its own, as in STM.
        temporal_attention: weights of support frames: multiplied into the affinity's exponentials (``weights``), or
            into the similarity (``similarity``, products only); or none.
        judged: what of a support frame the temporal attention sees: its key (paper), or its plain value. A key that the
            frame had as a query knows nothing of its masks, so that nothing in it tells right ones from wrong ones.
        refine: the learnt decoder of instances (equation 12); without it only the fast output is there.
        slots: the number of instances that go through the network in one pass; more go in several passes.
        output: ``full``: the learnt decoder's masks; ``fast``: the product of upsampled coarse maps and the global map.
        product: the full output is multiplied by the global map too; not in equation 12.
        binary_support: the predicted global map enters the support encoder as 0 or 1.
        memory: ``support:T``: T frames, the first, the latest, and others spread evenly (the paper's; T = 5);
            ``first``; ``latest``; or a policy of STCN's: ``lfu:M``, ``every:K``, ``first-latest``.
        usage: what counts as use of a feature under ``lfu:M`` (see :class:`~rotoscope.memory.MemoryBank`).
        mem_every: under ``lfu:M`` a frame enters memory every so many frames.
        top_k: the number of support features that a query reads from; None reads all, as published.
        include_last: keep the previous frame as one temporary entry, where not every frame enters anyhow.
        protect_given: pin the frames on which objects are given, or corrected, after the first.
        strays: a piece of a mask that lies apart is left out if it resembles the given object less than this share of
            what the rest does (see :class:`~rotoscope.methods.strays.Strays`); 0 leaves out none. Not in the paper;
            needs ``similarity="l2"``.
        short_side: the network works on frames resized to this short side in pixels; None works at native size.
        max_short_side: frames with a longer short side are shrunk to this one; bounds the memory of 4K video.
        resizing: how frames and masks are resized (see :class:`~rotoscope.layers.canvas.Canvas`).
        border: what fills frames up to multiples of 16: ``zeros`` after they are normalised, or ``black`` before, as in
            STM (see :data:`~rotoscope.layers.canvas.Border`).
    """

    trunk: TrunkName = "resnet50"
    support_width: Count = 64
    key_dim: Count = 128
    value_dim: Count = 512
    kernel: Literal[1, 3] = 1
    shared: bool = True
    keys: Literal["support", "query"] = "support"
    similarity: Literal["dot", "l2"] = "dot"
    scaled: bool = True
    others: bool = False
    decoder_dims: tuple[Count, Count, Count] = (256, 256, 256)
    skip_blocks: bool = True
    label_dim: Count = 64
    label_gate: Literal["sigmoid", "linear"] = "sigmoid"
    coarse_dim: Count = 256
    global_embedding: bool = True
    instance_embedding: bool = True
    temporal_attention: Attention = "weights"
    judged: Judged = "keys"
    refine: bool = True
    slots: Count = 6
    output: Output = "full"
    product: bool = False
    binary_support: bool = False
    memory: str = "support:5"
    usage: Literal["topk", "softmax"] = "topk"
    mem_every: Count = 5
    top_k: Count | None = None
    include_last: bool = False
    protect_given: bool = True
    strays: Share = 0.0
    short_side: WorkingSide | None = None
    max_short_side: WorkingSide | None = 1088
    resizing: Resizing = "bicubic"
    border: Border = "zeros"

    def check(self) -> None:
        """See that fields do not contradict each other.

        Raises:
            InputError: says which do, and what to do.
        """
        if is_lite(self.trunk) and self.shared:
            raise InputError(f"trunk {self.trunk}: the support encoder is a ResNet-18, so give shared=false as well.")
        if self.strays and self.similarity != "l2":
            raise InputError("strays compares keys by their distance; this network's similarity is their product.")
        if self.others and self.instance_embedding:
            raise InputError(
                "others: the support encoder sees one union of all objects; only without instance_embedding."
            )
        if self.shared and self.support_width != 64:
            raise InputError(f"support_width {self.support_width}: encoders of two widths cannot be shared=true.")
        if self.temporal_attention == "similarity" and self.similarity != "dot":
            raise InputError("temporal_attention=similarity multiplies products; use similarity=dot, or weights.")
        if self.judged == "values" and not self.instance_embedding:
            raise InputError("judged=values: without instance_embedding there is no value of a whole frame; use keys.")
        if self.instance_embedding and not self.refine and self.output == "full":
            raise InputError("output=full is the learnt decoder's; a network with refine=false has output=fast only.")
        if not self.instance_embedding and (self.output == "fast" or not self.global_embedding):
            raise InputError(
                "without instance_embedding the global decoder gives each object's mask, with output=full."
            )
        parse_policy(self.memory, self.mem_every)


STM: dict[str, Any] = {
    "kernel": 3,
    "shared": False,
    "others": True,
    "instance_embedding": False,
    "temporal_attention": "none",
    "memory": "every:5",
    "include_last": True,
    "border": "black",
}
"""Fields of STM (Oh et al., ICCV 2019, and its released code)."""
