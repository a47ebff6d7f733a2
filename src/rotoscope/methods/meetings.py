"""Objects that touch: how each goes on while they overlap, and what masks say of who is where.

Masks are looked at in cells of the working size here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.methods.portraits import STEP

CELL = 4
"""Side in pixels of the working size of the cells that masks are looked at in."""
SOON, BESIDE = 20, 10
"""Frames ahead, and cells around boxes, within which look-alikes that come near are followed by their pictures."""
GAP = 3
"""Cells between two masks that count as touching."""
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
        pictured: whether they are followed by their pictures, which is decided once they overlap; None before.
    """

    since: int
    motions: dict[int, Motion]
    merged: bool = False
    apart: int = 0
    pictured: bool | None = None

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


def fitted_motion(
    places: Sequence[tuple[int, float, float, float]], now: int, mask: NDArray[np.bool_]
) -> Motion | None:
    """A line fitted to where an object has been, as of the frame before ``now``; None if it was hardly seen alone.

    Args:
        places: number of the frame, centre (x, y) and area, in cells.
        now: number of the frame.
        mask: the object on it, ``[h, w]``.
    """
    track = np.array(places)
    if len(track) < 3 or not mask.any():
        return None
    (across, x), (down, y) = (np.polyfit(track[:, 0] - now, track[:, column], 1) for column in (1, 2))
    pace, centre = np.array([across, down]), np.argwhere(mask).mean(axis=0)[::-1]
    return Motion(0.5 * (np.array([x, y]) + centre) - pace, pace, mask, centre)


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


def divided(
    probabilities: Tensor, ids: Sequence[int], members: Sequence[int], whose: NDArray[np.int64], side: int = CELL
) -> Tensor:
    """Give what members have together to the one whose cell it is.

    Args:
        probabilities: ``[1 + N, H, W]``.
        ids: of the objects, in the order of their channels.
        members: some of them.
        whose: place in ``members`` of each cell, ``[h, w]``.
        side: of these cells in pixels.
    """
    height, width = probabilities.shape[-2:]
    size = (whose.shape[1] * side, whose.shape[0] * side)
    places = cv2.resize(whose.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)[:height, :width]
    fine = torch.from_numpy(np.ascontiguousarray(places)).to(probabilities.device)
    channels = [1 + ids.index(object_id) for object_id in members]
    together = probabilities[channels].sum(dim=0)
    out = probabilities.clone()
    for place, channel in enumerate(channels):
        out[channel] = together * (fine == place)
    return out


def cell_labels(probabilities: Tensor) -> NDArray[np.int32]:
    """The likeliest channel of each cell."""
    size = (probabilities.shape[-1] // CELL, probabilities.shape[-2] // CELL)
    planes = probabilities.float().cpu().numpy()
    cells = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes]  # PyTorch takes thrice as long
    return np.argmax(cells, axis=0).astype(np.int32)


def fine_labels(probabilities: Tensor) -> NDArray[np.int32]:
    """The likeliest channel of every other pixel, for objects' pictures."""
    some = probabilities[:, STEP // 2 :: STEP, STEP // 2 :: STEP].contiguous()
    return np.asarray(some.max(dim=0).indices.cpu().numpy(), np.int32)


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


def coming_near(
    labels: NDArray[np.int32],
    ids: Sequence[int],
    tracks: Mapping[int, Sequence[tuple[int, float, float, float]]],
    alike: Callable[[int, int], bool],
) -> set[int]:
    """Those of some objects whose boxes touch those of look-alikes soon, if they go on as they went.

    Args:
        labels: likeliest channel of each cell, ``[h, w]``.
        ids: of the objects, in the order of their channels.
        tracks: where they were: number of the frame, centre (x, y) and area, in cells.
        alike: whether two look alike.
    """
    boxes, paces = {}, {}
    for slot, object_id in enumerate(ids, 1):
        left, top, width, height = cv2.boundingRect((labels == slot).astype(np.uint8))
        if width:
            boxes[object_id] = np.array([left, top, left + width, top + height], float)
            track = np.array(tracks.get(object_id, ()))
            moved = len(track) > 1 and track[-1, 0] > track[0, 0]
            paces[object_id] = (track[-1] - track[0])[1:3] / (track[-1, 0] - track[0, 0]) if moved else np.zeros(2)
    near: set[int] = set()
    for one, other in itertools.combinations(boxes, 2):
        way = SOON * (paces[one] - paces[other])
        begin = np.minimum(boxes[one], boxes[one] + np.tile(way, 2))[:2] - BESIDE
        end = np.maximum(boxes[one], boxes[one] + np.tile(way, 2))[2:] + BESIDE
        if (begin <= boxes[other][2:]).all() and (end >= boxes[other][:2]).all() and alike(one, other):
            near |= {one, other}
    return near


def overlap(covers: NDArray[np.bool_]) -> bool:
    """Whether what some objects cover, ``[M, h, w]``, overlaps."""
    return bool((covers.sum(axis=0) > 1).any())


def pixels(track: Sequence[tuple[int, float, float, float]]) -> NDArray[np.float64]:
    """A track in cells as frames and places in pixels of objects' pictures, ``[T, 3]``."""
    return np.array([(t, *((np.array([x, y]) + 0.5) * CELL / STEP - 0.5)) for t, x, y, _ in track]).reshape(-1, 3)


def nearest_part(parts: list[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """The number of the part that is nearest to each cell."""
    distances = [cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 3) for part in parts]
    return np.argmin(distances, axis=0).astype(np.uint8)
