"""Where each of several look-alikes is, and who is in front, by their pictures.

Where two pictures claim the same place, the one that is seen there is in front. Those in front are found first, and
what they cover is hidden for the others; while it is not clear who is, both orders are tried. Things that change their
form do not fit their picture for long; then nothing is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from rotoscope.layers.normalise import normalised_bytes
from rotoscope.methods.portrait import Found, Portrait, Scene

STEP = 2
"""Pixels of the working size to a pixel of the pictures."""
RENEWED = 0.93
"""Share of points that look as on the picture under which a new one is made while the object is alone."""
HELD = 4
"""Frames on which an object must have been found by a picture for it to be followed by that through a meeting."""
LOST = 10
"""Frames on which an object was not found after which its picture says nothing."""
SWAPPED = 0.03
"""By how much another order must explain a frame better; twice as much once it is decided."""
DECIDED = 1.0
"""How much more one of two must have been seen where both should be, for it to be in front without doubt."""
WITHIN = 0.5
"""Share of what an object covers by its picture that must lie in its mask while it is alone."""
CLAIMED = 12
"""Pixels that two objects must claim together to say who is in front; and those of the least picture."""


@dataclass(eq=False)
class Portraits:
    """The pictures of a video's look-alikes.

    Attributes:
        known: by object id.
        before: of two ids, the lower first, how much more the first than the second is seen where both should be.
        size: height and width of frames' pictures.
        awake: those that were followed on the last frame; it costs time, and is of use only near others.
    """

    known: dict[int, Portrait] = field(default_factory=dict)
    before: dict[tuple[int, int], float] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)
    awake: set[int] = field(default_factory=set)

    def take(
        self, picture: NDArray[np.float32], labels: NDArray[np.int32], ids: Sequence[int], of: Iterable[int], now: int
    ) -> None:
        """Make pictures of some objects, in place of those that there are.

        Args:
            picture: of the frame, ``[H, W, 3]``.
            labels: likeliest channel of its pixels, ``[H, W]``.
            ids: of the objects, in the order of their channels.
            of: the ids of some of them; who is not seen keeps the picture that there is.
            now: the frame's number.
        """
        for object_id in of:
            mask = labels == 1 + ids.index(object_id)
            if mask.sum() >= CLAIMED:
                old = self.known.get(object_id)
                new = Portrait.taken(picture, mask)
                if old is not None:
                    new.follows(old, now)
                self.known[object_id] = new
                self.awake.add(object_id)

    def forget(self, object_id: int) -> None:
        """Drop an object's picture."""
        self.known.pop(object_id, None)
        self.awake.discard(object_id)
        self.before = {pair: value for pair, value in self.before.items() if object_id not in pair}

    def follow(self, scene: Scene, now: int, those: Mapping[int, NDArray[np.float64]]) -> None:
        """Find some on a frame, those in front first.

        Args:
            scene: the frame.
            now: its number.
            those: ids of objects, and where they have been, ``[T, 3]``: number of the frame and (x, y) in pixels of the
                picture. Who was not followed on the frame before is looked for around the last place.
        """
        self.size = scene.size
        for object_id in set(those) & set(self.known) - self.awake:
            self.known[object_id].wake(those[object_id])
        self.awake = set(those) & set(self.known)
        order = self.from_front(self.awake)
        best = self._explained(scene, order)
        for one, other in itertools.pairwise(order):
            if abs(self._leads(one, other)) < DECIDED and (best[one].covered & best[other].covered).any():
                place = order.index(one)
                swapped = self._explained(scene, [*order[:place], other, one, *order[place + 2 :]])
                doubt = SWAPPED * (1 + abs(self._leads(one, other)) / DECIDED)
                if self._cost(swapped) + doubt < self._cost(best):
                    best = swapped
        for object_id, found in best.items():
            self.known[object_id].settle(found, now)
        covers = {object_id: found.covered for object_id, found in best.items()}
        for pair in itertools.combinations(sorted(best), 2):
            self._compare(scene, pair, covers)

    def astray(self, masks: Mapping[int, NDArray[np.bool_]]) -> set[int]:
        """Which objects that nothing hides are not where their masks ``[H, W]`` are: one colour fits anywhere."""
        out = set()
        for object_id, mask in masks.items():
            portrait = self.known.get(object_id)
            if portrait is not None and shares(portrait.cover(self.size), [mask])[0] < WITHIN:
                portrait.held = max(portrait.held - HELD, 0)
                out.add(object_id)
        return out

    def from_front(self, members: Iterable[int]) -> list[int]:
        """Some ids, those in front first."""
        some = sorted(members)  # a set has no order that a restored one would have
        return sorted(some, key=lambda one: sum(np.sign(self._leads(other, one)) for other in some if other != one))

    def sure(self, members: Iterable[int], lost: int = 0) -> bool:
        """Whether all of some objects look as on their pictures for some time, but for ``lost`` frames at most."""
        some = [self.known.get(member) for member in members]
        return all(portrait is not None and portrait.held >= HELD and portrait.lost <= lost for portrait in some)

    def covers(self, members: Sequence[int]) -> NDArray[np.bool_]:
        """What each of some objects covers of the last frame's picture, seen or hidden, ``[M, H, W]``."""
        return np.stack([self.known[member].cover(self.size) for member in members])

    def whose(self, members: Sequence[int], covers: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The place in ``members`` of whom each pixel shows; where there is none, of whom is nearest."""
        away = np.stack([cv2.distanceTransform((~cover).astype(np.uint8), cv2.DIST_L2, 3) for cover in covers])
        out = away.argmin(axis=0)
        for member in reversed(self.from_front(members)):
            place = list(members).index(member)
            out[covers[place]] = place
        return np.asarray(out)

    def state(self) -> dict[str, Any]:
        """All of it: tensors by name, and numbers."""
        state: dict[str, Any] = {f"portrait.{i}": torch.from_numpy(p.colours) for i, p in self.known.items()}
        state |= {f"inner.{i}": torch.from_numpy(p.inside) for i, p in self.known.items()}
        numbers = {
            i: [p.pose.tolist(), [w.tolist() for w in p.way], p.fit, p.shown, p.lost, p.held]
            for i, p in self.known.items()
        }
        before = [[*pair, v] for pair, v in self.before.items()]
        facts = {"known": numbers, "before": before, "size": self.size, "awake": sorted(self.awake)}
        return state | {"portraits": facts}

    @classmethod
    def restored(cls, state: Mapping[str, Any], facts: Mapping[str, Any]) -> Portraits:
        """Those that gave a state."""
        known = {
            int(i): Portrait(
                state[f"portrait.{i}"].numpy(),
                state[f"inner.{i}"].numpy(),
                np.array(pose),
                [np.array(place) for place in way],
                fit,
                shown,
                lost,
                held,
            )
            for i, (pose, way, fit, shown, lost, held) in facts["known"].items()
        }
        before = {(int(a), int(b)): float(value) for a, b, value in facts["before"]}
        size = (int(facts["size"][0]), int(facts["size"][1]))
        return cls(known, before, size, set(facts["awake"]))

    def _explained(self, scene: Scene, order: Sequence[int]) -> dict[int, Found]:
        """Where objects are if those that come first in an order are in front."""
        taken = np.zeros(self.size, bool)
        out: dict[int, Found] = {}
        for object_id in order:
            portrait = self.known[object_id]
            found = portrait.find(scene, taken)
            out[object_id] = found._replace(covered=portrait.cover(self.size, found.pose))
            taken = taken | out[object_id].covered
        return out

    def _cost(self, all_found: Mapping[int, Found]) -> float:
        """How little it is likely that objects are where they were found."""
        return sum(self.known[object_id].cost(found) for object_id, found in all_found.items())

    def _leads(self, one: int, other: int) -> float:
        value = self.before.get((min(one, other), max(one, other)), 0.0)
        return value if one < other else -value

    def _compare(self, scene: Scene, pair: tuple[int, int], covers: Mapping[int, NDArray[np.bool_]]) -> None:
        """See which of two is in front, where both should be."""
        both = covers[pair[0]] & covers[pair[1]]
        if both.sum() < CLAIMED:
            self.before.pop(pair, None)
            return
        wrong = []
        for one in pair:
            share = self.known[one].wrong(scene, both)
            if share is None:
                return
            wrong.append(share)
        self.before[pair] = self.before.get(pair, 0.0) + (wrong[1] - wrong[0]) * min(float(both.sum()) / 100, 1.0)


def shares(cover: NDArray[np.bool_], masks: Iterable[NDArray[np.bool_]]) -> list[float]:
    """How much of what an object covers, ``[H, W]``, lies in each of some masks; 0 if it has left the frame."""
    return [float(mask[cover].mean()) if cover.any() else 0.0 for mask in masks]


def picture_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture ``[H / 2, W / 2, 3]`` of a frame at the working size, RGB uint8 ``[H, W, 3]``, normalised."""
    size = (image.shape[1] // STEP, image.shape[0] // STEP)
    return normalised_bytes(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
