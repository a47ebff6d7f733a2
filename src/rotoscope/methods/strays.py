"""Pieces of a mask that stay behind: what comes to light where an object was is not the object.

A network that remembers its own masks believes them. Once a piece of background is in a mask, often one that the object
has just uncovered, it is remembered as the object and found again on every frame after. What the object was when it was
given says otherwise: a piece (a connected component) that lies apart from the rest, and hardly resembles it, is left
out. Keys are those by which STCN's memory is read (Cheng et al., NeurIPS 2021); the comparison is ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.memory.read import top_features
from rotoscope.methods.prediction import most_probable

KEPT = 4
"""Frames on which an object was given that are looked at: the first, and the latest others."""
NEAREST = 20
"""Cells of those frames that a cell is compared with."""
FRINGE = 3
"""Side of what a piece is widened by before it is left out, as its edge is soft; in points, which are every other pixel
each way."""
CELL = 8
"""Side of a cell in points."""

PREFIX = "strays."
"""Of names in a saved state."""


class Given(NamedTuple):
    """A frame on which an object was given.

    Attributes:
        key: the key of each cell, ``[Ck, n]``.
        inside: what share of each cell the object covers, ``[n]``.
    """

    key: Tensor
    inside: Tensor


@dataclass
class Strays:
    """Knows what objects were when they were given; see the module.

    Attributes:
        least: a piece is left out if it resembles the given object less than this share of what the piece that
            resembles it most in all does, in [0, 1]; at 0 nothing is kept and nothing left out.
        given: frames on which each object was given, by its id.
    """

    least: float
    given: dict[int, deque[Given]] = field(default_factory=dict)

    def give(self, key: Tensor, masks: Mapping[int, Tensor]) -> None:
        """Keep what objects are.

        Args:
            key: the key of each cell of the frame, ``[Ck, h, w]``.
            masks: soft masks ``[H, W]`` in [0, 1] by object id, of those that are given on it; 16 pixels to a cell.
        """
        for object_id, mask in masks.items() if self.least else ():
            inside = F.avg_pool2d(mask[None].float(), 2 * CELL)[0].flatten()
            frames = self.given.setdefault(object_id, deque())
            if len(frames) == KEPT:
                del frames[1]
            frames.append(Given(key.float().flatten(1), inside))

    def forget(self, object_id: int) -> None:
        """Know an object no more."""
        self.given.pop(object_id, None)

    def step(self, probabilities: Tensor, ids: Sequence[int], key: Tensor) -> Tensor:
        """Leave out of a frame's masks what stayed behind.

        Args:
            probabilities: of background and objects, ``[1 + N, H, W]``.
            ids: of the objects, in the order of their channels.
            key: the key of each cell of the frame, ``[Ck, H / 16, W / 16]``.
        Returns: the probabilities; where a piece is left out, those of the background and of other objects share what
            it had.
        """
        labels = most_probable(probabilities[:, ::2, ::2])[1].cpu().numpy()
        masks = [np.asarray(labels == 1 + slot, np.uint8) for slot in range(len(ids))]
        strayed = [self._strayed(mask, object_id, key) for mask, object_id in zip(masks, ids, strict=True)]
        if all(points is None for points in strayed):
            return probabilities
        nothing = np.zeros(labels.shape, np.uint8)
        points = np.stack([nothing, *(nothing if own is None else own for own in strayed)])
        # What is left out is small: only the window around it is worked on.
        across = [np.flatnonzero(points.any(axis=axes)) for axes in ((0, 2), (0, 1))]
        high, wide = (slice(int(at[0]), int(at[-1]) + 1) for at in across)
        left_out = torch.from_numpy(points[:, high, wide].repeat(2, axis=1).repeat(2, axis=2) > 0)
        found = probabilities.clone()
        window = found[:, 2 * high.start : 2 * high.stop, 2 * wide.start : 2 * wide.stop]
        left_out = left_out.to(found.device)
        rest = window.masked_fill(left_out, 0)
        rest[0] += rest.sum(dim=0) <= 0  # nothing else was thought of there
        window.copy_(torch.where(left_out.any(dim=0), rest / rest.sum(dim=0), window))
        return found

    def state(self) -> dict[str, Any]:
        """All of it, as tensors whose names begin with ``strays.``."""
        return {
            f"{PREFIX}{object_id}.{number}.{name}": value
            for object_id, frames in self.given.items()
            for number, frame in enumerate(frames)
            for name, value in frame._asdict().items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken, among other things."""
        self.given = {}
        own = [name.removeprefix(PREFIX).split(".") for name in state if name.startswith(PREFIX)]
        for object_id, number in sorted({(int(i), int(n)) for i, n, _ in own}):
            stem = f"{PREFIX}{object_id}.{number}"
            self.given.setdefault(object_id, deque()).append(Given(state[f"{stem}.key"], state[f"{stem}.inside"]))

    def _strayed(self, mask: NDArray[np.uint8], object_id: int, key: Tensor) -> NDArray[np.uint8] | None:
        """Which points of an object's mask, of 0 and 1, are to be left out; None if none is."""
        if object_id not in self.given:
            return None
        left, top, width, height = cv2.boundingRect(mask)
        left, top, right, bottom = (
            max(left - FRINGE, 0),
            max(top - FRINGE, 0),
            left + width + FRINGE,
            top + height + FRINGE,
        )
        part = (slice(top, bottom), slice(left, right))  # a mask covers little of a frame
        count, numbers, about, _ = cv2.connectedComponentsWithStats(mask[part], connectivity=8)
        if count < 3:  # the background and one piece
            return None
        pieces = np.asarray(numbers, np.int32)
        alike = self._alike(pieces, (top, left), count, object_id, key)
        best = int((alike * about[1:, cv2.CC_STAT_AREA]).argmax())
        strays = alike < self.least * alike[best]
        strays[best] = False
        if not strays.any():
            return None
        own = np.concatenate([[False], strays])[pieces]
        wide = cv2.dilate(own.astype(np.uint8), np.ones((FRINGE, FRINGE), np.uint8))
        points = np.zeros_like(mask)
        points[part] = wide * (own | (mask[part] == 0))
        return points

    def _alike(
        self, pieces: NDArray[np.int32], corner: tuple[int, int], count: int, object_id: int, key: Tensor
    ) -> NDArray[np.float64]:
        """How much each piece resembles the given object, ``[count - 1]``: 1 where its cells are as full of it there.

        What cells of a piece resemble is weighted by how much of them it covers, and compared with just that, so that
        a thin piece, which fills no cell, is none the less like a thin object.
        """
        cells = key[0].numel()
        rows, columns = np.nonzero(pieces)
        number = pieces[rows, columns] - np.int64(1)
        places = number * cells + (rows + corner[0]) // CELL * key.shape[-1] + (columns + corner[1]) // CELL
        met, points = np.unique(places, return_counts=True)  # pieces may be many, so only what they cover is held
        piece, cell = np.divmod(met, cells)
        shares = points / CELL**2
        asked, which = np.unique(cell, return_inverse=True)
        query = key.float().flatten(1)[:, torch.from_numpy(asked).to(key.device)]
        resembled = torch.stack([_resemblance(query, frame) for frame in self.given[object_id]]).amax(dim=0)
        own = resembled.double().cpu().numpy()[which]
        alike: NDArray[np.float64] = np.bincount(piece, shares * own) / np.bincount(piece, shares**2)
        return alike


def _resemblance(query: Tensor, frame: Given) -> Tensor:
    """How much of the cells that some cells ``[Ck, Q]`` resemble most belongs to the object, in [0, 1], ``[Q]``."""
    norms = frame.key.square().sum(dim=0)
    indices, weights = top_features(frame.key, norms, query, NEAREST)
    return (frame.inside[indices] * weights).sum(dim=1)
