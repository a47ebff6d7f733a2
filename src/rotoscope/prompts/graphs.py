"""The click network as graphs: encode a picture, answer what was asked of its objects."""

from __future__ import annotations

from torch import Tensor, nn

from rotoscope.layers.normalise import MEAN, STD
from rotoscope.prompts.config import PromptsConfig
from rotoscope.prompts.network import FINE, MULTIPLE, Answered, Asked, PromptsNetwork, Scene
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.served import Served

SIZES = {"h": 3, "w": 4, "N": 2, "K": 3}
OTHERS = ({"h": 2, "w": 3, "N": 1, "K": 1}, {"h": 4, "w": 3, "N": 5, "K": 4})
"""Cells of a picture at stride 32, objects, and clicks on each."""
USUAL = {"h": 10, "w": 18, "N": 1, "K": 2}
LEVELS = (4, 8, 16, 32)


def portable(network: PromptsNetwork, config: PromptsConfig) -> Portable:
    """The graphs of a network and what goes in and out."""
    image = Port("image", (1, 3, "32*h", "32*w"), "RGB, less the mean, over the deviation, with its border")
    scene = tuple(
        Port(f"level{stride}", (1, dim, *_cells(stride)), f"features of the picture at stride {stride}")
        for stride, dim in zip(LEVELS, config.dims, strict=True)
    )
    key = Port("key", (1, config.key_dim, *_cells(8)), "says how alike two places are")
    asked = (
        Port("points", ("N", "K", 2), "clicks in pixels, x and y; a pixel's centre lies at a half", highest=60.0),
        Port("signs", ("N", "K"), "1 wanted, -1 not wanted, 0 no click", lowest=-1.0, whole=True),
        Port("boxes", ("N", 4), "left, top, right, bottom in pixels; without area where there is none", highest=60.0),
        Port("before", ("N", 1, *_cells(FINE)), "the mask so far in [0, 1]; zero where there is none"),
    )
    answers = (
        Port("logits", ("N", 1, *_cells(FINE)), "of the masks, at stride 2"),
        Port("quality", ("N",), "logits of the IoU that they will have"),
    )
    graphs = (
        Graph("encode", Encode(network), (image,), (*scene, key), "once for every picture"),
        Graph("answer", Answer(network), (*scene, key, *asked), answers, "for every click or box"),
    )
    facts = {
        "method": "prompts",
        "normalisation": {"scale": 255, "mean": MEAN, "deviation": STD},
        "size": {"short_side": config.short_side, "resizing": "area", "multiple": MULTIPLE, "border": "zeros"},
        "state": "clicks are answered one after another, each with the sigmoid of the last logits as before",
    }
    return Portable(graphs, facts, SIZES, OTHERS, USUAL)


class ServedPrompts(Served):
    """The functions of the click network, by a runtime."""

    def encode(self, image: Tensor) -> Scene:
        """See the network's; of one picture."""
        *levels, key = self.ask("encode", image)
        return Scene(tuple(levels), key)

    def answer(self, scene: Scene, asked: Asked) -> Answered:
        """See the network's; of one picture."""
        return Answered(*self.ask("answer", *scene.levels, scene.key, *asked))


class Encode(nn.Module):
    """A picture to what is known of it."""

    def __init__(self, network: PromptsNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``[1, 3, H, W]`` to all levels and the key."""
        scene = self.network.encode(image)
        return (*scene.levels, scene.key)


class Answer(nn.Module):
    """What was asked to masks."""

    def __init__(self, network: PromptsNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """The scene of one picture, then all of :class:`Asked` of its N objects."""
        asked = Asked(*tensors[len(LEVELS) + 1 :])
        each = [tensor.expand(asked.points.shape[0], -1, -1, -1) for tensor in tensors[: len(LEVELS) + 1]]
        answered = self.network.answer(Scene(tuple(each[:-1]), each[-1]), asked)
        return answered.logits, answered.quality


def _cells(stride: int) -> tuple[str, str]:
    finer = 32 // stride
    return ("h", "w") if finer == 1 else (f"{finer}*h", f"{finer}*w")


GRAPHS = GraphSet(portable, portable, ServedPrompts)
