"""RSIS and RIS as graphs: encode a picture, and find one object more on it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from rotoscope.layers.normalise import MEAN, STD
from rotoscope.methods.rsis.config import RSISConfig
from rotoscope.methods.rsis.network import Features, RSISNetwork, State, Step
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.served import Served

STRIDES = (32, 16, 8, 4, 2)
"""Of the levels of a pyramid, coarsest first."""
PICTURES = ((64, 96), (48, 80), (80, 48))
"""Heights and widths of the pictures that graphs are traced and tried at."""


def portable(network: RSISNetwork, config: RSISConfig) -> Portable:
    """The graphs of a network and what a session does with them."""
    features = _features(network, config)
    hidden = _carried(network, config, "hidden", "hidden state of the object before; zeros for the first")
    cell = _carried(network, config, "cell", "cell state of the object before; zeros for the first")
    states = tuple(Port(f"new_{port.name}", port.axes, "the same of this object") for port in (*hidden, *cell))
    image = Port("image", (1, 3, *_axes(config, 1)), "RGB, less the mean, over the deviation")
    graphs = (
        Graph("encode", Encode(network), (image,), features, "once for every picture"),
        Graph(
            "decode",
            Decode(network),
            (*features, *hidden, *cell),
            (*_answers(network, config), *states),
            "for every object in turn",
            per_frame=config.slots,
        ),
    )
    first, *others = (_sizes(*picture) for picture in PICTURES)
    return Portable(graphs, _facts(network, config), first, tuple(others), _sizes(*config.size))


def calls(network: RSISNetwork, config: RSISConfig) -> Portable:
    """What a session calls: the same graphs; with ``pooling=map`` they depend on the size."""
    whole = portable(network, config)
    facts = {"size": list(config.size)} if config.pooling == "map" else {}
    return Portable(whole.graphs, facts, whole.sizes, whole.others, whole.usual)


class ServedRSIS(Served):
    """The functions of an RSIS network, by a runtime."""

    def encode(self, image: Tensor) -> Features:
        """See the network's; of one picture."""
        return list(self.ask("encode", image))

    def decode(self, features: Features, before: State | None) -> Step:
        """See the network's; of one picture. States that there are none of are zeros."""
        network: RSISNetwork = self.network
        if before is None:
            shown = features if network.pyramid else features * len(_states(network))
            sizes = zip(_states(network), shown, strict=True)
            none = [f.new_zeros(1, channels, *f.shape[-2:]) for channels, f in sizes]
            before = State(none, none)
        answer = list(self.ask("decode", *features, *before.hidden, *before.cell))
        logits, side, stop = (answer.pop(0) for _ in range(3))
        classes = None if network.fc_class is None else answer.pop(0)
        box = None if network.fc_box is None else answer.pop(0)
        half = len(answer) // 2
        return Step(logits, side, stop, classes, box, State(answer[:half], answer[half:]))


class Encode(nn.Module):
    """A picture to its features."""

    def __init__(self, network: RSISNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``[1, 3, H, W]`` to features of each level."""
        return tuple(self.network.encode(image))


class Decode(nn.Module):
    """One object of a picture."""

    def __init__(self, network: RSISNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Features, hidden states, then cell states; to all of :class:`Step` that there is, states behind the rest."""
        count = len(self.network.cells)
        features, states = list(tensors[: -2 * count]), tensors[-2 * count :]
        step = self.network.decode(features, State(list(states[:count]), list(states[count:])))
        heads = [head for head in (step.classes, step.box) if head is not None]
        return (step.logits, step.side, step.stop, *heads, *step.state.hidden, *step.state.cell)


def _strides(network: RSISNetwork) -> tuple[int, ...]:
    """Of each ConvLSTM."""
    count = len(network.cells)
    return STRIDES[:count] if network.pyramid else (network.stride,) * count


def _states(network: RSISNetwork) -> list[int]:
    """Channels of each ConvLSTM's states."""
    return [cell.channels for cell in network.cells]  # type: ignore[misc]


def _carried(network: RSISNetwork, config: RSISConfig, kind: str, says: str) -> tuple[Port, ...]:
    """Ports of states of all ConvLSTMs."""
    shapes = zip(_states(network), _strides(network), strict=True)
    return tuple(
        Port(f"{kind}{number}", (1, channels, *_axes(config, stride)), says, lowest=-1)
        for number, (channels, stride) in enumerate(shapes)
    )


def _axes(config: RSISConfig, stride: int) -> tuple[int | str, int | str]:
    """Height and width at a stride: sides over it, rounded up; numbers where heads are tied to one size."""
    if config.pooling == "map":
        height, width = (-(-side // stride) for side in config.size)
        return height, width
    return (f"h{stride}", f"w{stride}")


def _sizes(height: int, width: int) -> dict[str, int]:
    """The symbols' values for a picture."""
    return {f"{name}{s}": -(-side // s) for name, side in (("h", height), ("w", width)) for s in (1, *STRIDES)}


def _features(network: RSISNetwork, config: RSISConfig) -> tuple[Port, ...]:
    if not network.pyramid:
        axes = _axes(config, network.stride)
        return (Port("feature", (1, config.hidden, *axes), f"features of the picture at stride {network.stride}"),)
    width, encoder = config.hidden, network.encoder.channels
    shown = (width, width, width // 2, width // 4, width // 8)
    skipped = len(network.skips)
    own = list(zip(shown, encoder[::-1], STRIDES, strict=False))[: network.layers]  # type: ignore[index]
    return tuple(
        Port(
            f"feature{stride}",
            (1, channels if n < skipped else before, *_axes(config, stride)),
            f"features of the picture at stride {stride}",
        )
        for n, (channels, before, stride) in enumerate(own)
    )


def _answers(network: RSISNetwork, config: RSISConfig) -> tuple[Port, ...]:
    finest = _axes(config, _strides(network)[-1])
    size = tuple(f"2*{axis}" for axis in finest) if network.pyramid else finest
    seen = network.fc_stop.in_features
    answers = [
        Port("logits", (1, 1, *size), "of the object's mask; see answer"),
        Port("side", (1, seen), "what the heads see of the object"),
        Port("stop", (1,), "its sigmoid says how sure it is that this is an object"),
    ]
    if config.classes:
        answers.append(Port("classes", (1, config.classes), "logits of its class, 0 for none of them"))
    if config.box:
        answers.append(Port("box", (1, 4), "its sigmoid is left, top, width and height as shares of the picture"))
    return tuple(answers)


def _facts(network: RSISNetwork, config: RSISConfig) -> dict[str, Any]:
    if network.pyramid:
        answer = "logits enlarged to the working size, bilinear with corners aligned; sigmoid"
    elif network.stride > 1:
        answer = f"sigmoid; enlarged {network.stride} times, bilinear; the middle of the working size cut out"
    else:
        answer = "sigmoid"
    return {
        "method": "rsis",
        "normalisation": {"scale": 255, "mean": MEAN, "deviation": STD},
        "size": {
            "height": config.size[0],
            "width": config.size[1],
            "keep_aspect": config.keep_aspect,
            "multiple": 16 if config.keep_aspect else 1,
            "resizing": "bilinear on 8 bits, as Pillow's",
            "axes": "h16 is the working height over 16, rounded up; and so with the others",
        },
        "state": {"slots": config.slots, "ending": config.ending, "stop_at": config.stop_at},
        "answer": answer,
        "objects": {
            "mask_at": config.mask_at,
            "least": config.least,
            "class_at": config.class_at,
            "merging": config.merging,
            "linking": config.linking,
        },
    }


GRAPHS = GraphSet(portable, calls, ServedRSIS)
