"""What a method's clip loss takes, and what it returns to the training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """Clips of one size that a loss is computed on together.

    Attributes:
        images: RGB normalised as ImageNet's, ``[B, T, 3, H, W]``; H and W multiples of 16.
        labels: int64 ``[B, T, H, W]`` in [0, objects], 0 the background; slot = label - 1.
        objects: how many slots there are; some may hold no object.
        places: what each cell at stride 16 shows, float32 ``[B, T, H / 16, W / 16, 3]``: a layer, -1 where it is not
            known, and a point on it in pixels (see :func:`~rotoscope.layers.losses.correspondence_loss`); None where
            nothing is known.
        hardest: share of the pixels that a bootstrapped loss counts, in (0, 1]; 1 is all of them. Losses that are not
            bootstrapped take no notice.
        classes: class of each slot, int64 ``[B, objects]``, 0 where it is not known; None where no class is.
    """

    images: Tensor
    labels: Tensor
    objects: int
    places: Tensor | None = None
    hardest: float = 1.0
    classes: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ClipLoss:
    """What a method's loss of a batch of clips returns.

    Attributes:
        loss: the scalar to minimise.
        parts: the parts of the loss, scalars by name; the log has a column for each.
        probabilities: the aggregated probabilities of the frames after the first, ``[B, T - 1, 1 + N, H, W]``,
            detached.
    """

    loss: Tensor
    parts: dict[str, float]
    probabilities: Tensor


ClipLossFunction = Callable[..., ClipLoss]
"""``(network, ClipBatch, *, option=…) -> ClipLoss``; its options are numbers, which recipes set by name."""


class ClipTruth(NamedTuple):
    """What is true in a batch of clips, for methods that follow the objects of the first frame.

    Attributes:
        targets: each slot's mask, 0 or 1, in the type of the images, ``[B, T, N, H, W]``.
        valid: 1 where a slot holds an object of the first frame, else 0, ``[B, N]``.
        visible: the labels without objects that are not in the first frame, int64 ``[B, T, H, W]``.
    """

    targets: Tensor
    valid: Tensor
    visible: Tensor

    @classmethod
    def of(cls, clip: ClipBatch) -> ClipTruth:
        """Work it out from the labels."""
        labels = clip.labels
        targets = F.one_hot(labels, clip.objects + 1).permute(0, 1, 4, 2, 3)[:, :, 1:].to(clip.images.dtype)
        valid = (targets[:, 0].sum(dim=(2, 3)) > 0).to(clip.images.dtype)
        exists = torch.cat([torch.zeros_like(valid[:, :1]), valid], dim=1).long()
        visible = labels * exists.gather(1, labels.flatten(1)).view_as(labels)
        return cls(targets, valid, visible)


def known_places(clip: ClipBatch) -> Tensor | None:
    """What each cell of the clips shows, ``[B, T, h*w, 3]``; None where no place is known at all."""
    if clip.places is None or not bool((clip.places[..., 0] >= 0).any()):
        return None
    return clip.places.flatten(2, 3)
