"""A-GAME as graphs: encode a frame, begin objects on it, find them on another, remember how they look there."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.layers.normalise import MEAN, STD
from rotoscope.methods.agame.appearance import COMPONENTS
from rotoscope.methods.agame.config import AGAMEConfig
from rotoscope.methods.agame.network import AGAMENetwork, Answer, FrameFeatures, Memory
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.served import Served

SIZES = {"h": 6, "w": 9, "hw": 54, "N": 2}
OTHERS = ({"h": 4, "w": 5, "hw": 20, "N": 1}, {"h": 7, "w": 11, "hw": 77, "N": 5})
USUAL = {"h": 30, "w": 54, "hw": 1620, "N": 1}
FEATURES, MEMORY = len(FrameFeatures._fields), len(Memory._fields)


def portable(network: AGAMENetwork, config: AGAMEConfig) -> Portable:
    """The graphs of a network and what a session does with them.

    Raises:
        InputError: a network without appearance model or propagation.
    """
    if config.appearance == "none" or not config.propagation:
        raise InputError("a network of A-GAME without appearance or propagation cannot be exported.")
    features, memory = _features(network, config), _memory(config)
    image = Port("image", (1, 3, "16*h", "16*w"), "RGB, less the mean, over the deviation, with its border")
    masks = Port(
        "masks", ("N", 2, "h", "w"), "background and target of each object at stride 16, by averaging; sum to 1"
    )
    rate = Port("rate", ("N",), "update rate of each object in [0, 1]; 0 leaves its appearance as it is")
    renewed = tuple(Port(f"new_{port.name}", port.axes, port.says) for port in memory)
    answers = (
        Port("coarse", ("N", 2, "h", "w"), "logits of background and target at stride 16"),
        Port("final", ("N", 2, "16*h", "16*w"), "the same at the working size"),
    )
    graphs = (
        Graph("encode", Encode(network), (image,), features, "once for every frame"),
        Graph("begin", Begin(network), (features[0], features[1], masks), renewed, "for objects given on a frame"),
        Graph("segment", Segment(network), (*features, *memory), answers, "for every later frame"),
        Graph("update", Update(network), (features[1], memory[0], memory[1], masks, rate), renewed[:2], "after it"),
    )
    return Portable(graphs, _facts(config), SIZES, OTHERS)


def calls(network: AGAMENetwork, config: AGAMEConfig) -> Portable:
    """What a session calls: the same graphs."""
    whole = portable(network, config)
    rare = tuple(dataclasses.replace(g, per_frame=0.0) if g.name == "begin" else g for g in whole.graphs)
    return Portable(rare, {}, SIZES, OTHERS, USUAL)


class ServedAGAME(Served):
    """The functions of an A-GAME network, by a runtime."""

    def encode(self, image: Tensor) -> FrameFeatures:
        """See the network's."""
        return FrameFeatures(*self.ask("encode", image))

    def begin(self, features: FrameFeatures, masks: Tensor) -> Memory:
        """See the network's; of one frame."""
        return Memory(*self.ask("begin", features.s16, features.described, masks))

    def segment(self, features: FrameFeatures, memory: Memory) -> Answer:
        """See the network's; of one frame."""
        return Answer(*self.ask("segment", *features, *memory))

    def update(self, features: FrameFeatures, memory: Memory, masks: Tensor, rate: Tensor) -> Memory:
        """See the network's; of one frame."""
        mean, variance = self.ask("update", features.described, memory.mean, memory.variance, masks, rate)
        return memory._replace(mean=mean, variance=variance, previous=masks)


class Encode(nn.Module):
    """A frame to its features."""

    def __init__(self, network: AGAMENetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``[1, 3, H, W]`` to all of :class:`FrameFeatures`."""
        return tuple(self.network.encode(image))


class Begin(nn.Module):
    """Masks given on a frame to a memory of their objects."""

    def __init__(self, network: AGAMENetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, s16: Tensor, described: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        """All of :class:`Memory`, whose last is the masks themselves."""
        features = FrameFeatures(s16, described, s16, s16, s16)  # of these only the first two are read
        memory = self.network.begin(features, masks)
        return (*memory[:3], masks * 1)  # an output may not be an input


class Segment(nn.Module):
    """Features of a frame and the memory of objects to logits."""

    def __init__(self, network: AGAMENetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """All of :class:`FrameFeatures`, then all of :class:`Memory`."""
        answer = self.network.segment(FrameFeatures(*tensors[:FEATURES]), Memory(*tensors[FEATURES:]))
        return answer.coarse, answer.final


class Update(nn.Module):
    """How objects look on a frame, into their appearance models."""

    def __init__(self, network: AGAMENetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, described: Tensor, mean: Tensor, variance: Tensor, masks: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The new mean and variance; the masks are the new ``previous``."""
        features = FrameFeatures(described, described, described, described, described)
        memory = self.network.update(features, Memory(mean, variance, masks, masks), masks, rate)
        return memory.mean, memory.variance


def _features(network: AGAMENetwork, config: AGAMEConfig) -> tuple[Port, ...]:
    c16, dim = network.backbone.channels[-1], config.decoder_dim
    return (
        Port("s16", (1, c16, "h", "w"), "last features of the backbone"),
        Port("described", (1, config.appearance_dim, "hw"), "what the appearance is modelled on"),
        Port("current", (1, config.propagation_dim, "h", "w"), "the frame's part of the propagation"),
        Port("skip8", (1, dim, "2*h", "2*w"), "the frame's part of the decoder at stride 8"),
        Port("skip4", (1, dim, "4*h", "4*w"), "the same at stride 4"),
    )


def _memory(config: AGAMEConfig) -> tuple[Port, ...]:
    components = COMPONENTS[config.appearance]
    return (
        Port("mean", ("N", components, config.appearance_dim), "appearance model: means"),
        Port("variance", ("N", components, config.appearance_dim), "appearance model: variances, above 0"),
        Port("first", ("N", config.propagation_dim, "h", "w"), "what the propagation keeps of the given frame"),
        Port("previous", ("N", 2, "h", "w"), "background and target on the frame before, at stride 16"),
    )


def _facts(config: AGAMEConfig) -> dict[str, Any]:
    return {
        "method": "agame",
        "normalisation": {"scale": 255, "mean": MEAN, "deviation": STD},
        "size": {
            "short_side": config.short_side,
            "max_short_side": config.max_short_side,
            "multiple": 16,
            "border": "the picture and its masks mirrored; the larger half left and above",
        },
        "state": {"memory": list(Memory._fields), "update_rate": config.update_rate, "recurrence": config.recurrence},
        "answer": f"softmax of final over background and target, this plus {config.lean:g}; of several objects the "
        "odds, the background's least",
    }


GRAPHS = GraphSet(portable, calls, ServedAGAME)
