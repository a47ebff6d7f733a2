"""The layers of RSIS and RIS: tensors in, tensors out (Salvador et al., 2017; Romera-Paredes and Torr, ECCV 2016)."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.layers.convlstm import ConvLSTMCell
from rotoscope.layers.normalise import denormalise
from rotoscope.layers.trunks import begin_small, build_trunk
from rotoscope.methods.rsis.config import RSISConfig

Features = list[Tensor]
"""What the decoder reads of a picture, once for all objects: one tensor for each ConvLSTM of a pyramid, coarsest first
(strides 32, 16, 8, 4, 2); a single tensor for ConvLSTMs of one resolution."""
RANGE = 0.08
"""RIS draws weights evenly from minus to plus this."""


class State(NamedTuple):
    """What an object leaves behind for the next: hidden and cell states, one of each for every ConvLSTM."""

    hidden: list[Tensor]
    cell: list[Tensor]


class Step(NamedTuple):
    """One object, before any activation.

    Attributes:
        logits: mask at the decoder's own size, ``[B, 1, h, w]``.
        side: what the heads see, ``[B, S]``.
        stop: how sure it is that this is an object, ``[B]``; its sigmoid is the stop score.
        classes: ``[B, classes]``; None without the head.
        box: ``[B, 4]``; None without the head. Its sigmoid is left, top, width and height as shares of the picture.
        state: for the next object.
    """

    logits: Tensor
    side: Tensor
    stop: Tensor
    classes: Tensor | None
    box: Tensor | None
    state: State


class Steps(NamedTuple):
    """All objects of pictures, in the order they were found.

    Attributes:
        masks: probabilities at the size of the pictures, ``[B, T, H, W]``.
        stop: logits of the stop scores, ``[B, T]``.
        classes: logits, ``[B, T, classes]``; None without the head.
        boxes: left, top, width and height in [0, 1], ``[B, T, 4]``; None without the head.
    """

    masks: Tensor
    stop: Tensor
    classes: Tensor | None
    boxes: Tensor | None


class FourConvolutions(nn.Sequential):
    """The encoder of RIS on leaves: four 3x3 convolutions of RGB in [0, 1] at full resolution."""

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = []
        for before in (3, *[channels] * 3):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
        super().__init__(*layers)
        self.channels = [channels]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Normalised RGB ``[B, 3, H, W]`` -> ``[B, channels, H, W]`` in a list."""
        x = denormalise(image)
        for layer in self:
            x = layer(x)
        return [x]


class RSISNetwork(nn.Module):
    """Encoder of a picture, and a decoder that runs once per object."""

    pure: ClassVar[tuple[str, ...]] = ("encode", "decode")
    """Functions that may be replayed (:class:`~rotoscope.runtimes.replayed.Replayed`)."""

    def __init__(self, config: RSISConfig) -> None:
        super().__init__()
        self.pyramid, self.skip, self.pooling = config.decoder == "pyramid", config.skip, config.pooling
        self.beyond, self.slots, self.inhibition = config.beyond, config.slots, config.inhibition
        self.stride = 1 if config.trunk is None else 8  # of the features of a single resolution
        width = config.hidden
        self.encoder: nn.Module
        if config.trunk is None:
            self.encoder = FourConvolutions(width)
        else:
            self.encoder = build_trunk(config.trunk, stages=4, last_width=config.last_width, stem=self.pyramid)
        inside = self._build_pyramid(config) if self.pyramid else self._build_single(config)
        self.offset = nn.Parameter(torch.ones(1)) if config.inhibition else None
        seen = sum(inside)
        if config.pooling == "quarters":
            seen = 4 * inside[-1]
        elif config.pooling == "map":
            seen = inside[-1] * math.prod(-(-side // self.stride) for side in config.size)
        self.fc_stop = nn.Linear(seen, 1)
        self.fc_class = nn.Linear(seen, config.classes) if config.classes else None
        self.fc_box = nn.Linear(seen, 4) if config.box else None
        if not self.pyramid:
            self._begin_evenly()

    def _build_pyramid(self, config: RSISConfig) -> list[int]:
        """Projected skips and the ConvLSTMs that read them; returns the ConvLSTMs' channels."""
        width, layers = config.hidden, config.layers
        shown = (width, width, width // 2, width // 4, width // 8)[:layers]
        inside = [width >> level for level in range(layers)]
        channels: list[int] = self.encoder.channels  # type: ignore[assignment]
        shapes = list(zip(channels[: -layers - 1 : -1], shown, strict=True))
        self.layers = layers
        self.skips = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width_in, out, 3, padding=1), nn.BatchNorm2d(out))
            for width_in, out in (shapes[:1] if config.skip == "none" else shapes)
        )
        factor = 2 if config.skip == "concat" else 1
        entering = [shown[0], *(factor * channels for channels in shown[1:])]
        self.cells = nn.ModuleList(ConvLSTMCell(a, b, config.kernel) for a, b in zip(entering, inside, strict=True))
        self.conv_out = nn.Conv2d(inside[-1], 1, 3, padding=1)
        return inside

    def _build_single(self, config: RSISConfig) -> list[int]:
        """Scores of three strides that are added up, and ConvLSTMs one behind another; returns their channels."""
        width = config.hidden
        channels = [] if config.trunk is None else self.encoder.channels[:0:-1]  # type: ignore[index]
        self.skips = nn.ModuleList(nn.Conv2d(int(width_in), width, 1) for width_in in channels)
        if config.trunk is not None:
            begin_small(config.trunk, *(weight for name, weight in self.skips.named_parameters() if "weight" in name))
        self.cells = nn.ModuleList(ConvLSTMCell(width, width, config.kernel) for _ in range(config.layers))
        self.conv_out = nn.Conv2d(width, 1, 1)
        return [width] * config.layers

    def _begin_evenly(self) -> None:
        """Weights as RIS begins with: even draws, gates open, a stop score that says to go on."""
        for module in (*self.cells, self.conv_out):
            for weight in module.parameters():
                nn.init.uniform_(weight, -RANGE, RANGE)
        for cell in self.cells:
            with torch.no_grad():
                cell.gates.bias[: 3 * cell.channels] += 1  # type: ignore[union-attr, index, operator]
        nn.init.uniform_(self.fc_stop.weight, -RANGE, RANGE)
        nn.init.constant_(self.fc_stop.bias, 10.0)

    def encode(self, image: Tensor) -> Features:
        """What the decoder reads, once for all objects.

        Args:
            image: normalised RGB, ``[B, 3, H, W]``; any size.
        """
        pyramid: list[Tensor] = self.encoder(image)
        if self.pyramid:
            coarse_first = pyramid[: -self.layers - 1 : -1]
            shown = [skip(feature) for skip, feature in zip(self.skips, coarse_first, strict=False)]
            return shown + coarse_first[len(shown) :]  # without skips, finer levels lend their size only
        if not self.skips:
            return pyramid
        scores = [skip(feature) for skip, feature in zip(self.skips, pyramid[:0:-1], strict=True)]
        total = scores[0]
        for finer in scores[1:]:
            total = finer + F.interpolate(total, size=finer.shape[-2:], mode="bilinear", align_corners=False)
        return [total]

    def decode(self, features: Features, before: State | None) -> Step:
        """One object.

        Args:
            features: of the picture.
            before: state of the object before; None for the first.
        """
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        x = features[0]
        for level, cell in enumerate(self.cells):
            if level:
                x = self._meet(hidden[-1], features[level]) if self.pyramid else hidden[-1]
            h, c = cell(
                x, None if before is None else before.hidden[level], None if before is None else before.cell[level]
            )
            hidden.append(h)
            cells.append(c)
        last = hidden[-1]
        if self.pyramid:
            last = resize(last, (2 * last.shape[-2], 2 * last.shape[-1]))
        logits: Tensor = self.conv_out(last)
        if self.offset is not None:
            logits = inhibited(logits, self.offset)
        side = self._pooled(hidden)
        classes = None if self.fc_class is None else self.fc_class(side)
        box = None if self.fc_box is None else self.fc_box(side)
        return Step(logits, side, self.fc_stop(side)[:, 0], classes, box, State(hidden, cells))

    def _meet(self, above: Tensor, shown: Tensor) -> Tensor:
        """The state of the coarser level, enlarged, and the picture's features at this one."""
        above = resize(above, (shown.shape[-2], shown.shape[-1]))
        if self.skip == "sum":
            return above + shown
        if self.skip == "mult":
            return above * shown
        return torch.cat([above, shown], dim=1) if self.skip == "concat" else above

    def _pooled(self, hidden: list[Tensor]) -> Tensor:
        """What the heads see, ``[B, S]``; see ``pooling`` of the config.

        Raises:
            InputError: ``pooling=map`` and a picture of another size than the config's.
        """
        if self.pooling == "levels":
            return torch.cat([h.amax(dim=(2, 3)) for h in hidden], dim=1)
        last = hidden[-1]
        side = (quarters(last) if self.pooling == "quarters" else last).flatten(1)
        if side.shape[1] != self.fc_stop.in_features:
            height, width = (side * self.stride for side in last.shape[-2:])
            raise InputError(
                f"pooling=map reads pictures of the config's size only, and this one is about {width}x{height}. Give "
                f"config.size={height},{width}, or stages of that size."
            )
        return side

    def masks(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities at the size of the picture, at least in single precision.

        Args:
            logits: of :meth:`decode`, ``[B, N, h, w]``.
            size: height and width of the picture.
        Returns: ``[B, N, H, W]``. Logits of a pyramid are resized with corners aligned. RIS enlarges probabilities
            instead, by the stride of its features, and cuts out the middle.
        """
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.pyramid:
            return torch.sigmoid(resize(logits, size))
        probabilities = torch.sigmoid(logits)
        if self.stride > 1:
            probabilities = F.interpolate(probabilities, scale_factor=self.stride, mode="bilinear", align_corners=False)
        top, left = (probabilities.shape[-2] - size[0]) // 2, (probabilities.shape[-1] - size[1]) // 2
        return probabilities[..., top : top + size[0], left : left + size[1]]

    def run(self, images: Tensor, steps: int) -> Steps:
        """All objects of pictures.

        Args:
            images: normalised RGB, ``[B, 3, H, W]``.
            steps: how many are looked for, at least 1.
        """
        features, state = self.encode(images), None
        done: list[Step] = []
        for _ in range(steps):
            done.append(self.decode(features, state))
            state = done[-1].state
        size = (images.shape[-2], images.shape[-1])
        classes = [step.classes for step in done if step.classes is not None]
        boxes = [step.box for step in done if step.box is not None]
        return Steps(
            self.masks(torch.cat([step.logits for step in done], dim=1), size),
            torch.stack([step.stop.float() for step in done], dim=1),
            torch.stack(classes, dim=1).float() if classes else None,
            torch.sigmoid(torch.stack(boxes, dim=1).float()) if boxes else None,
        )


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, with corners aligned, as everywhere in RSIS."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def quarters(x: Tensor) -> Tensor:
    """The largest value of each quarter, ``[B, C, h, w]`` to ``[B, C, 4]``; sides that are odd share their middle.

    It is ``adaptive_max_pool2d(x, 2)``, which ONNX has at fixed sizes only.
    """
    height, width = x.shape[-2], x.shape[-1]
    halves = (x[..., : (height + 1) // 2, :], x[..., height // 2 :, :])
    parts = [part for half in halves for part in (half[..., : (width + 1) // 2], half[..., width // 2 :])]
    return torch.stack([part.amax(dim=(2, 3)) for part in parts], dim=2)


def inhibited(logits: Tensor, offset: Tensor) -> Tensor:
    """Spatial inhibition (RIS): the logarithm of a softmax over all positions, and a number on top.

    Args:
        logits: ``[B, 1, h, w]``.
        offset: one learnt number, ``[1]``; a position whose share of the softmax is above its negative exponential is
            more likely in the mask than not.
    """
    return F.log_softmax(logits.flatten(1), dim=1).view_as(logits) + offset
