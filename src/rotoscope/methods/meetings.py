"""Objects that touch: how each goes on while they overlap, and what masks say of who is where.

Masks are looked at in cells of the working size here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

CELL = 4
"""Side in pixels of the working size of the cells that masks are looked at in."""
GAP = 3
"""Cells between two masks that count as touching."""
LOOKED_AT = 240
"""Short side in pixels at which colours are counted."""
SHADES = (8, 16, 16)
"""Bins of lightness and of the two axes of colour."""
WHOLE = 0.35
"""A part is an object if its area is at least this share of the objects' area before they met."""
CLEAR = 1.4
"""Distance of the parts' centres, in sizes of the objects, from which on it counts where they are."""
ALPHA, BETA = 0.15, 0.01
"""How far the centre and the pace of an object follow what is seen of it during a meeting."""
AGREED = 0.6
"""Share of a member's mask that must lie where its motion has it, or the union is divided anew."""


@dataclass(eq=False)
class Motion:
    """How an object goes: its centre now and what it moves by in a frame, in cells, and its mask before the meeting.

    Attributes:
        centre: (x, y).
        pace: the same, per frame.
        mask: bool, ``[h, w]``, centred on ``at``.
        at: the centre that the mask had.
    """

    centre: NDArray[np.float64]
    pace: NDArray[np.float64]
    mask: NDArray[np.bool_]
    at: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Cells of the mask."""
        return max(float(self.mask.sum()), 1.0)

    def outside(self) -> NDArray[np.float32]:
        """How far each cell is outside the mask, were it where the object is now; negative inside."""
        shift = np.column_stack([np.eye(2), self.centre - self.at])
        height, width = self.mask.shape
        moved = cv2.warpAffine(self.mask.astype(np.uint8) * 255, shift, (width, height)) > 127
        if not moved.any():
            rows, columns = np.mgrid[:height, :width]
            return np.asarray(np.hypot(columns - self.centre[0], rows - self.centre[1]), np.float32)
        out = cv2.distanceTransform((~moved).astype(np.uint8), cv2.DIST_L2, 3)
        return np.asarray(out - cv2.distanceTransform(moved.astype(np.uint8), cv2.DIST_L2, 3), np.float32)


@dataclass(eq=False)
class Meeting:
    """Look-alikes that touch.

    Attributes:
        since: number of the frame on which the first two touched.
        motions: of each member; by object id.
        merged: whether the parts have been fewer than the objects.
        apart: frames in a row on which, after that, they were as many.
    """

    since: int
    motions: dict[int, Motion]
    merged: bool = False
    apart: int = 0

    def follow(self, together: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Move on by a frame, and see from the members' union where each is.

        An alpha-beta filter: the centre of what falls to an object is compared with the centre of what should.

        Args:
            together: the union of all members' masks, ``[h, w]``.
        Returns: whose each cell would be, as a place in ``motions``, ``[h, w]``.
        """
        for motion in self.motions.values():
            motion.centre = motion.centre + motion.pace
        outside = np.stack([motion.outside() for motion in self.motions.values()])
        whose = outside.argmin(axis=0)
        for place, motion in enumerate(self.motions.values()):
            expected, seen = (whose == place) & (outside[place] < 0), (whose == place) & together
            if expected.any() and seen.any():
                off = np.argwhere(seen).mean(axis=0)[::-1] - np.argwhere(expected).mean(axis=0)[::-1]
                off = np.clip(off, -2, 2)
                motion.centre, motion.pace = motion.centre + ALPHA * off, motion.pace + BETA * off
        return np.asarray(whose)


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


def large_parts(together: NDArray[np.bool_], meeting: Meeting) -> list[NDArray[np.bool_]]:
    """The connected parts of a union of members that are large enough to be one of them."""
    count, numbers, facts, _ = cv2.connectedComponentsWithStats(together.astype(np.uint8), connectivity=8)
    least = WHOLE * float(np.median([motion.area for motion in meeting.motions.values()]))
    return [numbers == n for n in range(1, count) if facts[n, cv2.CC_STAT_AREA] >= least]


def agree(labels: NDArray[np.int32], ids: Sequence[int], meeting: Meeting, whose: NDArray[np.int64]) -> bool:
    """Whether the network has each member mostly where its motion has it."""
    for place, object_id in enumerate(meeting.motions):
        own = labels == 1 + ids.index(object_id)
        if own.any() and (whose[own] == place).mean() < AGREED:
            return False
    return True


def divided(probabilities: Tensor, ids: Sequence[int], members: Sequence[int], whose: NDArray[np.int64]) -> Tensor:
    """Give what members have together to the one whose cell it is.

    Args:
        probabilities: ``[1 + N, H, W]``.
        ids: of the objects, in the order of their channels.
        members: some of them.
        whose: place in ``members`` of each cell, ``[h, w]``.
    """
    height, width = probabilities.shape[-2:]
    fine = torch.from_numpy(np.kron(whose, np.ones((CELL, CELL), np.int64))[:height, :width]).to(probabilities.device)
    channels = [1 + ids.index(object_id) for object_id in members]
    together = probabilities[channels].sum(dim=0)
    out = probabilities.clone()
    for place, channel in enumerate(channels):
        out[channel] = together * (fine == place)
    return out


def cell_labels(probabilities: Tensor) -> NDArray[np.int32]:
    """The likeliest channel of each cell."""
    return np.asarray(F.avg_pool2d(probabilities[None].float(), CELL)[0].max(dim=0).indices.cpu().numpy(), np.int32)


def well_apart(parts: list[NDArray[np.bool_]]) -> bool:
    """Whether the centres of all parts are well apart."""
    centres = [np.argwhere(part).mean(axis=0) for part in parts]
    size = float(np.sqrt(np.median([part.sum() for part in parts])))
    return all(
        float(np.linalg.norm(one - other)) >= CLEAR * size
        for number, one in enumerate(centres)
        for other in centres[number + 1 :]
    )


def centres_of(labels: NDArray[np.int32], ids: Sequence[int]) -> dict[int, tuple[float, float, float]]:
    """Centre (x, y) and area in cells of each object that is seen."""
    centres = {}
    for slot, object_id in enumerate(ids):
        rows, columns = np.nonzero(labels == 1 + slot)
        if len(rows):
            centres[object_id] = (float(columns.mean()), float(rows.mean()), float(len(rows)))
    return centres


def touching(labels: NDArray[np.int32], ids: Sequence[int]) -> set[tuple[int, int]]:
    """Pairs of ids whose masks come within ``GAP`` cells of each other, across or down."""
    pairs: set[tuple[int, int]] = set()
    for gap in range(1, GAP + 1):
        for one, other in ((labels[:, :-gap], labels[:, gap:]), (labels[:-gap], labels[gap:])):
            near = (one > 0) & (other > 0) & (one != other)
            if near.any():
                for a, b in np.unique(np.stack([one[near], other[near]], axis=1), axis=0):
                    pairs.add((min(ids[a - 1], ids[b - 1]), max(ids[a - 1], ids[b - 1])))
    return pairs


def nearest_part(parts: list[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """The number of the part that is nearest to each cell."""
    distances = [cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 3) for part in parts]
    return np.argmin(distances, axis=0).astype(np.uint8)
