"""Look-alikes that cross: while they overlap nothing tells which is which, but how they moved says who comes out.

Matching by appearance cannot tell two things that look alike, and the place of a mask on the frame before is lost while
one hides the other. Here the objects of such a meeting are followed as one group until they are apart again, and each
part then belongs to the object that would have arrived there, had it gone on as it went.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.layers.assignment import least_cost
from rotoscope.methods.meetings import (
    Meeting,
    Motion,
    agree,
    cell_labels,
    centres_of,
    colours,
    divided,
    large_parts,
    nearest_part,
    shrunk,
    touching,
    well_apart,
)

ALIKE = 0.92
"""Bhattacharyya coefficient of two objects' colours from which on they look alike."""
FITTED = 12
"""Frames before a meeting whose centres a motion is fitted to, at most."""
LONGEST = 60
"""Frames after which a motion of before says nothing any more."""
WATCHED = 12
"""Frames after they came apart on which parts are made of one object each, and the network may still be put right: its
memory may say otherwise."""
LATE = 6
"""Frames apart after which it counts anyway."""
OWN = 0.1
"""What it counts, in squared sizes of the objects, that a part already has the object's label."""


@dataclass
class Crossings:
    """Follows meetings of look-alikes over a video; see the module.

    Attributes:
        now: number of the current frame.
        cells: height and width of the last frame in cells.
        looks: colours of each object where it was given; see :func:`colours`.
        tracks: centre and area of each object outside meetings, ``(frame, x, y, area)``, at most ``FITTED`` of them.
        meetings: those that go on.
        shown: what ``looks`` are yet to be learnt from: frame and mask of objects as they were given, shrunk. OpenCV
            takes a tenth of a second to begin with Lab, which a clip of one object has no use for.
    """

    now: int = 0
    cells: tuple[int, int] = (0, 0)
    looks: dict[int, Tensor] = field(default_factory=dict)
    tracks: dict[int, list[tuple[int, float, float, float]]] = field(default_factory=dict)
    meetings: list[Meeting] = field(default_factory=list)
    shown: dict[int, tuple[NDArray[np.uint8], NDArray[np.float32]]] = field(default_factory=dict)

    @property
    def merged(self) -> bool:
        """Whether some look-alikes cannot be told apart now."""
        return any(meeting.merged for meeting in self.meetings)

    def look(self, image: NDArray[np.uint8], masks: Mapping[int, Tensor]) -> None:
        """Keep what objects look like.

        Args:
            image: the frame, RGB ``[H, W, 3]``.
            masks: soft masks ``[H, W]`` by object id, of those that were given on it.
        """
        small = shrunk(image)
        for object_id, mask in masks.items():
            self.shown[object_id] = small, shrunk(mask.float().cpu().numpy())
            for meeting in self.meetings:
                meeting.motions.pop(object_id, None)  # a person has said which it is
            self.tracks.pop(object_id, None)
        self.meetings = [meeting for meeting in self.meetings if len(meeting.motions) > 1]

    def forget(self, object_id: int) -> None:
        """Follow an object no more."""
        self.shown.pop(object_id, None)
        self.looks.pop(object_id, None)
        self.tracks.pop(object_id, None)
        for meeting in self.meetings:
            meeting.motions.pop(object_id, None)
        self.meetings = [meeting for meeting in self.meetings if len(meeting.motions) > 1]

    def step(self, probabilities: Tensor, ids: Sequence[int]) -> tuple[Tensor, dict[int, int]]:
        """Take a frame's masks; where look-alikes have come apart, each part is given to its object.

        Args:
            probabilities: of background and objects, ``[1 + N, H, W]``.
            ids: of the objects, in the order of their channels.
        Returns: the probabilities, with those of some objects exchanged; and of each object that goes on as another
            did, by id, which one that is: its memory is the object's from now on.
        """
        self.now += 1
        taken: dict[int, int] = {}
        if len(ids) < 2 or not self._any_alike(ids):
            return probabilities, taken
        labels = cell_labels(probabilities)
        self.cells = (labels.shape[0], labels.shape[1])
        seen = centres_of(labels, ids)
        self._meet(labels, ids)
        over = []
        for meeting in self.meetings:
            together = np.isin(labels, [1 + ids.index(object_id) for object_id in meeting.motions])
            whose = meeting.follow(together)
            parts = large_parts(together, meeting)
            meeting.merged |= len(parts) < len(meeting.motions)
            meeting.apart = meeting.apart + 1 if meeting.merged and len(parts) == len(meeting.motions) else 0
            if meeting.apart and (meeting.apart >= LATE or well_apart(parts)):
                probabilities, other = self._tell_apart(probabilities, labels, ids, meeting, parts)
                taken |= other
            elif meeting.merged and not agree(labels, ids, meeting, whose):
                probabilities = divided(probabilities, ids, list(meeting.motions), whose)
            left = not meeting.merged and not self._touch(labels, ids, meeting)
            if left or self.now - meeting.since > LONGEST or meeting.apart > WATCHED:
                over.append(meeting)
        self.meetings = [meeting for meeting in self.meetings if meeting not in over]
        for meeting in over:
            if meeting.merged:
                self._retrack(meeting, centres_of(cell_labels(probabilities), ids))
        self._track(seen)
        return probabilities, taken

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and texts; of the same size whether objects are in a meeting or not."""
        state: dict[str, Any] = {f"look.{object_id}": look for object_id, look in self.looks.items()}
        state |= {f"mask.{object_id}": torch.zeros(self.cells, dtype=torch.bool) for object_id in self.looks}
        meetings = []
        for meeting in self.meetings:
            motions = {i: [*motion.centre, *motion.pace, *motion.at] for i, motion in meeting.motions.items()}
            meetings.append([meeting.since, motions, meeting.merged, meeting.apart])
            state |= {f"mask.{i}": torch.from_numpy(motion.mask) for i, motion in meeting.motions.items()}
        state |= {f"shown.{i}": torch.from_numpy(image) for i, (image, _) in self.shown.items()}
        state |= {f"inside.{i}": torch.from_numpy(mask) for i, (_, mask) in self.shown.items()}
        facts = {"now": self.now, "cells": self.cells, "tracks": self.tracks, "meetings": meetings}
        return state | {"facts": json.dumps(facts)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        facts = json.loads(state["facts"])
        self.now, self.cells = int(facts["now"]), (int(facts["cells"][0]), int(facts["cells"][1]))
        self.looks = {int(k.removeprefix("look.")): v for k, v in state.items() if k.startswith("look.")}
        self.shown = {
            int(k.removeprefix("shown.")): (v.numpy(), state[f"inside.{k.removeprefix('shown.')}"].numpy())
            for k, v in state.items()
            if k.startswith("shown.")
        }
        self.tracks = {
            int(k): [(int(t), x, y, area) for t, x, y, area in track] for k, track in facts["tracks"].items()
        }
        self.meetings = []
        for since, motions, merged, apart in facts["meetings"]:
            known = {
                int(i): Motion(
                    np.array(numbers[:2]), np.array(numbers[2:4]), state[f"mask.{i}"].numpy(), np.array(numbers[4:])
                )
                for i, numbers in motions.items()
            }
            self.meetings.append(Meeting(since, known, merged, apart))

    def alike(self, one: int, other: int) -> bool:
        """Whether two objects look alike."""
        self._learn()
        if one not in self.looks or other not in self.looks:
            return False
        return float(self.looks[one] @ self.looks[other]) >= ALIKE

    def _learn(self) -> None:
        """Make looks of what was shown; an object whose mask was empty keeps the look that it had."""
        for object_id, (image, mask) in self.shown.items():
            look = colours(image, mask)
            if look is not None:
                self.looks[object_id] = torch.from_numpy(look)
        self.shown.clear()

    def _any_alike(self, ids: Sequence[int]) -> bool:
        self._learn()
        known = [object_id for object_id in ids if object_id in self.looks]
        if len(known) < 2:
            return False
        looks = torch.stack([self.looks[object_id] for object_id in known])
        similar = looks @ looks.T
        similar.fill_diagonal_(-1)
        return bool(similar.max() >= ALIKE)

    def _meet(self, labels: NDArray[np.int32], ids: Sequence[int]) -> None:
        """Open, extend and join meetings by who touches whom."""
        for one, other in sorted(touching(labels, ids)):
            if not self.alike(one, other):
                continue
            theirs = [meeting for meeting in self.meetings if {one, other} & set(meeting.motions)]
            meeting = theirs[0] if theirs else Meeting(self.now, {})
            for further in theirs[1:]:  # two meetings become one
                meeting.motions |= further.motions
                meeting.merged |= further.merged
                self.meetings.remove(further)
            for object_id in (one, other):
                motion = self._motion(object_id, labels == 1 + ids.index(object_id))
                if object_id not in meeting.motions and motion is not None:
                    meeting.motions[object_id] = motion
            if not theirs and len(meeting.motions) > 1:
                self.meetings.append(meeting)

    def _motion(self, object_id: int, mask: NDArray[np.bool_]) -> Motion | None:
        """A line fitted to where an object has been, as of the frame before; None if it was hardly seen alone."""
        track = np.array(self.tracks.get(object_id, []))
        if len(track) < 3 or not mask.any():
            return None
        (across, x), (down, y) = (np.polyfit(track[:, 0] - self.now, track[:, column], 1) for column in (1, 2))
        pace, centre = np.array([across, down]), np.argwhere(mask).mean(axis=0)[::-1]
        return Motion(0.5 * (np.array([x, y]) + centre) - pace, pace, mask, centre)

    def _touch(self, labels: NDArray[np.int32], ids: Sequence[int], meeting: Meeting) -> bool:
        members = set(meeting.motions)
        return any(one in members and other in members for one, other in touching(labels, ids))

    def _tell_apart(
        self,
        probabilities: Tensor,
        labels: NDArray[np.int32],
        ids: Sequence[int],
        meeting: Meeting,
        parts: list[NDArray[np.bool_]],
    ) -> tuple[Tensor, dict[int, int]]:
        """Give each part to the object whose motion leads there; see :meth:`step`."""
        members = list(meeting.motions)
        distance, own = np.empty((2, len(members), len(parts)))
        for row, (object_id, motion) in enumerate(meeting.motions.items()):
            for column, part in enumerate(parts):
                centre = np.argwhere(part).mean(axis=0)[::-1]
                distance[row, column] = np.sum((centre - motion.centre) ** 2) / motion.area
                own[row, column] = (labels[part] == 1 + ids.index(object_id)).mean()
        rows, columns = least_cost(distance - OWN * own)
        had = dict(zip(*least_cost(-own.T), strict=True))  # the member that each part was taken for
        taken = {members[row]: members[had[column]] for row, column in zip(rows, columns, strict=True)}
        place = np.empty(len(parts), np.int64)
        place[columns] = rows
        for row, column in zip(rows, columns, strict=True):
            meeting.motions[members[row]].centre = np.argwhere(parts[column]).mean(axis=0)[::-1]
        taken = {object_id: other for object_id, other in taken.items() if object_id != other}
        return divided(probabilities, ids, members, place[nearest_part(parts)]), taken

    def _retrack(self, meeting: Meeting, seen: Mapping[int, tuple[float, float, float]]) -> None:
        """After a meeting, begin the members' tracks with how they came through it."""
        for object_id, motion in meeting.motions.items():
            self.tracks.pop(object_id, None)
            if object_id in seen:
                x, y, area = seen[object_id]
                self.tracks[object_id] = [
                    (self.now - back, x - back * motion.pace[0], y - back * motion.pace[1], area) for back in (4, 2)
                ]

    def _track(self, seen: Mapping[int, tuple[float, float, float]]) -> None:
        """Note where objects are that are in no meeting whose members cannot be told apart."""
        lost = {object_id for meeting in self.meetings for object_id in meeting.motions}
        for object_id, (x, y, area) in seen.items():
            if object_id in lost:
                continue
            self.tracks[object_id] = [*self.tracks.get(object_id, []), (self.now, x, y, area)][-FITTED:]
