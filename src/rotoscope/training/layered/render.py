"""Cuts planned clips out of a stock, on whatever device holds it."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.datasets.compositing import CELL
from rotoscope.training.clips import Batch
from rotoscope.training.layered.plan import Laid, StepPlan
from rotoscope.training.layered.stock import Stock

BRIGHTNESS = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in a grey value."""
REACH = 4
"""Half of the blur's kernel, in pixels."""
SMEARED = (-0.5, 0.5)
"""Moments of a frame, as shares of the shutter, that a smeared layer is the mean of, beside its middle."""


class Seen(NamedTuple):
    """What frames show of layers.

    Attributes:
        colours: RGB, ``[N, T, H, W, 3]`` in [0, 255].
        alpha: how much of it covers what is behind, ``[N, T, H, W]`` in [0, 1].
        places: which point of each layer the centre of each cell shows, in pixels of the first frame, and 1 before it
            if it is one that can be followed, else 0: ``[N, T, h, w, 3]``.
    """

    colours: Tensor
    alpha: Tensor
    places: Tensor


class Renderer:
    """Renders clips.

    Args:
        stock: the pictures, on the device that is to render.
    """

    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        self.device = stock.colours.device

    @torch.no_grad()
    def __call__(self, plan: StepPlan) -> Batch:
        """The clips of a step; each shows objects of its own in its first frame, or else those of another clip."""
        scenes = plan.scenes.on(self.device)
        colours, _, places = self._seen(scenes, plan)
        places[..., 0] -= 1
        own = self._marks(scenes, plan)
        table = plan.tables.to(self.device, non_blocking=True)
        labels = torch.gather(table[:, None].expand(-1, own.shape[1], -1), 2, own.flatten(2)).view_as(own)
        for order, plan_of_layer in enumerate(plan.layers, 1):
            layer = plan_of_layer.on(self.device)
            rows, (_, target), behind = layer.rows, layer.numbers, layer.values[4]
            seen = self._seen(layer, plan)
            alpha = seen.alpha * (1 - _spread(behind) * (own[rows] > 0))
            colours[rows] = torch.lerp(colours[rows], seen.colours, alpha[..., None])
            labels[rows] = torch.where(alpha > 0.5, _spread(target), labels[rows])
            seen.places[..., 0] = seen.places[..., 0] * (order + 1) - 1
            front = alpha[..., CELL // 2 :: CELL, CELL // 2 :: CELL, None] > 0.5
            places[rows] = torch.where(front, seen.places, places[rows])
        return _labelled(self._finished(colours, plan), labels, places, plan.objects, plan.most)

    def _seen(self, layer: Laid, plan: StepPlan) -> Seen:
        """What frames show of layers; the mean of some moments where they are smeared."""
        bend = self._bend(layer, plan)
        points, colours, alpha = self._moment(layer, plan, bend, 0.0, slice(None))
        if len(layer.smeared):
            rows = layer.smeared
            looks, covers = colours[rows] * alpha[rows][..., None], alpha[rows]
            for moment in SMEARED:
                _, further, more = self._moment(layer, plan, bend, moment, rows)
                looks, covers = looks + further * more[..., None], covers + more
            colours[rows] = looks / covers.clamp(min=1e-3)[..., None]
            alpha[rows] = covers / (1 + len(SMEARED))
        at = points[..., CELL // 2 :: CELL, CELL // 2 :: CELL, :]
        sizes = self.stock.sizes[layer.pictures, 0][..., None, None, :].flip(-1)
        scale = _spread(layer.values[5])
        inside = ((at >= 0) & (at < sizes)).all(dim=-1) & (scale > 0)
        gain, gamma = layer.values[:3].T[:, None, None, None], _spread(layer.values[3])[..., None]
        colours = ((colours / 255).clamp(0, 1) ** gamma * gain).clamp(0, 1) * 255
        return Seen(colours, alpha, torch.cat([inside[..., None], at * scale[..., None]], dim=-1))

    def _moment(
        self, layer: Laid, plan: StepPlan, bend: Tensor | None, moment: float, rows: slice | Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Where the pixels of frames look in their pictures, what they see there, and how much of it is there."""
        bend = None if bend is None else bend[rows]
        matrices, outlines = layer.matrices[rows], layer.outlines[rows]
        if moment:
            matrices = matrices + moment * layer.speeds[0, rows]
            outlines = outlines + moment * layer.speeds[1, rows]
        points = where = _points(matrices, bend, plan)
        if not layer.own:
            where = _points(outlines, bend, plan)
        colours = self._colours(layer.pictures[rows], layer.levels[0, rows], points)
        return points, colours, self._alpha(layer.masks[rows], layer.levels[1, rows], where, layer.numbers[0, rows])

    def _bend(self, layer: Laid, plan: StepPlan) -> Tensor | None:
        """Elastic displacement of every pixel, ``[N, T, H, W, 2]``."""
        if layer.bend is None:
            return None
        coarse = layer.bend.flatten(0, 1).permute(0, 3, 1, 2)
        fine = F.interpolate(coarse, size=(plan.height, plan.width), mode="bicubic", align_corners=False)
        return fine.permute(0, 2, 3, 1).unflatten(0, layer.bend.shape[:2])

    def _taps(self, pictures: Tensor, level: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What bilinear reading needs: starts, heights, widths as ``[N, T, 1, 1]``, and the points at the level."""
        start = self.stock.starts[pictures, level][..., None, None]
        size = self.stock.sizes[pictures, level][..., None, None, :]
        factor = torch.exp2(level.to(torch.float32))[..., None, None, None]
        at = (points + 0.5) / factor - 0.5
        return start, size[..., 0], size[..., 1], at[..., 0], at[..., 1]

    def _colours(self, pictures: Tensor, level: Tensor, points: Tensor) -> Tensor:
        """RGB at points, mirrored beyond the picture's edge, ``[N, T, H, W, 3]`` in [0, 255]."""
        start, height, width, x, y = self._taps(pictures, level, points)
        x, y = _mirrored(x, width), _mirrored(y, height)
        left, top = x.floor(), y.floor()
        right, down = (x - left)[..., None], (y - top)[..., None]
        columns, rows = left.long(), top.long()
        further, lower = torch.minimum(columns + 1, width - 1), torch.minimum(rows + 1, height - 1)

        def read(row: Tensor, column: Tensor) -> Tensor:
            return self.stock.colours[start + row * width + column].to(torch.float32)

        upper = torch.lerp(read(rows, columns), read(rows, further), right)
        return torch.lerp(upper, torch.lerp(read(lower, columns), read(lower, further), right), down)

    def _alpha(self, pictures: Tensor, level: Tensor, points: Tensor, label: Tensor) -> Tensor:
        """How much of each pixel a label covers, or with label 0 the picture, ``[N, T, H, W]``."""
        start, height, width, x, y = self._taps(pictures, level, points)
        left, top = x.floor(), y.floor()
        right, down = x - left, y - top
        left, top, wanted = left.long(), top.long(), _spread(label)
        total = torch.zeros_like(x)
        for step_down, share_down in ((0, 1 - down), (1, down)):
            for step_right, share_right in ((0, 1 - right), (1, right)):
                column, row = left + step_right, top + step_down
                inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
                value = self.stock.labels[torch.where(inside, start + row * width + column, 0)]
                total += (inside & ((value == wanted) | (wanted == 0))) * (share_down * share_right)
        return total

    def _marks(self, scenes: Laid, plan: StepPlan) -> Tensor:
        """Labels of the scenes' masks, int64 ``[N, T, H, W]``."""
        points = _points(scenes.outlines, self._bend(scenes, plan), plan)
        start, height, width, x, y = self._taps(scenes.masks, scenes.levels[1], points)
        column, row = _mirrored(x, width).round().long(), _mirrored(y, height).round().long()
        return self.stock.labels[start + row * width + column].long()

    def _finished(self, colours: Tensor, plan: StepPlan) -> Tensor:
        """Frames as a camera has them: soft, flickering, noisy, without colour; uint8 ``[B, T, 3, H, W]``."""
        images = colours.permute(0, 1, 4, 2, 3).contiguous()
        for number, soft in enumerate(plan.soft):
            if soft:
                images[number] = _blurred(images[number], soft)
        steps = plan.flicker.to(self.device, non_blocking=True)[..., None, None, None]
        noise, grey = plan.finish.to(self.device, non_blocking=True)[..., None, None, None, None]
        generator = torch.Generator(self.device).manual_seed(plan.seed)
        images = images * steps[:, :, 0] + steps[:, :, 1]
        images = images + noise * torch.randn(images.shape, generator=generator, device=self.device)
        red, green, blue = images.unbind(dim=2)
        brightness = BRIGHTNESS[0] * red + BRIGHTNESS[1] * green + BRIGHTNESS[2] * blue
        return torch.lerp(images, brightness[:, :, None].expand_as(images), grey).clamp(0, 255).to(torch.uint8)


def _points(matrices: Tensor, bend: Tensor | None, plan: StepPlan) -> Tensor:
    """Where the pixels of the frames look in their pictures, x and y, ``[N, T, H, W, 2]``."""
    xs = torch.arange(plan.width, device=matrices.device, dtype=torch.float32)
    ys = torch.arange(plan.height, device=matrices.device, dtype=torch.float32)
    along = matrices[..., None, :, 0] * xs[:, None]  # [N, T, W, 2]
    down = matrices[..., None, :, 1] * ys[:, None] + matrices[..., None, :, 2]  # [N, T, H, 2]
    points = along[:, :, None] + down[:, :, :, None]
    return points if bend is None else points + bend


def _spread(values: Tensor) -> Tensor:
    """A value of each layer, ``[N]``, for all its pixels."""
    return values[:, None, None, None]


def _mirrored(at: Tensor, size: Tensor) -> Tensor:
    """Coordinates of [0, size - 1] as they are, others mirrored at its ends."""
    period = (2 * (size - 1)).clamp(min=1).to(at.dtype)
    at = torch.remainder(at, period)
    return torch.minimum(torch.minimum(at, period - at), (size - 1).to(at.dtype)).clamp(min=0)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """Pictures ``[T, 3, H, W]`` with a Gaussian blur."""
    at = torch.arange(-REACH, REACH + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum())[None, None].expand(3, 1, -1)
    padded = F.pad(images, (REACH, REACH, REACH, REACH), mode="replicate")
    across = F.conv2d(padded, kernel[:, :, None], groups=3)
    return F.conv2d(across, kernel[..., None], groups=3)


def _labelled(frames: Tensor, labels: Tensor, places: Tensor, objects: int, most: int) -> Batch:
    """Keep up to ``objects`` objects of each first frame, renumbered from 1; a clip without any becomes another.

    Args:
        frames: uint8 ``[B, T, 3, H, W]``.
        labels: int64 ``[B, T, H, W]``, up to ``most``.
        places: of the clips.
        objects: slots.
        most: the highest label.
    """
    ids = torch.arange(1, most + 1, device=labels.device)
    least = max(16, labels[0, 0].numel() // 2000)
    seen = (labels[:, 0, None] == ids[:, None, None]).flatten(2).sum(dim=2) >= least
    rank = seen.long().cumsum(dim=1) * seen
    rank = torch.where(rank > objects, 0, rank)
    table = torch.cat([torch.zeros_like(rank[:, :1]), rank], dim=1)
    labels = torch.gather(table, 1, labels.flatten(1)).view_as(labels)
    there = (rank > 0).any(dim=1)
    rows = torch.where(there, torch.arange(len(labels), device=labels.device), there.long().argmax())
    return Batch(frames[rows], labels[rows], objects, places[rows])
