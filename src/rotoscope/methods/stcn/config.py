"""Sizes of an STCN network and the choices of its inference; every ablation is a field here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rotoscope.layers.canvas import Resizing
from rotoscope.layers.resnet import Depth


@dataclass(frozen=True)
class STCNConfig:
    """STCN (Cheng et al., NeurIPS 2021) with the memory of the thesis; the defaults are the released network.

    Attributes:
        key_depth: residual network of the key encoder, cut at stride 16.
        value_width: first-layer channels of the value encoder's ResNet-18 (64 as released).
        key_dim: channels of a key.
        value_dim: channels of a value, and of the fused object features.
        thin_dim: channels of the compressed query features that enter the decoder beside the readout.
        decoder_dims: channels at stride 16, 8 and 4 of the decoder.
        short_side: the network works on frames resized to this short side in pixels; None works at native size.
        max_short_side: frames with a longer short side are shrunk to this one; bounds the memory of 4K video.
        resizing: how frames and masks are resized (see :class:`~rotoscope.layers.canvas.Canvas`).
        memory: policy of the memory bank: ``every:K``, ``first-latest`` or ``lfu:M`` (M in frames' worth of features).
        usage: what counts as use of a feature: being among the top-k, or its softmax weight (thesis, table 4).
        mem_every: a frame enters memory every so many frames (``every:K`` sets it too).
        top_k: support features a query reads from; None reads all (full softmax).
        include_last: keep the previous frame as one temporary entry (released option).
        protect_first: pin the features of the frames on which objects were given. The thesis does not.
    """

    key_depth: Depth = 50
    value_width: int = 64
    key_dim: int = 64
    value_dim: int = 512
    thin_dim: int = 512
    decoder_dims: tuple[int, int, int] = (512, 256, 256)
    short_side: int | None = None
    max_short_side: int | None = 1088
    resizing: Resizing = "bicubic"
    memory: str = "lfu:4"
    usage: Literal["topk", "softmax"] = "topk"
    mem_every: int = 5
    top_k: int | None = 20
    include_last: bool = False
    protect_first: bool = True
