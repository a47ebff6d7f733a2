"""An object found again by its picture, however much of it is hidden.

A mask's centre says little of an object that another hides in part. A picture of the object, taken while it was alone,
is laid over the frame by a similarity (Lucas and Kanade 1981), with a robust weight for what looks otherwise (Geman and
McClure 1987), beginning where the object was going.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN = 8
"""Pixels around an object that its picture shows as well, so that it can be blurred like the frame."""
POINTS = 300
"""Points of a picture that are compared, at most twice as many."""
SPARSE = 3
"""One of so many points is looked at where there are many places to choose from."""
LEVELS = ((2.5, 0.7), (1.0, 0.4))
"""Blur in pixels and the difference, in deviations of ImageNet's colours, at which a point counts a quarter."""
ROUNDS = 5
"""Steps by Gauss and Newton on each level, at most."""
ENOUGH = np.array([0.1, 0.1, 0.003, 0.003])
"""Steps smaller than this are the last."""
EASY = 0.2
"""What a pose may cost to be refined as it is, without a search around it."""
STRAY = np.array([3.0, 3.0, 0.05, 0.05])
"""How far x, y, and the two numbers of turn and size may be from where they were going."""
PRIOR = 0.01
"""What a deviation of ``STRAY`` counts, beside the points."""
CHOICE = 8.0
"""What the same counts more while places are chosen from than while one is refined."""
SEARCHED, APART = 4.0, 2.0
"""A search begins at places so many pixels around where an object was going, and so far from each other."""
WIDER, WIDEST = 0.5, 4.0
"""What both, strays and search, grow by with each frame on which the object was not found, and how far."""
ASLEEP = 2
"""An object that was not followed is looked for like one that was not found on so many frames."""
FITS = 0.65
"""Share of an object's visible points that must look as on its picture."""
BARE = 0.3
"""What a point counts where the network sees no object, in what counts a quarter."""
HIDDEN = 0.3
"""What a point costs that another hides; one that looks as on the picture costs nothing, a quite different one 1."""
SHOWN = 0.2
"""Share of an object that must be visible for its place to be seen and not only foretold."""
FITTED = 12
"""Frames that a pace is fitted to, at most."""


class Scene:
    """A frame's picture, blurred, with its slopes.

    Args:
        picture: normalised RGB, float32 ``[H, W, 3]``.
        ground: where the network sees no object, bool ``[H, W]``.
    """

    def __init__(self, picture: NDArray[np.float32], ground: NDArray[np.bool_]) -> None:
        self.picture = picture
        self.ground = ground
        self.level = cache(self._level)
        self.slopes = cache(self._slopes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[0], self.picture.shape[1]

    def _level(self, level: int) -> NDArray[np.float32]:
        """The picture as blurred as ``LEVELS`` says, ``[H, W, 3]``."""
        return np.asarray(cv2.GaussianBlur(self.picture, (0, 0), LEVELS[level][0]), np.float32)

    def _slopes(self, level: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How the colours of a level change across and down, ``[H, W, 3]`` each."""
        across, down = (
            np.asarray(cv2.Sobel(self.level(level), cv2.CV_32F, *way, ksize=3, scale=0.125), np.float32)
            for way in ((1, 0), (0, 1))
        )
        return across, down


class Sought(NamedTuple):
    """What is known of where an object may be.

    Attributes:
        scene: the frame.
        taken: what others cover of it, who are in front of this one, bool ``[H, W]``.
        aim: the pose that it would have, had it gone on as it went.
        pull: what a squared deviation from that costs, of each number of a pose.
    """

    scene: Scene
    taken: NDArray[np.bool_]
    aim: NDArray[np.float64]
    pull: NDArray[np.float64]

    def free(self, places: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which places ``[..., 2]`` lie on the frame and are not taken."""
        height, width = self.scene.size
        x, y = places[..., 0], places[..., 1]
        within = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
        return np.asarray(within & ~lookup(self.taken, places))


class Found(NamedTuple):
    """Where an object is on a frame.

    Attributes:
        seen: whether it is found there, or only foretold.
        pose: see :class:`Portrait`.
        fit, shown: see there too.
        sought: what was known before.
        covered: what it covers, seen or hidden, bool ``[H, W]``.
    """

    seen: bool
    pose: NDArray[np.float64]
    fit: float
    shown: float
    sought: Sought
    covered: NDArray[np.bool_] = np.zeros((0, 0), bool)


@dataclass(eq=False)
class Portrait:
    """An object's picture and where it is.

    Attributes:
        colours: normalised RGB, float32 ``[h, w, 3]``, of the object and ``MARGIN`` pixels around it.
        inside: where the object is on it, bool ``[h, w]``.
        pose: its centre (x, y) in pixels of the frame's picture, and (a, b): a point u of the picture, from its centre,
            lies at (x, y) + [[1 + a, -b], [b, 1 + a]] u.
        way: the last poses that were seen, ``[6]`` each: number of the frame, pose, share of points that were visible.
        fit: share of its visible points that look as on the picture.
        shown: share of its points that nothing hides.
        lost: frames in a row on which it should have been seen and was not found.
        held: frames on which it was found.
    """

    colours: NDArray[np.float32]
    inside: NDArray[np.bool_]
    pose: NDArray[np.float64]
    way: list[NDArray[np.float64]] = field(default_factory=list)
    fit: float = 1.0
    shown: float = 1.0
    lost: int = 0
    held: int = 0

    def __post_init__(self) -> None:
        rows, columns = np.nonzero(self.inside)
        self.centre = np.array([columns.mean(), rows.mean()])
        core = cv2.erode(self.inside.astype(np.uint8), np.ones((3, 3), np.uint8))
        rows, columns = np.nonzero(core if core.any() else self.inside)
        kept = slice(None, None, max(len(rows) // POINTS, 1))
        self._points = np.stack([columns[kept], rows[kept]], axis=1) - self.centre
        self._looks = [cv2.GaussianBlur(self.colours, (0, 0), blur)[rows[kept], columns[kept]] for blur, _ in LEVELS]

    @classmethod
    def taken(cls, picture: NDArray[np.float32], mask: NDArray[np.bool_]) -> Portrait:
        """Of what a mask ``[H, W]``, which is not empty, covers on a frame's picture ``[H, W, 3]``."""
        left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
        x, y = max(left - MARGIN, 0), max(top - MARGIN, 0)
        part = (slice(y, top + height + MARGIN), slice(x, left + width + MARGIN))
        portrait = cls(picture[part].copy(), mask[part].copy(), np.zeros(4))
        portrait.pose[:2] = portrait.centre + np.array([x, y])
        return portrait

    @property
    def pace(self) -> NDArray[np.float64]:
        """What the pose changes by in a frame, by its last places; turn and size at half of it."""
        way = np.array(self.way)
        if len(way) < 3 or np.ptp(way[:, 0]) < 2:
            return np.zeros(4)
        slope = np.polyfit(way[:, 0] - way[-1, 0], way[:, 1:5], 1, w=way[:, 5])[0]
        return np.asarray(slope * (1, 1, 0.5, 0.5))

    def cover(self, size: tuple[int, int], pose: NDArray[np.float64] | None = None) -> NDArray[np.bool_]:
        """What it covers of a frame's picture of a height and width, seen or hidden; where it is, or at a pose."""
        x, y, a, b = self.pose if pose is None else pose
        linear = np.array([[1 + a, -b], [b, 1 + a]])
        matrix = np.column_stack([linear, np.array([x, y]) - linear @ self.centre])
        moved = cv2.warpAffine(self.inside.astype(np.uint8) * 255, matrix, size[::-1])
        return np.asarray(moved > 127)

    def wrong(self, scene: Scene, where: NDArray[np.bool_]) -> float | None:
        """How little those of its points that lie where a mask ``[H, W]`` is look as on the picture, in [0, 1]."""
        places = self._places(self.pose)
        claimed = lookup(where, places)
        if not claimed.any():
            return None
        off = self._differences(scene, 1, places)[claimed]
        return float((off / (1 + off)).mean())

    def find(self, scene: Scene, taken: NDArray[np.bool_]) -> Found:
        """Look where it is on a frame.

        Args:
            scene: the frame.
            taken: what others cover of it, who are in front of this one, bool ``[H, W]``.
        """
        wide = min(1 + WIDER * self.lost, WIDEST)
        sought = Sought(scene, taken, self.pose + self.pace, PRIOR / (STRAY * wide) ** 2)
        aim = sought.aim
        pose, first = aim, 1
        if self.lost or self._costs(sought, 1, aim[None])[0] > EASY:
            beside = np.arange(-SEARCHED * wide, SEARCHED * wide + 1, APART)
            starts = aim + np.array([(x, y, 0, 0) for x in beside for y in beside])
            pose, first = starts[self._costs(sought, 0, starts).argmin()], 0
        for level in range(first, len(LEVELS)):
            pose = self._refined(sought, level, pose)
        free = sought.free(places := self._places(pose))
        shown = float(free.mean())
        fit = float((self._differences(scene, 1, places)[free] < 1).mean()) if shown >= SHOWN else 0.0
        if fit >= FITS:
            return Found(True, pose, fit, shown, sought)
        return Found(False, aim, fit, float(sought.free(self._places(aim)).mean()), sought)

    def cost(self, found: Found) -> float:
        """How little what was found is likely."""
        return float(self._costs(found.sought, 1, found.pose[None])[0])

    def settle(self, found: Found, now: int) -> None:
        """Be there, on frame ``now``."""
        self.pose, self.shown = found.pose, found.shown
        if found.seen:
            self.fit, self.lost, self.held = found.fit, 0, self.held + 1
            self.way = [*self.way, np.array([now, *found.pose, found.shown])][-FITTED:]
        elif found.shown >= SHOWN:
            self.fit, self.lost = found.fit, self.lost + 1

    def wake(self, places: NDArray[np.float64]) -> None:
        """Be looked for again around the last of some places, ``[T, 3]``: number of the frame and (x, y)."""
        self.way = [np.array([t, x, y, *self.pose[2:], 1]) for t, x, y in places][-FITTED:]
        if len(places):
            self.pose = np.array([*places[-1, 1:], *self.pose[2:]])
        self.lost, self.held = ASLEEP, 0

    def follows(self, old: Portrait, now: int) -> None:
        """Go on as the object of an older picture went, whose place is this one's on frame ``now``."""
        if old.lost or not old.way:  # where it is now is all that is known
            way = [place * np.array([1, 1, 1, 0, 0, 1]) for place in old.way]
            self.way = [*way, np.array([now, *self.pose, 1])][-FITTED:]
        else:  # turn and size begin anew
            shift = np.array([0, *(self.pose - old.pose), 0])
            self.way, self.held = [place + shift for place in old.way], old.held

    def _places(self, poses: NDArray[np.float64], every: int = 1) -> NDArray[np.float32]:
        """Where its points lie on the frame, ``[..., P, 2]``, by poses ``[..., 4]``; one of ``every``."""
        a, b = 1 + poses[..., 2:3], poses[..., 3:]
        x, y = self._points[::every].T
        both = (poses[..., :1] + a * x - b * y, poses[..., 1:2] + b * x + a * y)
        return np.stack(both, axis=-1).astype(np.float32)

    def _differences(
        self, scene: Scene, level: int, places: NDArray[np.float32], every: int = 1
    ) -> NDArray[np.float32]:
        """How much its points differ from a frame at places ``[..., P, 2]``, squared, in what counts a quarter."""
        off = _sampled(scene.level(level), places) - self._looks[level][::every]
        return np.asarray(np.square(off).sum(axis=-1) / (3 * LEVELS[level][1] ** 2), np.float32)

    def _costs(self, sought: Sought, level: int, poses: NDArray[np.float64]) -> NDArray[np.float64]:
        """How little poses ``[S, 4]`` are likely, ``[S]``."""
        every = 1 if len(poses) == 1 else SPARSE
        places = self._places(poses, every)
        off = self._differences(sought.scene, level, places, every) + BARE * lookup(sought.scene.ground, places)
        points = np.where(sought.free(places), off / (1 + off), HIDDEN)
        return np.asarray(points.mean(axis=1) + CHOICE * (sought.pull * (poses - sought.aim) ** 2).sum(axis=1))

    def _refined(self, sought: Sought, level: int, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        """Steps by Gauss and Newton."""
        scale, looks = LEVELS[level][1] ** 2, self._looks[level]
        x, y = (column.astype(np.float32)[:, None] for column in self._points.T)
        pull = sought.pull * len(self._points)  # not less where less is visible
        planes = (sought.scene.level(level), *sought.scene.slopes(level))
        for _ in range(ROUNDS):
            places = self._places(pose)
            seen, across, down = (_sampled(plane, places) for plane in planes)
            off = seen - looks
            weight = sought.free(places) / (1 + np.square(off).mean(axis=1) / scale) ** 2 / (3 * scale)
            by = np.stack([across, down, across * x + down * y, down * x - across * y], axis=2)  # [P, 3, 4]
            weighed = (by * weight[:, None, None]).reshape(-1, 4).astype(np.float32)
            curve = weighed.T @ by.reshape(-1, 4) + np.diag(pull)
            step = np.linalg.solve(curve, weighed.T @ off.reshape(-1) + pull * (pose - sought.aim))
            pose = pose - step
            if (np.abs(step) < ENOUGH).all():
                break
        return np.asarray(pose)


def lookup(plane: NDArray[np.bool_], places: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Values of a mask ``[H, W]`` at the pixels nearest to places ``[..., 2]``; beyond its edges, at these."""
    near = np.rint(places).astype(np.int32)
    x, y = np.clip(near[..., 0], 0, plane.shape[1] - 1), np.clip(near[..., 1], 0, plane.shape[0] - 1)
    return np.asarray(plane[y, x])


def _sampled(plane: NDArray[Any], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours of a plane ``[H, W, 3]`` at places ``[P, 2]`` or ``[S, P, 2]``, ``[..., P, 3]``."""
    grid = places if places.ndim == 3 else places[:, None]
    out = cv2.remap(plane, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(out if places.ndim == 3 else out[:, 0])
