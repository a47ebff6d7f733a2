"""STCN as graphs: encode a frame, encode its masks, read the memory, say where objects were, decode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.layers.aggregation import EPSILON, leaned
from rotoscope.layers.normalise import MEAN, STD
from rotoscope.methods.stcn.config import STCNConfig
from rotoscope.methods.stcn.light import PLACES, Decoded
from rotoscope.methods.stcn.network import FrameFeatures, STCNNetwork
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.served import Served

FEATURES = FrameFeatures._fields
SKIPS = ("thin", "skip8", "skip4")
"""What the decoder sees of a frame."""
SIZES = {"h": 6, "w": 9, "hw": 54, "N": 2, "M": 216}
OTHERS = ({"h": 4, "w": 5, "hw": 20, "N": 1, "M": 60}, {"h": 7, "w": 11, "hw": 77, "N": 5, "M": 300})
"""Cells of a picture at stride 16, objects, and places of the memory."""
USUAL = {"h": 20, "w": 36, "N": 1}


def portable(network: STCNNetwork, config: STCNConfig) -> Portable:
    """The graphs of a network and what a session does with them."""
    if config.top_k is None:
        raise InputError("top_k=none reads the whole memory, which is not exported. Give a number, such as top_k=20.")
    if config.scales > 1 or config.counters != "shared":
        raise InputError("only scales=1 and counters=shared are exported. Leave these two options as they are.")
    return Portable((*_encoders(network, config), *_answers(network, config)), _facts(config), SIZES, OTHERS)


def calls(network: STCNNetwork, config: STCNConfig) -> Portable:
    """What a session calls: encoders and decoder alone; the memory is its own, and where objects were is quick."""
    key, value = _encoders(network, config)
    features = _features(network, config)
    masks = Port("masks", ("N", 1, "16*h", "16*w"), "soft masks of some objects in [0, 1]")
    others = Port("others", masks.axes, "of each the sum of all other objects'")
    value = Graph(value.name, Values(network), (*value.inputs[:-1], masks, others), value.outputs, value.says, 0.2)
    readout = Port("readout", ("N", config.value_dim, "h", "w"), "what was read for each object")
    told = Port("told", ("N", PLACES[config.previous], "4*h", "4*w"), "where the objects were")
    inputs = [readout, *(features[name] for name in SKIPS), *([told] if config.previous != "none" else [])]
    logits = Port("logits", ("N", 1, "16*h", "16*w"), "of the objects' masks")
    scores = Port("scores", ("N", 2), "logits of presence and of the IoU that the mask will have")
    outputs = (logits, scores) if config.scores else (logits,)
    decode = Graph("decode", Logits(network), tuple(inputs), outputs, "readouts to logits")
    graphs = [key, value, decode]
    if config.previous != "none":
        bare = Logits(network)
        graphs.append(Graph("decode_first", bare, decode.inputs[:-1], outputs, "before anything is known", 0.0))
    return Portable(tuple(graphs), {}, SIZES, OTHERS, USUAL)


class ServedSTCN(Served):
    """The functions of an STCN network, by a runtime."""

    def encode_key(self, image: Tensor) -> FrameFeatures:
        """See the network's."""
        return FrameFeatures(*self.ask("encode_key", image))

    def encode_value(self, image: Tensor, features: FrameFeatures, masks: Tensor, others: Tensor) -> Tensor:
        """See the network's; of one frame."""
        light = self.network.config.value_encoder == "light"
        seen = (features.f4, features.f8, features.f16) if light else (image, features.f16)
        return self.ask("encode_value", *seen, masks, others)[0]

    def decode(self, readout: Tensor, features: FrameFeatures, places: Tensor | None = None) -> Decoded:
        """See the network's; of one frame."""
        inputs = (readout, *(getattr(features, name) for name in SKIPS))
        if places is not None:
            return Decoded(*self.ask("decode", *inputs, places))
        return Decoded(*self.ask("decode" if self.network.config.previous == "none" else "decode_first", *inputs))


class EncodeKey(nn.Module):
    """A frame to its features."""

    def __init__(self, network: STCNNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``[1, 3, H, W]`` to all of :class:`FrameFeatures`."""
        return tuple(self.network.encode_key(image))


class EncodeValue(nn.Module):
    """The masks of a frame to values."""

    def __init__(self, network: STCNNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, f16: Tensor, masks: Tensor) -> Tensor:
        """Soft masks of all objects, ``[N, H, W]``, to values ``[N, Cv, h, w]``."""
        features = FrameFeatures(*[f16] * len(FEATURES))  # of these only the last of the trunk's is read
        own = masks[:, None]
        return self.network.encode_value(image, features, own, own.sum(dim=0, keepdim=True) - own)


class EncodeValueLight(nn.Module):
    """The same where values come of the shared features alone."""

    def __init__(self, network: STCNNetwork) -> None:
        super().__init__()
        self.values = network.light_values

    def forward(self, f4: Tensor, f8: Tensor, f16: Tensor, masks: Tensor) -> Tensor:
        """Soft masks of all objects, ``[N, H, W]``, to values ``[N, Cv, h, w]``."""
        own = masks[:, None]
        out: Tensor = self.values((f4, f8, f16), own, own.sum(dim=0, keepdim=True) - own)
        return out


class Values(nn.Module):
    """The masks of some of a frame's objects to values, as a session asks for them."""

    def __init__(self, network: STCNNetwork) -> None:
        super().__init__()
        self.network = network
        self.light = network.config.value_encoder == "light"

    def forward(self, *tensors: Tensor) -> Tensor:
        """What is seen of the frame, masks and others' masks ``[N, 1, H, W]`` to values ``[N, Cv, h, w]``."""
        *seen, masks, others = tensors
        if self.light:
            f4, f8, f16 = seen
            features = FrameFeatures(f16, f4, f8, f16, f16, f16, f16)  # of these three are read
            return self.network.encode_value(f16, features, masks, others)
        image, f16 = seen
        return self.network.encode_value(image, FrameFeatures(*[f16] * len(FEATURES)), masks, others)


class Logits(nn.Module):
    """Readouts to what the decoder answers, as a session asks for it."""

    def __init__(self, network: STCNNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, readout: Tensor, thin: Tensor, skip8: Tensor, skip4: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        """Logits ``[N, 1, H, W]``, and those of the scores ``[N, 2]`` where there are."""
        features = FrameFeatures(thin, skip4, skip8, thin, thin, skip8, skip4)  # of these three are read
        decoded = self.network.decode(readout, features, told[0] if told else None)
        return tuple(tensor for tensor in decoded if tensor is not None)


class Read(nn.Module):
    """A memory of a fixed number of places, some of them empty, some of frames on which masks were given."""

    def __init__(self, top_k: int, trust: float) -> None:
        super().__init__()
        self.top_k, self.trust = top_k, trust

    def forward(
        self, key: Tensor, keys: Tensor, values: Tensor, valid: Tensor, *given: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Readouts ``[N, Cv, h, w]``, and which places each query read from with which weight, ``[h*w, k]``."""
        height, width = key.shape[-2:]
        query = key[0].flatten(1).transpose(0, 1)
        scores = (2 * query @ keys - keys.square().sum(dim=0)) / keys.shape[0] ** 0.5
        scores = scores + self.trust * given[0].to(scores.dtype) if given else scores
        scores = torch.where(valid, scores, torch.full((), float("-inf")))
        top, places = scores.topk(self.top_k, dim=1)
        weights = torch.softmax(top, dim=1)
        chosen = values[:, places.flatten()].unflatten(1, (-1, self.top_k))
        readout = (chosen * weights[None, :, :, None]).sum(dim=2)
        return readout.transpose(1, 2).unflatten(2, (height, width)), places, weights


class Places(nn.Module):
    """Where objects were on the frame before, as the decoder is told of it."""

    def __init__(self, network: STCNNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, masks: Tensor, before: Tensor, key: Tensor) -> Tensor:
        """Masks ``[N, H, W]`` and the key of the frame before, and the key of this one, to ``[N, P, 4h, 4w]``."""
        now = FrameFeatures(key, key, key, key, key, key, key)  # of these only the key is read
        places = self.network.places(masks[None], before.flatten(2), now)
        assert places is not None
        return places


class Decode(nn.Module):
    """Readouts to probabilities of objects and background."""

    def __init__(self, network: STCNNetwork, config: STCNConfig) -> None:
        super().__init__()
        self.network = network
        self.told = config.previous != "none"
        self.least_presence = config.least_presence
        self.lean = config.lean

    def forward(self, readout: Tensor, thin: Tensor, skip8: Tensor, skip4: Tensor, *told: Tensor) -> Any:
        """Aggregated probabilities ``[1 + N, H, W]``, the background first, and scores ``[N, 2]`` where there are."""
        features = FrameFeatures(thin, skip4, skip8, thin, thin, skip8, skip4)
        decoded = self.network.decode(readout, features, told[0] if self.told else None)
        own = torch.sigmoid(leaned(decoded.logits[:, 0], self.lean))
        scores = None if decoded.scores is None else torch.sigmoid(decoded.scores)
        if scores is not None and self.least_presence:
            own = own * (scores[:, 0] >= self.least_presence)[:, None, None]
        both = torch.cat([(1 - own).prod(dim=0, keepdim=True), own]).clamp(EPSILON, 1 - EPSILON)
        odds = both / (1 - both)
        probabilities = odds / odds.sum(dim=0, keepdim=True)
        return probabilities if scores is None else (probabilities, scores)


def _encoders(network: STCNNetwork, config: STCNConfig) -> tuple[Graph, Graph]:
    image = Port("image", (1, 3, "16*h", "16*w"), "RGB, less the mean, over the deviation, with its border")
    masks = Port("masks", ("N", "16*h", "16*w"), "soft masks of all objects in [0, 1]")
    features = _features(network, config)
    value = Port("value", ("N", config.value_dim, "h", "w"), "values of the objects, to be kept beside the key")
    light = config.value_encoder == "light"
    seen = (features["f4"], features["f8"], features["f16"]) if light else (image, features["f16"])
    return (
        Graph("encode_key", EncodeKey(network), (image,), tuple(features.values()), "once for every frame"),
        Graph(
            "encode_value",
            EncodeValueLight(network) if light else EncodeValue(network),
            (*seen, masks),
            (value,),
            "for a frame that is to be remembered",
        ),
    )


def _answers(network: STCNNetwork, config: STCNConfig) -> tuple[Graph, ...]:
    features, k = _features(network, config), config.top_k or 0
    key, readout = features["key"], Port("readout", ("N", config.value_dim, "h", "w"), "what was read for each object")
    memory = (
        Port("keys", (config.key_dim, "M"), "keys of the memory, whatever in places that are empty"),
        Port("values", ("N", "M", config.value_dim), "values of the objects"),
        Port("valid", ("M",), "which places are taken, at least as many as are read from", "bool"),
    )
    given = Port("given", ("M",), "which places are of frames on which masks were given", "bool")
    used = (
        Port("places", ("hw", k), "places that each cell of the frame read from", "int64"),
        Port("weights", ("hw", k), "their weights"),
    )
    scores = Port("scores", ("N", 2), "whether each object is there, and the IoU its mask will have, in [0, 1]")
    probabilities = Port("probabilities", ("1+N", "16*h", "16*w"), "of background and objects, summing to 1")
    told = Port("told", ("N", PLACES[config.previous], "4*h", "4*w"), "where the objects were")
    asked = (key, *memory, given) if config.trust else (key, *memory)
    read = Graph("read", Read(k, config.trust), asked, (readout, *used), "for every frame that follows the first masks")
    graphs = [read]
    if config.previous != "none":
        before = Port("before", key.axes, "key of the frame before")
        masks = Port("masks", ("N", "16*h", "16*w"), "probabilities of the objects on the frame before")
        graphs.append(Graph("places", Places(network), (masks, before, key), (told,), "before decoding"))
    inputs = (readout, features["thin"], features["skip8"], features["skip4"])
    graphs.append(
        Graph(
            "decode",
            Decode(network, config),
            (*inputs, *((told,) if config.previous != "none" else ())),
            (probabilities, *((scores,) if config.scores else ())),
            "readouts to probabilities at the working size",
        )
    )
    return tuple(graphs)


def _features(network: STCNNetwork, config: STCNConfig) -> dict[str, Port]:
    c4, c8, c16 = network.key_encoder.channels
    d16, d8, d4 = config.decoder_dims
    skips = (d8, d4) if config.decoder == "light" else (d16, d8)
    channels = (config.key_dim, c4, c8, c16, config.thin_dim, *skips)
    strides = (1, 4, 2, 1, 1, 2, 4)
    return {
        name: Port(
            name,
            (1, count, *(axis if stride == 1 else f"{stride}*{axis}" for axis in ("h", "w"))),
            f"features of the frame at stride {16 // stride}",
        )
        for name, count, stride in zip(FEATURES, channels, strides, strict=True)
    }


def _facts(config: STCNConfig) -> dict[str, Any]:
    return {
        "method": "stcn",
        "normalisation": {"scale": 255, "mean": MEAN, "deviation": STD},
        "size": {
            "short_side": config.short_side,
            "max_short_side": config.max_short_side,
            "resizing": config.resizing,
            "multiple": 16,
            "border": "nothing after normalising; the smaller half left and above",
        },
        "memory": {
            "policy": config.memory,
            "mem_every": config.mem_every,
            "top_k": config.top_k,
            "usage": config.usage,
            "include_last": config.include_last,
            "protect_first": config.protect_first,
            "trust": config.trust,
        },
        "decoder": {
            "previous": config.previous,
            "scores": config.scores,
            "least_presence": config.least_presence,
            "least_quality": config.least_quality,
            "strays": config.strays,
        },
    }


GRAPHS = GraphSet(portable, calls, ServedSTCN)
