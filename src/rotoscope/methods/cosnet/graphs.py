"""COSNet as graphs: encode a frame, and find the primary object on it by others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rotoscope.layers.normalise import MEAN, STD
from rotoscope.methods.cosnet.config import COSNetConfig, Joined
from rotoscope.methods.cosnet.network import CAFFE_MEAN, COSNetNetwork, enlarge
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.served import Served

SIZES = {"h": 6, "w": 9, "N": 3}
OTHERS = ({"h": 4, "w": 5, "N": 1}, {"h": 7, "w": 11, "N": 5})


def portable(network: COSNetNetwork, config: COSNetConfig) -> Portable:
    """The graphs of a network and what a session does with them."""
    stride = config.output_stride
    less = f"-{stride - 1}" if config.caffe else ""  # its pooling takes in an incomplete last cell
    image = Port("image", (1, 3, f"{stride}*h{less}", f"{stride}*w{less}"), "the frame, see normalisation")
    query = Port("query", (1, config.kept_dim, "h", "w"), "features of the frame to answer")
    alone = Port("alone", (1, 1, "h", "w"), "logits of the frame by itself")
    features = Port("features", (1, config.kept_dim, "h", "w"), "features of the frame")
    references = Port("references", ("N", config.kept_dim, "h", "w"), "features of N other frames")
    many = "N" if config.fusion == "prediction" else 1
    logits = Port(
        "logits", (many, 1, "h", "w"), "enlarge to the working size, sigmoid, then average over the first axis"
    )
    graphs = (
        Graph("encode", Encode(network), (image,), (features, alone), "once for every frame"),
        Graph("segment", Segment(network, config), (query, references), (logits,), "once N references are known"),
    )
    return Portable(graphs, _facts(config), SIZES, OTHERS)


def calls(network: COSNetNetwork, config: COSNetConfig) -> Portable:
    """What a session calls: the same graphs, of one way of fusion."""
    cells = -(-473 // config.output_stride)
    usual = {"h": cells, "w": cells, "N": max(config.references, 1)}
    return Portable(portable(network, config).graphs, config.joined._asdict(), SIZES, OTHERS, usual)


class ServedCOSNet(Served):
    """The functions of a COSNet network, by a runtime."""

    def encode(self, image: Tensor) -> Tensor:
        """See the network's."""
        return self.ask("encode", image)[0]

    def segment(self, query: Tensor, references: Tensor, size: tuple[int, int], joined: Joined) -> Tensor:
        """See the network's, which itself answers without references, or if a session joins them in another way."""
        if not len(references) or joined._asdict() != self.facts:
            alone: Tensor = self.network.segment(query, references, size, joined)
            return alone
        logits = self.ask("segment", query, references)[0]
        return torch.sigmoid(enlarge(logits, size)).mean(dim=0)[0]


class Encode(nn.Module):
    """A frame to its features, and what it shows by itself."""

    def __init__(self, network: COSNetNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``[1, 3, H, W]`` to features and logits."""
        features = self.network.encode(image)
        return features, self.network.single(features)


class Segment(nn.Module):
    """Features of a frame and of its references to logits."""

    def __init__(self, network: COSNetNetwork, config: COSNetConfig) -> None:
        super().__init__()
        self.network = network
        self.joined = config.joined

    def forward(self, query: Tensor, references: Tensor) -> Tensor:
        """``[1, C, h, w]`` and ``[N, C, h, w]`` to ``[N or 1, 1, h, w]``."""
        return self.network.logits(query, references, self.joined)


def _facts(config: COSNetConfig) -> dict[str, Any]:
    plain = {"scale": 255, "mean": MEAN, "deviation": STD, "order": "RGB"}
    caffe = {"scale": 1, "mean": CAFFE_MEAN, "deviation": [1, 1, 1], "order": "BGR"}
    return {
        "method": "cosnet",
        "normalisation": caffe if config.caffe else plain,
        "size": {"height": config.size[0], "width": config.size[1], "keep_aspect": config.keep_aspect},
        "state": {
            "references": config.references,
            "sampling": config.sampling,
            **config.joined._asdict(),
            "guided": config.guided,
        },
    }


GRAPHS = GraphSet(portable, calls, ServedCOSNet)
