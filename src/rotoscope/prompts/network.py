"""A network that answers clicks: the picture is encoded once, each click by a light head.

What it takes from the papers on interactive segmentation: clicks as maps beside the mask so far (Sofiiuk et al.,
"Reviving Iterative Training with Mask Guidance", ICIP 2022), and the split into an encoder of the picture and a light
decoder of clicks (Kirillov et al., "Segment Anything", ICCV 2023). That the head is told how alike each place is to the
clicked ones, and that clicked features scale its channels, is chosen here: it spreads what a click says over the whole
picture, which few convolutions could not.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.trunks import begin_small, build_trunk
from rotoscope.prompts.blocks import CLICK_MAPS, ConvNorm, Residual, box_maps, centres, click_maps, doubled
from rotoscope.prompts.config import PromptsConfig

FINE = 2
"""Stride of the logits, and of the mask so far."""
STRIDE = 4
"""Stride of the finest features."""
MULTIPLE = 32
"""Sides of pictures are multiples of this."""
ALIKE = 4
"""Maps of likeness: to wanted clicks, to those not wanted, to the mask so far, to what the box holds."""


class Scene(NamedTuple):
    """What is known of pictures whatever is clicked.

    Attributes:
        levels: features at stride 4, 8, 16 and 32, ``[B, C, h, w]`` each.
        key: features of length 1 whose product says how alike two places are, ``[B, Ck, H/8, W/8]``.
    """

    levels: tuple[Tensor, ...]
    key: Tensor

    def repeat(self, times: int) -> Scene:
        """Each picture as often, for as many objects of it."""
        if times == 1:
            return self
        levels = tuple(level.repeat_interleave(times, dim=0) for level in self.levels)
        return Scene(levels, self.key.repeat_interleave(times, dim=0))


class Asked(NamedTuple):
    """What was said of N objects.

    Attributes:
        points: places of clicks in pixels, ``[N, K, 2]``, x and y; a pixel's centre lies at a half.
        signs: 1 wanted, -1 not wanted, 0 no click, ``[N, K]``.
        boxes: left, top, right and bottom in pixels, ``[N, 4]``; without area where there is none.
        before: the mask so far in [0, 1] at stride 2, ``[N, 1, H/2, W/2]``; zero where there is none.
    """

    points: Tensor
    signs: Tensor
    boxes: Tensor
    before: Tensor


class Answered(NamedTuple):
    """The answer for N objects: logits at stride 2, ``[N, 1, H/2, W/2]``, and of the IoU they will have, ``[N]``."""

    logits: Tensor
    quality: Tensor


class Neck(nn.Module):
    """From the trunk's features to a :class:`Scene`, coarse to fine (as in feature pyramids)."""

    def __init__(self, channels: list[int], config: PromptsConfig) -> None:
        super().__init__()
        dims = config.dims
        self.sides = nn.ModuleList(ConvNorm(c, d, 1) for c, d in zip(channels, dims, strict=True))
        self.downs = nn.ModuleList(ConvNorm(dims[i + 1], dims[i], 1) for i in range(3))
        self.smooth = nn.ModuleList(ConvNorm(d, d) for d in dims[1:])
        self.pixels = nn.Conv2d(3 * STRIDE**2, dims[0], 1)
        self.key = nn.Conv2d(dims[1], config.key_dim, 1)
        begin_small(config.trunk, *(side[0].weight for side in self.sides))  # type: ignore[index]

    def forward(self, image: Tensor, features: list[Tensor]) -> Scene:
        """A picture ``[B, 3, H, W]`` and the trunk's features of it."""
        level = F.relu(self.smooth[2](F.relu(self.sides[3](features[3]))))
        levels = [level]
        for i in (2, 1, 0):
            level = self.sides[i](features[i]) + doubled(self.downs[i](level), features[i].shape)
            if i:
                level = F.relu(self.smooth[i - 1](F.relu(level)))
            else:
                level = F.relu(level + self.pixels(F.pixel_unshuffle(image, STRIDE)))
            levels.insert(0, level)
        return Scene(tuple(levels), F.normalize(self.key(levels[1]).float(), dim=1))


class Head(nn.Module):
    """Answers what was asked of objects, from the scene: down to stride 32 and up again."""

    def __init__(self, config: PromptsConfig) -> None:
        super().__init__()
        d4, d8, d16, d32 = dims = config.dims
        self.asked = ConvNorm(CLICK_MAPS + (STRIDE // FINE) ** 2, d4)
        self.alike = ConvNorm(ALIKE, d8)
        self.downs = nn.ModuleList(ConvNorm(dims[i], dims[i + 1], 3, 2) for i in range(3))
        self.clicked = nn.Linear(3 * d16, 2 * d16)
        self.deep = nn.Sequential(Residual(d32), Residual(d32))
        self.ups = nn.ModuleList(ConvNorm(dims[i + 1], dims[i], 1) for i in range(3))
        self.blocks = nn.ModuleList(Residual(d) for d in dims[:3])
        self.mask = nn.Conv2d(d4, (STRIDE // FINE) ** 2, 3, 1, 1)
        self.quality = nn.Sequential(nn.Linear(3 * d16, 64), nn.ReLU(inplace=True), nn.Linear(64, 1))
        nn.init.zeros_(self.clicked.weight)
        nn.init.zeros_(self.clicked.bias)

    def forward(self, scene: Scene, asked: Asked) -> Answered:
        """Answer for N objects, each with its own row of the scene."""
        height, width = scene.levels[0].shape[-2:]
        maps = click_maps(asked.points, asked.signs, asked.boxes, height, width, STRIDE)
        maps = torch.cat([maps, F.pixel_unshuffle(asked.before, STRIDE // FINE)], dim=1)
        maps = maps.to(scene.levels[0].dtype).contiguous(memory_format=torch.channels_last)
        down = [F.relu(self.asked(maps) + scene.levels[0])]
        extra = self.alike(self._alike(scene, asked))
        down.append(F.relu(self.downs[0](down[0]) + extra + scene.levels[1]))
        x16 = self.downs[1](down[1]) + scene.levels[2]
        scale, shift = self.clicked(self._clicked(scene, asked))[:, :, None, None].chunk(2, dim=1)
        down.append(F.relu(x16 * (1 + scale) + shift))
        x = self.deep(F.relu(self.downs[2](down[2]) + scene.levels[3]))
        deep = x
        for i in (2, 1, 0):
            x = self.blocks[i](F.relu(down[i] + doubled(self.ups[i](x), down[i].shape)))
            deep = x if i == 2 else deep
        logits = F.pixel_shuffle(self.mask(x), STRIDE // FINE)
        return Answered(logits, self._quality(deep, logits))

    def _alike(self, scene: Scene, asked: Asked) -> Tensor:
        """How alike each place is to what was clicked, masked and boxed, ``[N, 4, H/8, W/8]`` in [-1, 1]."""
        key, flat = scene.key, scene.key.flatten(2)
        clicked = F.normalize(sampled(key, asked.points, 8), dim=2)
        near = (clicked @ flat).unflatten(2, key.shape[-2:])
        maps = []
        for sign in (1, -1):
            nearest = near.masked_fill((asked.signs != sign)[:, :, None, None], -1).amax(dim=1)
            maps.append(torch.where((asked.signs == sign).any(dim=1)[:, None, None], nearest, 0.0))
        inside, _ = box_maps(asked.boxes, centres(key.shape[-2], key.shape[-1], 8, asked.boxes))
        for weights in (F.avg_pool2d(asked.before, 8 // FINE)[:, 0], inside):
            mean = F.normalize((flat @ weights.flatten(1)[:, :, None].to(flat.dtype)), dim=1)
            maps.append((mean.transpose(1, 2) @ flat)[:, 0].unflatten(1, key.shape[-2:]))
        return torch.stack(maps, dim=1).to(scene.levels[1].dtype)

    def _clicked(self, scene: Scene, asked: Asked) -> Tensor:
        """Means of the features at stride 16 under wanted clicks, others, and the mask so far, ``[N, 3 * D16]``."""
        level = scene.levels[2]
        under = sampled(level, asked.points, 16)
        parts = []
        for sign in (1, -1):
            chosen = (asked.signs == sign).to(under.dtype)[:, :, None]
            parts.append((under * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1))
        parts.append(pooled(level, F.avg_pool2d(asked.before, 16 // FINE).to(level.dtype)))
        return torch.cat(parts, dim=1)

    def _quality(self, deep: Tensor, logits: Tensor) -> Tensor:
        """Logits of the IoU that masks will have, ``[N]``; teaches neither features nor masks."""
        deep, inside = deep.detach(), F.avg_pool2d(torch.sigmoid(logits.detach()), 16 // FINE)
        seen = torch.cat([deep.mean(dim=(2, 3)), deep.amax(dim=(2, 3)), pooled(deep, inside)], dim=1)
        quality: Tensor = self.quality(seen)[:, 0]
        return quality


class PromptsNetwork(nn.Module):
    """The click network: trunk, neck and head."""

    pure: ClassVar[tuple[str, ...]] = ("encode", "answer")
    """Functions that may be replayed (:class:`~rotoscope.runtimes.replayed.Replayed`)."""

    def __init__(self, config: PromptsConfig) -> None:
        super().__init__()
        self.trunk = build_trunk(config.trunk)
        self.neck = Neck(self.trunk.channels, config)
        self.head = Head(config)

    def train(self, mode: bool = True) -> PromptsNetwork:
        """Batch norms of the trunk keep the statistics they came with: batches here are small."""
        super().train(mode)
        self.trunk.eval()
        return self

    def encode(self, image: Tensor) -> Scene:
        """What is known of pictures before anything is asked.

        Args:
            image: normalised RGB, ``[B, 3, H, W]``; H and W multiples of 32.
        """
        image = image.contiguous(memory_format=torch.channels_last)  # half the time on a CPU
        scene: Scene = self.neck(image, self.trunk(image))
        return scene

    def answer(self, scene: Scene, asked: Asked) -> Answered:
        """Masks of N objects, from a scene of N rows (:meth:`Scene.repeat`) and what was asked."""
        answered: Answered = self.head(scene, asked)
        return answered


def sampled(features: Tensor, points: Tensor, stride: int) -> Tensor:
    """Features ``[N, C, h, w]`` under points in pixels ``[N, K, 2]``, bilinear, ``[N, K, C]``."""
    height, width = features.shape[-2] * stride, features.shape[-1] * stride
    grid = (torch.stack([points[..., 0] / width, points[..., 1] / height], dim=-1) * 2 - 1)[:, None].float()
    # in float32: on a CPU in bfloat16 its values come from memory that nobody has written
    sampled = F.grid_sample(features.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[:, :, 0].transpose(1, 2).to(features.dtype)


def pooled(features: Tensor, weights: Tensor) -> Tensor:
    """Mean of features ``[N, C, h, w]`` by weights ``[N, 1, h, w]``, ``[N, C]``; about zero where nothing weighs."""
    return (features * weights).sum(dim=(2, 3)) / (weights.sum(dim=(2, 3)) + 1e-3)
