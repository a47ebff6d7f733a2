"""What every method's clip loss returns to the training loop."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ClipLoss:
    """What a training clip gives.

    Attributes:
        loss: scalar to minimise.
        parts: named scalars for the log.
        probabilities: aggregated, ``[B, T - 1, 1 + N, H, W]``, of the frames after the first, detached.
    """

    loss: Tensor
    parts: dict[str, float]
    probabilities: Tensor
