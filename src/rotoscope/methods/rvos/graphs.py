"""RVOS as graphs: encode a frame, and one step of the recurrent decoder for one object."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from rotoscope.layers.normalise import MEAN, STD
from rotoscope.methods.rvos.config import RVOSConfig
from rotoscope.methods.rvos.network import Pyramid, RVOSNetwork, State, mask_pyramid
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.served import Served

LEVELS = 4
SIZES = {"h": 4, "w": 6}
OTHERS = ({"h": 2, "w": 3}, {"h": 5, "w": 4})
USUAL = {"h": 8, "w": 14}


def portable(network: RVOSNetwork, config: RVOSConfig) -> Portable:
    """The graphs of a network and what a session does with them."""
    width = config.hidden
    image = Port("image", (1, 3, "32*h", "32*w"), "RGB, less the mean, over the deviation")
    features = _pyramid("feature", (width, width, width // 2, width // 4), "features of the frame")
    inside = (width, width // 2, width // 4, width // 8)
    before = _pyramid("before", inside, "hidden state of this object on the frame before; zeros for a new one")
    hidden = _pyramid("hidden", inside, "hidden state of the object before it on this frame; zeros for the first")
    cell = _pyramid("cell", inside, "cell state of the same; zeros for the first")
    mask = Port("mask", (1, 1, "32*h", "32*w"), "the object's mask on the frame before, in [0, 1]")
    logits = Port("logits", (1, 1, "16*h", "16*w"), "of the object, at stride 2; enlarge with corners aligned")
    states = tuple(
        Port(f"new_{port.name}", port.axes, f"state of this object, level {port.name}") for port in (*hidden, *cell)
    )
    graphs = (
        Graph("encode", Encode(network), (image,), features, "once for every frame"),
        Graph(
            "decode",
            Decode(network, config.one_shot),
            (*((mask,) if config.one_shot else ()), *features, *hidden, *cell, *before),
            (logits, *states),
            "for every object in turn",
        ),
    )
    return Portable(graphs, _facts(config), SIZES, OTHERS)


def calls(network: RVOSNetwork, config: RVOSConfig) -> Portable:
    """What a session calls: the same, with the mask at the four levels."""
    whole = portable(network, config)
    encode, decode = whole.graphs
    levels = _pyramid("mask", (1, 1, 1, 1), "the object's mask on the frame before") if config.one_shot else ()
    inputs = (*levels, *decode.inputs[config.one_shot :])
    step = Graph("decode", Step(network, config.one_shot), inputs, decode.outputs, decode.says)
    return Portable((encode, step), {}, SIZES, OTHERS, USUAL)


class ServedRVOS(Served):
    """The functions of an RVOS network, by a runtime."""

    def encode(self, image: Tensor) -> Pyramid:
        """See the network's."""
        return list(self.ask("encode", image))

    def decode(
        self, features: Pyramid, masks: Pyramid | None, other: State | None, before: Pyramid | None
    ) -> tuple[Tensor, State]:
        """See the network's; of one frame. States that there are none of are zeros."""
        shown = zip(features, self.network.cells, strict=True)
        none = [f.new_zeros(1, cell.channels, *f.shape[-2:]) for f, cell in shown]
        hidden, cell = (none, none) if other is None else (other.hidden, other.cell)
        answer = self.ask("decode", *(masks or ()), *features, *hidden, *cell, *(before or none))
        return answer[0], State(list(answer[1 : 1 + LEVELS]), list(answer[1 + LEVELS :]))


class Encode(nn.Module):
    """A frame to its features."""

    def __init__(self, network: RVOSNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``[1, 3, H, W]`` to features at stride 32, 16, 8 and 4."""
        return tuple(self.network.encode(image))


class Decode(nn.Module):
    """One object on one frame."""

    def __init__(self, network: RVOSNetwork, one_shot: bool) -> None:
        super().__init__()
        self.network = network
        self.one_shot = one_shot

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The mask (one-shot), then features, hidden and cell states of the object before, hidden states before."""
        inputs = list(tensors)
        pyramid = mask_pyramid(inputs.pop(0)) if self.one_shot else None
        features, hidden, cell, before = (inputs[at : at + LEVELS] for at in range(0, 4 * LEVELS, LEVELS))
        logits, state = self.network.decode(features, pyramid, State(hidden, cell), before)
        return (logits, *state.hidden, *state.cell)


class Step(Decode):
    """One object on one frame, as a session asks for it."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The mask at four levels (one-shot), then as in :class:`Decode`."""
        parts = [list(tensors[at : at + LEVELS]) for at in range(0, len(tensors), LEVELS)]
        pyramid = parts.pop(0) if self.one_shot else None
        features, hidden, cell, before = parts
        logits, state = self.network.decode(features, pyramid, State(hidden, cell), before)
        return (logits, *state.hidden, *state.cell)


def _pyramid(name: str, channels: tuple[int, ...], says: str) -> tuple[Port, ...]:
    """Ports of four levels, coarsest first."""
    return tuple(
        Port(
            f"{name}{stride}",
            (1, count, *(axis if stride == 32 else f"{32 // stride}*{axis}" for axis in ("h", "w"))),
            f"{says}, at stride {stride}",
        )
        for count, stride in zip(channels, (32, 16, 8, 4), strict=True)
    )


def _facts(config: RVOSConfig) -> dict[str, Any]:
    return {
        "method": "rvos",
        "normalisation": {"scale": 255, "mean": MEAN, "deviation": STD},
        "size": {"height": config.size[0], "width": config.size[1], "keep_aspect": config.keep_aspect, "multiple": 32},
        "state": {
            "one_shot": config.one_shot,
            "recurrence": config.recurrence,
            "first_mask_again": config.first_mask_again,
            "carry": config.carry,
            "slots": config.slots,
            "objectness": config.objectness,
            "least": config.least,
            "apart": config.apart,
        },
    }


GRAPHS = GraphSet(portable, calls, ServedRVOS)
