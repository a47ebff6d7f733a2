"""Which objects look alike: by their colours where they were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LOOKED_AT = 240
"""Short side in pixels at which colours are counted."""
SHADES = (8, 16, 16)
"""Bins of lightness and of the two axes of colour."""
ALIKE = 0.92
"""Bhattacharyya coefficient of two objects' colours from which on they look alike."""


@dataclass
class Looks:
    """Colours of objects.

    Attributes:
        known: of each object, see :func:`colours`; by object id.
        shown: what they are yet to be learnt from: frame and mask of objects as they were given, shrunk. OpenCV takes a
            tenth of a second to begin with Lab, which a clip of one object has no use for.
    """

    known: dict[int, Tensor] = field(default_factory=dict)
    shown: dict[int, tuple[NDArray[np.uint8], NDArray[np.float32]]] = field(default_factory=dict)

    def show(self, image: NDArray[np.uint8], masks: Mapping[int, Tensor]) -> None:
        """Keep what objects look like.

        Args:
            image: the frame, RGB ``[H, W, 3]``.
            masks: soft masks ``[H, W]`` by object id, of those that were given on it.
        """
        small = shrunk(image)
        for object_id, mask in masks.items():
            self.shown[object_id] = small, shrunk(mask.float().cpu().numpy())

    def forget(self, object_id: int) -> None:
        """Drop what an object looks like."""
        self.shown.pop(object_id, None)
        self.known.pop(object_id, None)

    def alike(self, one: int, other: int) -> bool:
        """Whether two objects look alike."""
        self._learn()
        if one not in self.known or other not in self.known:
            return False
        return float(self.known[one] @ self.known[other]) >= ALIKE

    def confusable(self, ids: Sequence[int]) -> list[int]:
        """Those of some objects that look like another of them."""
        if len(ids) < 2:
            return []
        self._learn()
        known = [object_id for object_id in ids if object_id in self.known]
        if len(known) < 2:
            return []
        looks = torch.stack([self.known[object_id] for object_id in known])
        similar = looks @ looks.T
        similar.fill_diagonal_(-1)
        return [object_id for object_id, most in zip(known, similar.amax(dim=1).tolist(), strict=True) if most >= ALIKE]

    def state(self) -> dict[str, Any]:
        """All of it, as tensors."""
        state: dict[str, Any] = {f"look.{object_id}": look for object_id, look in self.known.items()}
        state |= {f"shown.{i}": torch.from_numpy(image) for i, (image, _) in self.shown.items()}
        return state | {f"inside.{i}": torch.from_numpy(mask) for i, (_, mask) in self.shown.items()}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Looks:
        """Those that gave a state."""
        known = {int(k.removeprefix("look.")): v for k, v in state.items() if k.startswith("look.")}
        shown = [int(k.removeprefix("shown.")) for k in state if k.startswith("shown.")]
        return cls(known, {i: (state[f"shown.{i}"].numpy(), state[f"inside.{i}"].numpy()) for i in shown})

    def _learn(self) -> None:
        """Make looks of what was shown; an object whose mask was empty keeps the look that it had."""
        for object_id, (image, mask) in self.shown.items():
            look = colours(image, mask)
            if look is not None:
                self.known[object_id] = torch.from_numpy(look)
        self.shown.clear()


def shrunk(plane: NDArray[Any]) -> NDArray[Any]:
    """A frame ``[H, W, 3]`` or a mask ``[H, W]`` at the size at which colours are counted, of the same type."""
    share = min(LOOKED_AT / min(plane.shape[:2]), 1.0)
    size = (max(round(plane.shape[1] * share), 1), max(round(plane.shape[0] * share), 1))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def colours(image: NDArray[np.uint8], mask: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """How often each colour occurs in a mask, as the square roots of a smoothed histogram in CIE Lab.

    The product of two of them is the Bhattacharyya coefficient, 1 for the same colours in the same shares.

    Args:
        image: RGB ``[h, w, 3]``, uint8, shrunk.
        mask: soft mask ``[h, w]`` in [0, 1], shrunk as well.
    Returns: a unit vector; None if the mask is empty.
    """
    lab, inside = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3), mask.ravel()
    if inside.sum() <= 0:
        return None
    counts, _ = np.histogramdd(lab, bins=SHADES, range=((0, 256),) * 3, weights=np.where(inside > 0.5, inside, 0))
    for axis in range(3):  # neighbouring bins share, so that a little light does not make another colour
        padded = np.pad(counts, [(1, 1) if other == axis else (0, 0) for other in range(3)])
        before, after = (np.take(padded, range(k, k + counts.shape[axis]), axis=axis) for k in (0, 2))
        counts = 0.25 * before + 0.5 * counts + 0.25 * after
    total = counts.sum()
    return np.sqrt(counts / total).ravel().astype(np.float32) if total > 0 else None
