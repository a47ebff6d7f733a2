"""CapsuleVOS as graphs: where to look, what a clip shows there, and an object's masks in it.

Routing has a fixed number of steps, so it is as much a pure function as the convolutions are. The box around an object
is made of a mask and some rules that ``session.json`` states; what is cut out of frames by it is a graph again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rotoscope.methods.capsulevos.branches import BEFORE_TRUNK, FRAME, VIDEO
from rotoscope.methods.capsulevos.capsules import POSE, Capsules
from rotoscope.methods.capsulevos.config import CROP_MULTIPLE, CapsuleVOSConfig
from rotoscope.methods.capsulevos.convolution import LSTMState
from rotoscope.methods.capsulevos.network import CapsuleVOSNetwork, Seen
from rotoscope.methods.capsulevos.sampling import OUTSIDE, crop_and_resize
from rotoscope.methods.capsulevos.zoom import HIDDEN, LEAST_SIDE, LEEWAY, MARGIN
from rotoscope.runtimes.graphs import Graph, GraphSet, Port, Portable
from rotoscope.runtimes.served import Served

SIZES = {"h": 2, "w": 3, "N": 2}
OTHERS = ({"h": 1, "w": 2, "N": 1}, {"h": 3, "w": 2, "N": 4})
"""Sides of crops over 32, and objects."""


def portable(network: CapsuleVOSNetwork, config: CapsuleVOSConfig) -> Portable:
    """The graphs of a network and what a session does with them."""
    whole = calls(network, config)
    count = 3 * config.clip + 1
    crop = Graph(
        "crop",
        Crop(config),
        (
            Port("frames", ("N", count, *config.size), "the clip's frames, RGB in [0, 1], and the first one's mask"),
            Port("boxes", ("N", 4), "y1, x1, y2, x2 as shares of the last row and column"),
        ),
        (Port("crops", ("N", count, *config.crop), "what is in the boxes; 0 where they leave the frame"),),
        "once for every clip and object",
    )
    graphs = (*whole.graphs[:-2], crop, *whole.graphs[-2:])
    return Portable(graphs, _facts(config), SIZES, OTHERS)


def calls(network: CapsuleVOSNetwork, config: CapsuleVOSConfig) -> Portable:
    """What a session calls; its boxes and crops stay outside."""
    share = 1 / (config.clip - config.overlap)
    mask = Port("mask", ("N", 1, *config.size), "of the first frame, in [0, 1]")
    frame = Port("frame", ("N", 3, *config.size), "the clip's first frame, RGB in [0, 1]")
    states = _states(HIDDEN * config.width, (1, 1))
    region = Port("region", ("N", 3), "corner y1, x1 and side of a square, as shares of the frame")
    zoom = Graph("zoom", Zoom(network), (frame, mask, *states), (region, *_new(states)), "once for every clip", share)
    seen = _seen(config)
    clip = Port("clip", ("N", config.clip, 3, "32*h", "32*w"), "crops of the clip, RGB in [0, 1]")
    graphs = [Graph("see", See(network), (clip,), seen, "for every clip, before segment", share)]
    shown = FRAME[-1][0] + (VIDEO[BEFORE_TRUNK - 1][1] if config.trunk else 0)
    states = _states(shown * config.width, ("8*h", "8*w"))
    inputs = (
        *seen,
        Port("frame", ("N", 3, "32*h", "32*w"), "the crop of the first frame, RGB in [0, 1]"),
        Port("mask", ("N", 1, "32*h", "32*w"), "the crop of its mask, in [0, 1]"),
        *states,
    )
    logits = Port("logits", ("N", config.clip, "32*h", "32*w"), "of the object in the crops")
    graphs.append(Graph("segment", Segment(network), inputs, (logits, *_new(states)), "for every clip", share))
    usual = {"h": config.crop[0] // CROP_MULTIPLE, "w": config.crop[1] // CROP_MULTIPLE, "N": 1}
    return Portable(((zoom,) if config.zoom == "learnt" else ()) + tuple(graphs), {}, SIZES, OTHERS, usual)


class ServedCapsuleVOS(Served):
    """The functions of a CapsuleVOS network, by a runtime."""

    @property
    def zoom(self) -> Callable[[Tensor, Tensor, LSTMState | None], tuple[Tensor, LSTMState]] | None:
        """See the network's; None if the zoom is not learnt."""
        return None if self.network.zoom is None else self._zoomed

    def see(self, clip: Tensor) -> Seen:
        """See the network's."""
        answer = self.ask("see", clip)
        pose, *others = answer
        activation = others.pop(0) if self.network.config.capsules else torch.ones_like(pose[:, :, 0])
        return Seen(Capsules(pose, activation), others[0] if others else None)

    def segment(self, seen: Seen, frame: Tensor, mask: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """See the network's. States that there are none of are zeros."""
        network: CapsuleVOSNetwork = self.network
        if state is None:
            height, width = (side // 4 for side in frame.shape[-2:])
            state = LSTMState(*(frame.new_zeros(len(frame), network.frame.lstm.channels, height, width),) * 2)
        capsules = seen.capsules[: 1 + network.config.capsules]
        shown = () if seen.features is None else (seen.features,)
        logits, cell, hidden = self.ask("segment", *capsules, *shown, frame, mask, *state)
        return logits, LSTMState(cell, hidden)

    def _zoomed(self, frame: Tensor, mask: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        if state is None:
            channels = self.network.zoom.lstm.channels
            state = LSTMState(*(frame.new_zeros(len(frame), channels, 1, 1),) * 2)
        region, cell, hidden = self.ask("zoom", frame, mask, *state)
        return region, LSTMState(cell, hidden)


class Zoom(nn.Module):
    """Where the object will be."""

    def __init__(self, network: CapsuleVOSNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, mask: Tensor, cell: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """A frame ``[N, 3, H, W]``, its masks and states to regions ``[N, 3]`` and states."""
        assert self.network.zoom is not None
        region, state = self.network.zoom(frame, mask, LSTMState(cell, hidden))
        return (region, *state)


class Crop(nn.Module):
    """What is in boxes."""

    def __init__(self, config: CapsuleVOSConfig) -> None:
        super().__init__()
        self.size = config.crop

    def forward(self, frames: Tensor, boxes: Tensor) -> Tensor:
        """``[N, C, H, W]`` and ``[N, 4]`` to ``[N, C, h, w]``."""
        return crop_and_resize(frames, boxes, self.size)


class See(nn.Module):
    """What a clip shows, whatever the mask."""

    def __init__(self, network: CapsuleVOSNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        """Crops ``[N, T, 3, h, w]`` to poses, activations (with capsules) and features (with a trunk)."""
        seen = self.network.see(clip)
        capsules = seen.capsules[: 1 + self.network.config.capsules]
        return (*capsules, *(() if seen.features is None else (seen.features,)))


class Segment(nn.Module):
    """An object in a clip."""

    def __init__(self, network: CapsuleVOSNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pose: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """What :class:`See` gives, then frame, mask, cell and hidden state; to logits and states."""
        *others, frame, mask, cell, hidden = tensors
        activation = others.pop(0) if self.network.config.capsules else pose[:, :, 0]
        seen = Seen(Capsules(pose, activation), others[0] if others else None)
        logits, state = self.network.segment(seen, frame, mask, LSTMState(cell, hidden))
        return (logits, *state)


def _states(channels: int, size: tuple[int | str, int | str]) -> tuple[Port, ...]:
    return tuple(
        Port(
            kind, ("N", channels, *size), f"{kind} state of the object after the clip before; zeros at first", lowest=-1
        )
        for kind in ("cell", "hidden")
    )


def _new(states: tuple[Port, ...]) -> tuple[Port, ...]:
    return tuple(Port(f"new_{port.name}", port.axes, f"{port.name} state after this clip") for port in states)


def _seen(config: CapsuleVOSConfig) -> tuple[Port, ...]:
    volume = (config.clip, "4*h", "4*w")
    ports = [Port("pose", ("N", config.video_types, POSE, *volume), "poses of the clip's capsules", lowest=-1)]
    if config.capsules:
        ports.append(Port("activation", ("N", config.video_types, *volume), "how present each is, in [0, 1]"))
    if config.trunk:
        channels = VIDEO[BEFORE_TRUNK - 1][1] * config.width
        ports.append(
            Port("features", ("N", config.clip, channels, "8*h", "8*w"), "features of each frame by the trunk")
        )
    return tuple(ports)


def _facts(config: CapsuleVOSConfig) -> dict[str, Any]:
    box = {
        "learnt": "around the centre of the mask's extent, side as region says",
        "crafted": f"around the centre of the mask's extent, side its longer extent and {LEEWAY}, {LEAST_SIDE} to 1",
        "none": "0, 0, 1, 1",
    }[config.zoom]
    wider = f"; corner cut at 0 and 1; wider by {MARGIN} on each side; cut at 0 and 1" if config.zoom != "none" else ""
    return {
        "method": "capsulevos",
        "normalisation": {"scale": 255, "mean": [0, 0, 0], "deviation": [1, 1, 1]},
        "size": {"height": config.size[0], "width": config.size[1], "resizing": "bilinear on 8 bits, as Pillow's"},
        "crop": {"height": config.crop[0], "width": config.crop[1], "zoom": config.zoom, "box": box + wider},
        "paste": "logits from floor(y1 * height), floor(x1 * width), resized to ceil((y2 - y1) * height) rows and "
        "ceil((x2 - x1) * width) columns; row i of them reads at i * old / new, linear between rows; "
        f"{OUTSIDE:g} elsewhere; {config.lean:g} added; sigmoid",
        "state": {
            "clip": config.clip,
            "overlap": config.overlap,
            "carry_states": config.carry_states,
            "next": "a clip begins overlap frames before the end of the one before, with its answer as mask",
            "end": "the last frame is repeated until the clip is full",
        },
        "answer": {"merging": config.merging},
    }


GRAPHS = GraphSet(portable, calls, ServedCapsuleVOS)
