"""GIEL and STM as graphs: encode a frame, encode it as support, read the memory, find all objects and each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rotoscope.layers.normalise import MEAN, STD
from rotoscope.methods.giel.config import GIELConfig
from rotoscope.methods.giel.network import FrameFeatures, GIELNetwork, affinity_logits, weigh
from rotoscope.methods.giel.parts import TemporalAttention
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.served import Served

SIZES = {"h": 6, "w": 9, "hw": 54, "N": 2, "M": 216, "T": 4}
OTHERS = (
    {"h": 4, "w": 5, "hw": 20, "N": 1, "M": 60, "T": 3},
    {"h": 7, "w": 11, "hw": 77, "N": 5, "M": 385, "T": 5},
)
"""Cells of a picture at stride 16, objects, places of the memory and its frames."""
USUAL = {"h": 30, "w": 54, "N": 1}
GLOBAL = ("global16", "global8", "global4")
FINE = ("fine16", "fine8", "fine4")


def portable(network: GIELNetwork, config: GIELConfig) -> Portable:
    """The graphs of a network and what a session does with them."""
    return Portable(
        (*_encoders(network, config), *_memory(network, config), *_heads(network, config)),
        _facts(config),
        SIZES,
        OTHERS,
    )


def calls(network: GIELNetwork, config: GIELConfig) -> Portable:
    """What a session calls: encoders and heads; the memory and its temporal attention are its own."""
    facts = {"fine": _has_fine(network, config)}
    return Portable((*_encoders(network, config), *_heads(network, config)), facts, SIZES, OTHERS, USUAL)


class ServedGIEL(Served):
    """The functions of a GIEL network, by a runtime."""

    def encode_query(self, image: Tensor, *, common: bool = True, fine: bool = True) -> FrameFeatures:
        """See the network's, which itself answers a session that asks for another output than the graphs are of."""
        network = self.network
        if not common or (fine and network.refine is not None) != self.facts["fine"]:
            own: FrameFeatures = network.encode_query(image, common=common, fine=fine)
            return own
        outputs = dict(zip(_names(network, self.facts["fine"]), self.ask("encode_query", image), strict=True))
        nothing = outputs["key"][:, :0]
        return FrameFeatures(*(outputs.get(name, nothing) for name in FrameFeatures._fields))

    def encode_support(self, image: Tensor, masks: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """See the network's."""
        *own, value = self.ask("encode_support", image, masks)
        return own[0] if own else key, value

    def encode_labels(self, labels: Tensor) -> Tensor:
        """See the network's."""
        return self.ask("encode_labels", labels)[0]

    def find_all(self, readout: Tensor, features: FrameFeatures) -> Tensor:
        """See the network's; of one frame."""
        return self.ask("find_all", readout, *(getattr(features, name) for name in GLOBAL))[0]

    def find_fast(self, readout: Tensor, features: FrameFeatures, common: Tensor | None) -> Tensor:
        """See the network's; of one frame."""
        probabilities = self.ask("find_fast", readout, features.coarse16)[0]
        return probabilities if common is None else probabilities * common

    def find_fine(self, readout: Tensor, features: FrameFeatures, common: Tensor | None) -> Tensor:
        """See the network's; of one frame."""
        probabilities = self.ask("find_fine", readout, *(getattr(features, name) for name in FINE))[0]
        return probabilities if common is None else probabilities * common


class EncodeQuery(nn.Module):
    """A frame to its features."""

    def __init__(self, network: GIELNetwork, fine: bool) -> None:
        super().__init__()
        self.network = network
        self.fine = fine
        self.names = _names(network, fine)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``[1, 3, H, W]`` to those of :class:`FrameFeatures` that the network has."""
        features = self.network.encode_query(image, fine=self.fine)
        return tuple(getattr(features, name) for name in self.names)


class EncodeSupport(nn.Module):
    """Frames and masks to keys and values."""

    def __init__(self, network: GIELNetwork, own_key: bool) -> None:
        super().__init__()
        self.network = network
        self.own_key = own_key

    def forward(self, image: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        """``[B, 3, H, W]`` and ``[B, 1 or 2, H, W]`` to keys, where support frames have their own, and values."""
        key, value = self.network.encode_support(image, masks, masks)
        return (key, value) if self.own_key else (value,)


class EncodeLabels(nn.Module):
    """Label tensors to codes that multiply values."""

    def __init__(self, network: GIELNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, labels: Tensor) -> Tensor:
        """``[N, 3, H, W]`` to ``[N, Cv, h, w]``."""
        return self.network.encode_labels(labels)


class Find(nn.Module):
    """A head: readouts to masks."""

    def __init__(self, network: GIELNetwork, head: str) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, readout: Tensor, *parts: Tensor) -> Tensor:
        """Readouts ``[N, Cv, h, w]`` and the frame's parts to ``[N, 1, H, W]``."""
        first, at8, at4 = parts if len(parts) > 1 else parts * 3  # each head reads its own of these
        features = FrameFeatures(first, first, at8, at4, first, at8, at4, first)
        if self.head == "find_all":
            return self.network.find_all(readout, features)
        head = self.network.find_fine if self.head == "find_fine" else self.network.find_fast
        return head(readout, features, None)


class Describe(nn.Module):
    """What the temporal attention keeps of a support frame."""

    def __init__(self, attention: TemporalAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """A key, or value, as the first frame's and as a frame's own, ``[1, Ck]`` each."""
        return self.attention.support(seen)


class Attend(nn.Module):
    """How much each support frame counts."""

    def __init__(self, attention: TemporalAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, first: Tensor, own: Tensor, key: Tensor) -> Tensor:
        """See :class:`TemporalAttention`; ``[1, T]``."""
        return self.attention(first, own, key)


class Read(nn.Module):
    """A memory of a fixed number of places, some of them empty."""

    def __init__(self, config: GIELConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, key: Tensor, keys: Tensor, values: Tensor, valid: Tensor, *weights: Tensor) -> Tensor:
        """Readouts ``[N, Cv, h, w]``; ``weights`` of the places where there is temporal attention, ``[M]``."""
        height, width = key.shape[-2:]
        scores = affinity_logits(self.config, keys, key[0].flatten(1))[None]
        if weights:
            scores = weigh(self.config, scores, weights[0][None])
        scores = torch.where(valid[:, None], scores[0], torch.full((), float("-inf")))
        if self.config.top_k is not None:
            least = scores.topk(self.config.top_k, dim=0).values[-1:]
            scores = torch.where(scores >= least, scores, torch.full((), float("-inf")))
        readout = values.transpose(1, 2) @ torch.softmax(scores, dim=0)
        return readout.unflatten(2, (height, width))


def _has_fine(network: GIELNetwork, config: GIELConfig) -> bool:
    return network.refine is not None and config.output == "full"


def _names(network: GIELNetwork, fine: bool) -> tuple[str, ...]:
    """Fields of :class:`FrameFeatures` that a network has."""
    names = ["key", *(GLOBAL if network.decoder is not None else ()), *(FINE if fine else ())]
    return (*names, *(("coarse16",) if network.coarse is not None else ()))


def _features(network: GIELNetwork, config: GIELConfig) -> dict[str, Port]:
    d16, d8, _ = config.decoder_dims
    of_decoder = ((d16, 1), (d16, 2), (d8, 4))
    sizes = {"key": (config.key_dim, 1), "coarse16": (config.coarse_dim, 1)}
    sizes |= dict(zip(GLOBAL, of_decoder, strict=True)) | dict(zip(FINE, of_decoder, strict=True))
    return {
        name: Port(
            name,
            (1, channels, *(axis if finer == 1 else f"{finer}*{axis}" for axis in ("h", "w"))),
            f"features of the frame at stride {16 // finer}",
        )
        for name, (channels, finer) in sizes.items()
    }


def _encoders(network: GIELNetwork, config: GIELConfig) -> tuple[Graph, ...]:
    features, fine = _features(network, config), _has_fine(network, config)
    image = Port("image", (1, 3, "16*h", "16*w"), "RGB, less the mean, over the deviation, with its border")
    images = Port("image", ("N", 3, "16*h", "16*w"), "the same, for each mask")
    many = 2 if config.others else 1
    union = "the objects'" if config.instance_embedding else "one object's, and the sum of the others' where asked for"
    masks = Port("masks", ("N", many, "16*h", "16*w"), f"soft masks in [0, 1]: {union}")
    key = Port("key", ("N", config.key_dim, "h", "w"), "the support frame's key")
    value = Port("value", ("N", config.value_dim, "h", "w"), "the support frame's value")
    own = config.keys == "support"
    shown = tuple(features[name] for name in _names(network, fine))
    graphs = [
        Graph("encode_query", EncodeQuery(network, fine), (image,), shown, "once for every frame"),
        Graph(
            "encode_support",
            EncodeSupport(network, own),
            (images, masks),
            (key, value) if own else (value,),
            "for a frame that is to be remembered",
        ),
    ]
    if config.instance_embedding:
        labels = Port("labels", ("N", 3, "16*h", "16*w"), "of each instance: its mask, the others' sum, background")
        codes = Port("codes", value.axes, "multiply the value, one for each instance")
        graphs.append(Graph("encode_labels", EncodeLabels(network), (labels,), (codes,), "for the same frame"))
    return tuple(graphs)


def _memory(network: GIELNetwork, config: GIELConfig) -> tuple[Graph, ...]:
    dim, key = config.key_dim, _features(network, config)["key"]
    inputs = [
        key,
        Port("keys", (dim, "M"), "keys of the support frames, whatever in places that are empty"),
        Port("values", ("N", "M", config.value_dim), "values, of all objects together and of each"),
        Port("valid", ("M",), "which places are taken", "bool"),
    ]
    graphs = []
    if network.temporal is not None:
        first = Port("first", (1, dim), "what is kept of the first frame")
        own, all_own = Port("own", (1, dim), "what is kept of this frame"), Port("own", (1, "T", dim), "of each frame")
        weights = Port("weights", (1, "T"), "how much each support frame counts; their mean is 1")
        value = Port("value", (1, config.value_dim, "h", "w"), "the support frame's value")
        seen = value if config.judged == "values" else key
        told = f"of a support frame's {seen.name}"
        graphs.append(Graph("describe", Describe(network.temporal), (seen,), (first, own), told))
        graphs.append(Graph("attend", Attend(network.temporal), (first, all_own, key), (weights,), "before a read"))
        inputs.append(Port("weights", ("M",), "those of the places' frames, above 0", lowest=0.1, highest=2.0))
    readout = Port("readout", ("N", config.value_dim, "h", "w"), "what was read, for each set of values")
    graphs.append(Graph("read", Read(config), tuple(inputs), (readout,), "for every frame after the first masks"))
    return tuple(graphs)


def _heads(network: GIELNetwork, config: GIELConfig) -> tuple[Graph, ...]:
    features = _features(network, config)
    readout = Port("readout", ("N", config.value_dim, "h", "w"), "what was read")
    logits = Port("logits", ("N", 1, "16*h", "16*w"), "of the map of all objects, or of each one's mask")
    answer = Port("probabilities", ("N", 1, "16*h", "16*w"), "probabilities of each instance")
    graphs = []
    if network.decoder is not None:
        parts = (readout, *(features[name] for name in GLOBAL))
        graphs.append(Graph("find_all", Find(network, "find_all"), parts, (logits,), "from values without a code"))
    if network.coarse is not None and not _has_fine(network, config):
        parts = (readout, features["coarse16"])
        graphs.append(Graph("find_fast", Find(network, "find_fast"), parts, (answer,), "multiply by the map of all"))
    if _has_fine(network, config):
        parts = (readout, *(features[name] for name in FINE))
        graphs.append(Graph("find_fine", Find(network, "find_fine"), parts, (answer,), "the learnt decoder's"))
    return tuple(graphs)


def _facts(config: GIELConfig) -> dict[str, Any]:
    return {
        "method": "giel",
        "normalisation": {"scale": 255, "mean": MEAN, "deviation": STD},
        "size": {
            "short_side": config.short_side,
            "max_short_side": config.max_short_side,
            "resizing": config.resizing,
            "multiple": 16,
            "border": config.border,
        },
        "memory": {
            "policy": config.memory,
            "mem_every": config.mem_every,
            "top_k": config.top_k,
            "include_last": config.include_last,
            "binary_support": config.binary_support,
        },
        "answer": {"output": config.output, "product": config.product, "instances": config.instance_embedding},
    }


GRAPHS = GraphSet(portable, calls, ServedGIEL)
