"""The light parts of a small STCN: values from shared features, a thin decoder that also sees the previous masks.

They keep what STCN is (one set of keys for all objects, values by object, a softmax over the nearest of them) and spend
as little as they can on each object.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.blocks import CellConv2d, ResBlock
from rotoscope.layers.packed import fused
from rotoscope.layers.tracing import is_traced
from rotoscope.methods.stcn.config import STCNConfig

STRIDE = 16
FINE = 4
"""Side in pixels of the cells that previous masks are given to the decoder in."""
SCORES = 2


class Decoded(NamedTuple):
    """What the decoder answers for each object.

    Attributes:
        logits: the logits of its mask, ``[N, 1, H, W]``.
        scores: logits of its presence on the frame and of the IoU its mask will have, ``[N, 2]``; None if the network
            has no such head.
    """

    logits: Tensor
    scores: Tensor | None = None


class LightValueEncoder(nn.Module):
    """Values of a frame's objects from the trunk's features and their masks alone, without a second trunk.

    Args:
        channels: how many channels the trunk's features have at stride 4, 8 and 16.
        width: channels at stride 4; the next have twice and four times as many.
        value_dim: channels of a value.
    """

    def __init__(self, channels: list[int], width: int, value_dim: int) -> None:
        super().__init__()
        c4, c8, c16 = channels
        self.mask4 = CellConv2d(2, width, FINE)
        self.image4 = nn.Conv2d(c4, width, 1)
        self.mask8 = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.image8 = nn.Conv2d(c8, 2 * width, 1)
        self.mask16 = nn.Conv2d(2 * width, 4 * width, 3, 2, 1)
        self.image16 = nn.Conv2d(c16, 4 * width, 1)
        self.block = ResBlock(4 * width, value_dim)

    def forward(self, features: tuple[Tensor, Tensor, Tensor], masks: Tensor, others: Tensor) -> Tensor:
        """Encode masks.

        Args:
            features: the features of the trunk at stride 4, 8 and 16, ``[B, C, h, w]`` each; B is 1 or a divisor of N.
            masks: soft masks in [0, 1], ``[N, 1, H, W]``.
            others: sum of all other objects' masks, ``[N, 1, H, W]``.
        Returns: values ``[N, Cv, H/16, W/16]``.
        """
        f4, f8, f16 = features
        x = _plus(torch.cat([masks, others], dim=1), self.mask4, self.image4(f4), relu=True)
        x = _plus(x, self.mask8, self.image8(f8), relu=True)
        x = _plus(x, self.mask16, self.image16(f16))
        out: Tensor = self.block(x)
        return out


class LightDecoder(nn.Module):
    """From a readout and the masks of the frame before to a mask.

    Args:
        config: its ``decoder_dims``, ``value_dim``, ``thin_dim``, ``previous``, ``subpixel`` and ``scores`` count.
        channels: how many channels the trunk's features have at stride 4, 8 and 16.
    """

    def __init__(self, config: STCNConfig, channels: list[int]) -> None:
        super().__init__()
        d16, d8, d4 = config.decoder_dims
        c4, c8, _ = channels
        self.subpixel = config.subpixel
        self.readout = nn.Conv2d(config.value_dim, d16, 1)
        self.thin = nn.Conv2d(config.thin_dim, d16, 1)
        self.block16 = ResBlock(d16, d16)
        self.skip8 = nn.Conv2d(c8, d8, 1)
        self.up8 = nn.Conv2d(d16, d8, 1)
        self.block8 = ResBlock(d8, d8)
        self.skip4 = nn.Conv2d(c4, d4, 1)
        self.pixels4 = CellConv2d(3, d4, FINE)
        self.up4 = nn.Conv2d(d8, d4, 1)
        self.block4 = ResBlock(d4, d4)
        self.pred = nn.Conv2d(d4, config.subpixel**2, 3, 1, 1)
        channels_before = PLACES[config.previous]
        self.places = nn.ModuleList()
        if channels_before:
            self.places.append(CellConv2d(channels_before, d16, STRIDE // FINE))
            self.places.append(CellConv2d(channels_before, d8, 2))
            self.places.append(nn.Conv2d(channels_before, d4, 3, 1, 1))
        self.score: nn.Sequential | None = None
        if config.scores:
            self.score = nn.Sequential(nn.Linear(3 * d16, 64), nn.ReLU(inplace=True), nn.Linear(64, SCORES))

    def skips(self, image: Tensor, f4: Tensor, f8: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder takes of a frame at stride 8 and 4, whatever its objects: ``[B, D8 or D4, h, w]``."""
        return self.skip8(f8), _plus(image, self.pixels4, self.skip4(f4))

    def forward(self, readout: Tensor, thin: Tensor, skip8: Tensor, skip4: Tensor, places: Tensor | None) -> Decoded:
        """Decode.

        Args:
            readout: ``[N, Cv, h, w]`` at stride 16.
            thin: compressed features of the frame, ``[B, Ct, h, w]``; B is 1 or a divisor of N.
            skip8, skip4: see :meth:`skips`.
            places: what is known of where each object is, ``[N, P, 4h, 4w]`` at stride 4 (see :func:`previous_places`);
                None where nothing is.
        """
        x = _plus(readout, self.readout, self.thin(thin))
        x16 = self.block16(self._told(0, places, x))
        x = add_shared(_doubled(self.up8(x16)), skip8)
        x = self.block8(self._told(1, places, x))
        x = add_shared(_doubled(self.up4(x)), skip4)
        x = self._told(2, places, x)
        x = self.pred(F.relu(self.block4(x), inplace=True))
        if self.subpixel > 1:
            x = F.pixel_shuffle(x, self.subpixel)
        scores = None if self.score is None else self._scores(x16, x)
        x = x if torch.is_grad_enabled() else x.float()  # half the time of bfloat16 on a CPU
        return Decoded(
            F.interpolate(x, scale_factor=FINE // self.subpixel, mode="bilinear", align_corners=False), scores
        )

    def _told(self, level: int, places: Tensor | None, x: Tensor) -> Tensor:
        """Features at stride 16, 8 or 4, ``[N, C, h, w]``, with what is known of the places."""
        return x if places is None else _plus(places, self.places[level], x)

    def _scores(self, x16: Tensor, logits: Tensor) -> Tensor:
        """Scores ``[N, 2]`` from features ``[N, D16, h, w]`` and the mask they led to; teaches neither."""
        x16, inside = x16.detach(), F.avg_pool2d(torch.sigmoid(logits.detach()), STRIDE // FINE * self.subpixel)
        share = (x16 * inside).sum(dim=(2, 3)) / (inside.sum(dim=(2, 3)) + 1e-3)
        assert self.score is not None
        scores: Tensor = self.score(torch.cat([x16.mean(dim=(2, 3)), x16.amax(dim=(2, 3)), share], dim=1))
        return scores


PLACES = {"none": 0, "mask": 2, "matched": 4}
"""Channels of what the decoder is told of the frame before, by the config's ``previous``."""


def add_shared(x: Tensor, shared: Tensor) -> Tensor:
    """Add features of B frames to those of their N objects, ``[N, C, h, w]`` with N a multiple of B, frame by frame."""
    frames = shared.shape[0]
    if frames == 1:
        return x + shared
    return (x.unflatten(0, (frames, -1)) + shared[:, None]).flatten(0, 1)


def _plus(x: Tensor, convolution: nn.Module, shared: Tensor, *, relu: bool = False) -> Tensor:
    """A convolution of ``x`` plus what B frames share (see :func:`add_shared`), and a rectifier behind if asked for."""
    assert isinstance(convolution, nn.Conv2d)
    if x.shape[0] == shared.shape[0]:
        return fused(x, convolution, activation="relu" if relu else "none", plus=shared)
    y = add_shared(convolution(x), shared)
    return F.relu(y, inplace=True) if relu else y


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def previous_places(
    masks: Tensor, before: Tensor | None, now: Tensor, reach: int, grid: tuple[int, int], nearness: float = 0.0
) -> Tensor:
    """Where each object was on the frame before, and where matching keys nearby says that it went.

    Args:
        masks: soft masks of the frame before, of all objects of a clip, ``[B, N, H, W]``.
        before: keys of that frame, ``[B, Ck, h*w]``; None leaves the matching out.
        now: keys of this frame, of the same shape.
        reach: cells, up, down and sideways, that an object may move from frame to frame.
        grid: height and width of the keys' grid.
        nearness: see :func:`nearby_affinity`.
    Returns: at stride 4, ``[B * N, P, 4h, 4w]``: own mask, sum of the others', and with ``before`` both of them moved.
    """
    fine = F.avg_pool2d(masks, FINE)
    both = torch.stack([fine, fine.sum(dim=1, keepdim=True) - fine], dim=2)
    if before is not None:
        cells = F.pixel_unshuffle(fine, STRIDE // FINE).flatten(2)
        moved = (cells @ nearby_affinity(before, now, reach, grid, nearness).transpose(1, 2)).unflatten(-1, grid)
        moved = F.pixel_shuffle(moved, STRIDE // FINE)
        both = torch.cat([both, torch.stack([moved, moved.sum(dim=1, keepdim=True) - moved], dim=2)], dim=2)
    return both.flatten(0, 1)


def nearby_affinity(before: Tensor, now: Tensor, reach: int, grid: tuple[int, int], nearness: float = 0.0) -> Tensor:
    """How much each cell shows what each cell of the frame before showed, among those within reach.

    Args:
        before, now, reach, grid: see :func:`previous_places`.
        nearness: how much similarity two cells lose for their squared distance in cells, at least 0. Between things
            that look alike the nearer one is right.
    Returns: ``[B, h*w, h*w]``, the frame before along the last dimension, which sums to 1.
    """
    scale = float(before.shape[1]) ** -0.5
    find = lost_by_distance if is_traced() else unreachable  # a trace would keep one grid's
    apart = find(grid, reach, before.device, nearness).to(before.dtype)
    bias = apart - scale * before.square().sum(dim=1)[:, None]
    return torch.softmax(torch.baddbmm(bias, now.transpose(1, 2), before, alpha=2 * scale), dim=-1)


@functools.lru_cache(maxsize=8)
def unreachable(grid: tuple[int, int], reach: int, device: torch.device, nearness: float = 0.0) -> Tensor:
    """What the similarity of two cells loses by where they are, ``[h*w, h*w]``, at most 0.

    Minus infinity between cells more than ``reach`` apart in either direction, minus ``nearness`` times the squared
    distance between others.
    """
    with torch.inference_mode(False):  # it is kept, and may serve training next
        return lost_by_distance(grid, reach, device, nearness)


def lost_by_distance(grid: tuple[int, int], reach: int, device: torch.device, nearness: float = 0.0) -> Tensor:
    """:func:`unreachable`, made anew, by what any export can follow."""
    down, right = (torch.arange(side, device=device) for side in grid)
    rows = down[:, None].expand(*grid).reshape(-1)
    columns = right[None].expand(*grid).reshape(-1)
    apart, aside = (rows[:, None] - rows).abs(), (columns[:, None] - columns).abs()
    lost = -nearness * (apart * apart + aside * aside).to(torch.float32)
    return lost.masked_fill((apart > reach) | (aside > reach), float("-inf"))
